"""Prints what the datastore says about the tasks of a step, as JSON: launches, claims, outcomes and ended attempts.

    launches.py FLOW/RUN/STEP
"""

import json
import os
import sys
from urllib.parse import urlsplit

import boto3
from metaflow import Run, Step, namespace

ROOT = urlsplit(os.environ["METAFLOW_DATASTORE_SYSROOT_S3"])


class Datastore:
    def __init__(self):
        self._s3 = boto3.client("s3")

    def objects(self, folder):
        """Names below a folder, and contents."""
        prefix = "%s/%s/" % (ROOT.path.strip("/"), folder)
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=ROOT.netloc, Prefix=prefix):
            for entry in page.get("Contents", ()):
                body = self._s3.get_object(Bucket=ROOT.netloc, Key=entry["Key"])["Body"].read()
                yield entry["Key"][len(prefix) :], body


def main():
    namespace(None)
    flow, run, step = sys.argv[1].split("/")
    store, ours = Datastore(), ".ferroflow/%s/%s" % (flow, run)
    outcomes = [json.loads(body) for _, body in store.objects(ours + "/outcome")]
    tasks = {}
    for task in Step(sys.argv[1]):
        claims = {}
        for name, body in store.objects("%s/claim/%s/%s" % (ours, step, task.id)):
            claims[name] = json.loads(body)
        nonces = {claim["nonce"] for claim in claims.values()}
        files = [name for name, _ in store.objects("%s/%s/%s/%s" % (flow, run, step, task.id))]
        tasks[task.index] = {
            "claims": {name: claim["kind"] for name, claim in claims.items()},
            "outcomes": [outcome["ended"] for outcome in outcomes if outcome["nonce"] in nonces],
            "done": sorted(name.split(".")[0] for name in files if name.endswith("DONE.lock")),
            "successful": task.successful,
            "current_attempt": task.current_attempt,
        }
    json.dump({"successful": Run("%s/%s" % (flow, run)).successful, "tasks": tasks}, sys.stdout)


if __name__ == "__main__":
    main()
