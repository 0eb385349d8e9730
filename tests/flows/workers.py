"""How many tasks run at one time: each waits until the expected number is there, and counts those that run."""

import os
import time

from metaflow import FlowSpec, Parameter, step

SHARED = os.environ["TEST_SHARED"]


class WorkersFlow(FlowSpec):
    expected = Parameter("expected", default=2, type=int)

    @step
    def start(self):
        self.items = list(range(6))
        self.next(self.work, foreach="items")

    @step
    def work(self):
        """A task ends when the tasks of its wave have all started; its mark of the end precedes its real end."""
        mark("started", self.index)
        self.within_limit = count("started") - count("ended") <= self.expected
        wave = self.index // self.expected
        limit = time.monotonic() + 120
        while count("started") < (wave + 1) * self.expected and time.monotonic() < limit:
            time.sleep(0.02)
        self.wave_was_complete = count("started") >= (wave + 1) * self.expected
        mark("ended", self.index)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.within_limit = [i.within_limit for i in inputs]
        self.wave_was_complete = [i.wave_was_complete for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert all(self.within_limit), self.within_limit
        assert all(self.wave_was_complete), self.wave_was_complete


def mark(what, index):
    open(os.path.join(SHARED, "%s-%d" % (what, index)), "w").close()


def count(what):
    return sum(name.startswith(what) for name in os.listdir(SHARED))


if __name__ == "__main__":
    WorkersFlow()
