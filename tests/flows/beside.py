"""What is beside the step when its code begins: bytecode, and processes."""

import os
import time

from metaflow import FlowSpec, step


def sidecars():
    """The names of the sidecars among this process's children; None while one of these may still become one."""
    with open("/proc/self/task/%d/children" % os.getpid()) as f:
        pids = f.read().split()
    names = []
    for pid in pids:
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                words = f.read().decode().split("\0")[:-1]
        except OSError:
            continue
        # A process that has ended has none; between fork and exec it has its parent's.
        if words and not any(word.endswith("sidecar_worker.py") for word in words):
            return None
        names += words[-1:]
    return sorted(names)


class BesideFlow(FlowSpec):
    @step
    def start(self):
        deadline = time.time() + 10
        while sidecars() is None and time.time() < deadline:
            time.sleep(0.1)
        files = [name for _, _, names in os.walk(os.environ["METAFLOW_EXTRACTED_ROOT"]) for name in names]
        print("bytecode: %s" % (sum(name.endswith(".pyc") for name in files) > 150))
        print("sidecars: %s" % " ".join(sidecars() or ["?"]))
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    BesideFlow()
