"""Reads a run's blobs and file names from its datastore, with upstream's own storage classes."""

import json

from metaflow.datastore import FlowDataStore
from metaflow.mflog import mflog
from metaflow.plugins import DATASTORES


class Store:
    def __init__(self, flow_name, ds_type, ds_root):
        storage = next(s for s in DATASTORES if s.TYPE == ds_type)
        self._flow_name = flow_name
        self._datastore = FlowDataStore(flow_name, None, storage_impl=storage, ds_root=ds_root)
        self._storage = self._datastore._storage_impl
        self._blobs = {}
        self._listed = {}

    @property
    def is_remote(self):
        return self._storage.TYPE == "s3"

    def blob(self, sha):
        if sha not in self._blobs:
            self._blobs[sha] = next(blob for _, blob in self._datastore.ca_store.load_blobs([sha]))
        return self._blobs[sha]

    def files(self, run_id, step_name, task_id):
        """Names of the files of a task, by attempt; those of no attempt stand under the empty string."""
        found = {}
        for name in self._names(run_id, step_name, task_id):
            attempt, dot, rest = name.partition(".")
            if not (dot and attempt.isdigit()):
                attempt, rest = "", name
            found.setdefault(attempt, []).append(rest)
        return {attempt: sorted(names) for attempt, names in found.items()}

    def _names(self, run_id, step_name, task_id):
        path = self._storage.path_join(self._flow_name, run_id, step_name, task_id)
        if self._storage.TYPE != "s3":
            return [self._storage.basename(entry.path) for entry in self._storage.list_content([path]) if entry.is_file]
        # Upstream's storage starts two processes for each listing, which takes a second a task.
        if run_id not in self._listed:
            root = self._storage.path_join(self._storage.datastore_root, self._flow_name, run_id)
            self._listed[run_id] = listed(root + "/")
        folder = path + "/"
        return [key[len(folder) :] for key in self._listed[run_id] if key.startswith(folder) and "/" not in key[len(folder) :]]

    def log_file(self, run_id, step_name, task_id, attempt, name):
        """How the lines of a log file are made: who stamped them, and whether their times ascend."""
        content = self._read(run_id, step_name, task_id, attempt, name)
        lines = [mflog.parse(line) for line in content.splitlines(keepends=True)]
        parsed = [line for line in lines if line]
        own = [line.utc_tstamp_str for line in parsed if line.logsource == b"runtime"]
        return {
            "sources": sorted({line.logsource.decode() for line in parsed}),
            "has_lines_without_a_stamp": len(parsed) < len(lines),
            "times_ascend": own == sorted(own),
            "ends_with_a_newline": content.endswith(b"\n") or not content,
        }

    def small_file(self, run_id, step_name, task_id, attempt, name):
        return json.loads(self._read(run_id, step_name, task_id, attempt, name) or b"null")

    def _read(self, run_id, step_name, task_id, attempt, name):
        path = self._storage.path_join(self._flow_name, run_id, step_name, task_id, "%s.%s" % (attempt, name))
        with self._storage.load_bytes([path]) as loaded:
            for _, file_name, _ in loaded:
                if file_name:
                    with open(file_name, "rb") as f:
                        return f.read()
        return b""


def listed(url):
    """The keys below an `s3://bucket/prefix/`, from the flow's name on."""
    import boto3

    bucket, _, prefix = url[len("s3://") :].partition("/")
    root = prefix[: -len("/".join(prefix.rstrip("/").split("/")[-2:])) - 1]
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"][len(root) :] for page in pages for entry in page.get("Contents", ())]
