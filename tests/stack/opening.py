"""Changes what the opening of a run says of its launcher, as if another one had begun it:

    python opening.py FLOW/RUN NAME VALUE
"""

import json
import os
import sys
from urllib.parse import urlparse

import boto3


def main():
    run, name, value = sys.argv[1:]
    root = urlparse(os.environ["METAFLOW_DATASTORE_SYSROOT_S3"])
    at = {"Bucket": root.netloc, "Key": "/".join([root.path.strip("/"), ".ferroflow", run, "opening"]).lstrip("/")}
    s3 = boto3.client("s3")
    opening = json.load(s3.get_object(**at)["Body"])
    assert name in opening["launcher"], opening["launcher"]
    opening["launcher"][name] = value
    s3.put_object(Body=json.dumps(opening).encode("utf-8"), **at)


if __name__ == "__main__":
    main()
