"""One child of a foreach fails, after its siblings have ended, so that the run can be resumed. `MEND=1` mends it."""

import os
import time

from metaflow import FlowSpec, current, step

SHARED = os.environ.get("TEST_SHARED")
MEND = os.environ.get("MEND")


def wait_for_siblings(count, deadline=120):
    """Waits until `count` siblings have left their process id and been reaped."""
    limit = time.monotonic() + deadline
    while time.monotonic() < limit:
        pids = [name for name in os.listdir(SHARED) if name.isdigit()]
        if len(pids) == count and not any(os.path.exists("/proc/" + pid) for pid in pids):
            return
        time.sleep(0.02)


def wait_for_siblings_in_s3(count, deadline=120):
    """Waits until `count` siblings have said in the datastore that they are done: jobs share nothing else."""
    import boto3
    from metaflow.metaflow_config import DATASTORE_SYSROOT_S3

    bucket, _, root = DATASTORE_SYSROOT_S3[len("s3://") :].partition("/")
    prefix = "/".join(filter(None, [root.strip("/"), current.flow_name, current.run_id, current.step_name])) + "/"
    client = boto3.client("s3")
    limit = time.monotonic() + deadline
    while time.monotonic() < limit:
        found = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        if sum(thing["Key"].endswith(".DONE.lock") for thing in found) == count:
            return
        time.sleep(0.5)


class FailsInForeachFlow(FlowSpec):
    @step
    def start(self):
        self.items = [10, 20, 30, 40]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        if self.index == 2 and not MEND:
            if SHARED:
                wait_for_siblings(3)
            else:
                wait_for_siblings_in_s3(3)
            raise RuntimeError("child 2 fails")
        self.value = self.input + 1
        if SHARED and not MEND:
            open(os.path.join(SHARED, str(os.getpid())), "w").close()
        self.next(self.join)

    @step
    def join(self, inputs):
        self.values = [i.value for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.values == [11, 21, 31, 41]


if __name__ == "__main__":
    FailsInForeachFlow()
