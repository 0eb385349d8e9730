"""One branch fails while its siblings run: one ends within the five seconds of grace, one does not.

The siblings know that the failure was noticed when the failed process has been reaped; they read its id from a folder
that the test shares with the tasks. Without that folder (on Batch) they end at once. `MEND=1` lets all steps succeed.
"""

import os
import time

from metaflow import FlowSpec, step

SHARED = os.environ.get("TEST_SHARED")
MEND = os.environ.get("MEND")
DEADLINE = 120


def wait_until(condition):
    limit = time.monotonic() + DEADLINE
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)


def mark(name, text="x"):
    path = os.path.join(SHARED, name)
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)


def marked(name):
    return os.path.exists(os.path.join(SHARED, name))


def failed_process_is_gone():
    if not marked("failing"):
        return False
    with open(os.path.join(SHARED, "failing")) as f:
        return not os.path.exists("/proc/" + f.read())


class FailsFlow(FlowSpec):
    @step
    def start(self):
        self.value = 1
        self.next(self.fails, self.in_time, self.too_late, self.done_before)

    @step
    def fails(self):
        if not MEND:
            if SHARED:
                wait_until(lambda: marked("in_time") and marked("too_late") and marked("done_before"))
                wait_until(lambda: not os.path.exists("/proc/" + open(os.path.join(SHARED, "done_before")).read()))
                mark("failing", str(os.getpid()))
            raise RuntimeError("this branch fails")
        self.branch = "fails"
        self.next(self.join)

    @step
    def in_time(self):
        if SHARED and not MEND:
            mark("in_time")
            wait_until(failed_process_is_gone)
            time.sleep(0.5)
        self.branch = "in_time"
        self.next(self.after)

    @step
    def after(self):
        self.next(self.join)

    @step
    def too_late(self):
        if SHARED and not MEND:
            mark("too_late")
            time.sleep(DEADLINE)
        self.branch = "too_late"
        self.next(self.join)

    @step
    def done_before(self):
        if SHARED and not MEND:
            mark("done_before", str(os.getpid()))
        self.branch = "done_before"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.branches = sorted(i.branch for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        assert len(self.branches) == 4


if __name__ == "__main__":
    FailsFlow()
