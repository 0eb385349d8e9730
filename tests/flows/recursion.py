"""A recursive switch that goes round four times, and may fail once so that it can be resumed."""

import os

from metaflow import FlowSpec, step


class RecursionFlow(FlowSpec):
    @step
    def start(self):
        self.count = 0
        self.trail = []
        self.next(self.loop)

    @step
    def loop(self):
        self.count += 1
        self.trail = self.trail + [self.count]
        if self.count == 3 and os.environ.get("FAIL_IN_LOOP"):
            raise RuntimeError("asked to fail in the third round")
        self.again = "yes" if self.count < 4 else "no"
        print("round", self.count)
        self.next({"yes": self.loop, "no": self.out}, condition="again")

    @step
    def out(self):
        self.next(self.end)

    @step
    def end(self):
        assert self.trail == [1, 2, 3, 4]


if __name__ == "__main__":
    RecursionFlow()
