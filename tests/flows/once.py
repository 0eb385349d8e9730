"""A foreach whose tasks leave a mark each time that their code begins, in a folder that they share with the test."""

import os

from metaflow import FlowSpec, current, step


class OnceFlow(FlowSpec):
    @step
    def start(self):
        self.items = [0, 1]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        with open(os.path.join(os.environ["TEST_SHARED"], "begun-%d" % self.input), "a") as f:
            f.write("%d\n" % current.retry_count)
        self.value = self.input
        self.next(self.join)

    @step
    def join(self, inputs):
        self.values = [i.value for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.values == [0, 1]


if __name__ == "__main__":
    OnceFlow()
