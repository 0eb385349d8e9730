"""Tasks leave child processes behind: one keeps a single stream open, and the run does not wait for it; one keeps both
streams open, and what it still has to say belongs to the task."""

import os
import subprocess
import sys
import time

from metaflow import FlowSpec, step

DEADLINE = 60
UNTIL_RELEASED = """
import os, sys, time
limit = time.monotonic() + float(sys.argv[2])
while not os.path.exists(sys.argv[1]) and time.monotonic() < limit:
    time.sleep(0.02)
"""
AFTER_PARENT = """
import os, sys, time
parent = int(sys.argv[1])
limit = time.monotonic() + float(sys.argv[2])
while os.getppid() == parent and time.monotonic() < limit:
    time.sleep(0.02)
print("said after the task's process had ended", flush=True)
print("and complained", file=sys.stderr, flush=True)
"""


class LeftoverChildFlow(FlowSpec):
    @step
    def start(self):
        release = os.path.join(os.getcwd(), "release")
        arguments = [sys.executable, "-c", UNTIL_RELEASED, release, str(DEADLINE)]
        self.child = Unstored(subprocess.Popen(arguments, stderr=subprocess.DEVNULL).pid)
        self.begun = Unstored(time.time())
        self.next(self.talks)

    @step
    def talks(self):
        self.waited_for_the_first = time.time() - self.begun.value > DEADLINE / 2
        open("release", "w").close()
        subprocess.Popen([sys.executable, "-c", AFTER_PARENT, str(os.getpid()), str(DEADLINE)])
        print("the task's own words")
        self.next(self.end)

    @step
    def end(self):
        assert not self.waited_for_the_first


class Unstored:
    """A value that differs from run to run; the comparison leaves artifacts of this type aside."""

    def __init__(self, value):
        self.value = value


if __name__ == "__main__":
    LeftoverChildFlow()
