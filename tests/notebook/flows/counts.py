"""Two tasks that tell of themselves on both streams, and wait, where a folder is given, until a test lets them go."""

import os
import sys
import time

from metaflow import FlowSpec, Parameter, step

DEADLINE_S = 120


class CountsFlow(FlowSpec):
    number = Parameter("number", type=int, default=1)
    folder = Parameter("folder", default="")
    deaf = Parameter("deaf", type=bool, default=False)

    @step
    def start(self):
        self.factors = [1, 10]
        self.next(self.work, foreach="factors")

    @step
    def work(self):
        print("to stdout: %d" % (self.number * self.input))
        print("to stderr: %d" % (self.number * self.input), file=sys.stderr)
        if self.folder:
            self.wait()
        assert self.number >= 0, "less than nothing"
        self.product = self.number * self.input
        self.next(self.join)

    def wait(self):
        if self.deaf:
            import signal

            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        name = os.path.join(self.folder, "task-%d" % self.index)
        with open(name + ".new", "w") as f:
            f.write(str(os.getpid()))
        os.rename(name + ".new", name)
        limit = time.monotonic() + DEADLINE_S
        while not os.path.exists(os.path.join(self.folder, "release")) and time.monotonic() < limit:
            time.sleep(0.02)

    @step
    def join(self, inputs):
        self.total = sum(i.product for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        print("total", self.total)


if __name__ == "__main__":
    CountsFlow()
