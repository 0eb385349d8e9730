"""Two tasks on AWS Batch that wait, where a folder is given, until a test lets them go."""

import os
import signal
import time

from metaflow import FlowSpec, Parameter, batch, step

DEADLINE_S = 120


class JobsFlow(FlowSpec):
    number = Parameter("number", type=int, default=1)
    folder = Parameter("folder", default="")
    deaf = Parameter("deaf", type=bool, default=False)

    @step
    def start(self):
        self.factors = [1, 10]
        self.next(self.work, foreach="factors")

    @batch(cpu=1, memory=1024)
    @step
    def work(self):
        if self.deaf:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.folder:
            name = os.path.join(self.folder, "task-%d" % self.index)
            with open(name + ".new", "w") as f:
                f.write(str(os.getpid()))
            os.rename(name + ".new", name)
            limit = time.monotonic() + DEADLINE_S
            while not os.path.exists(os.path.join(self.folder, "release")) and time.monotonic() < limit:
                time.sleep(0.02)
        self.product = self.number * self.input
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(i.product for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    JobsFlow()
