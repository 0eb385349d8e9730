"""A foreach of twelve short tasks, each of which leaves a mark when its code begins."""

import os
import time

from metaflow import FlowSpec, current, step


class DozenFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(12))
        self.next(self.work, foreach="items")

    @step
    def work(self):
        with open(os.path.join(os.environ["TEST_SHARED"], "begun-%d" % self.input), "a") as f:
            f.write("%d\n" % current.retry_count)
        time.sleep(0.2)
        self.value = self.input**2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.values = [i.value for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.values == [i**2 for i in range(12)]


if __name__ == "__main__":
    DozenFlow()
