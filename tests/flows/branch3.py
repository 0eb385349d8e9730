"""A three-way split, one branch of two steps, and a join that merges artifacts."""

import sys

from metaflow import FlowSpec, step


class Branch3Flow(FlowSpec):
    @step
    def start(self):
        self.common = "common"
        self.next(self.a, self.b, self.c)

    @step
    def a(self):
        self.from_a = "A"
        print("in a")
        self.next(self.join)

    @step
    def b(self):
        self.from_b = "B"
        print("in b", file=sys.stderr)
        self.next(self.b2)

    @step
    def b2(self):
        self.from_b += "2"
        self.next(self.join)

    @step
    def c(self):
        self.from_c = "C"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.merge_artifacts(inputs)
        self.letters = sorted([inputs.a.from_a, inputs.b2.from_b, inputs.c.from_c])
        self.next(self.end)

    @step
    def end(self):
        assert self.letters == ["A", "B2", "C"]


if __name__ == "__main__":
    Branch3Flow()
