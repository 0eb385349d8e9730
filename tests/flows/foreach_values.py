"""What can be the value of a foreach: texts with special characters, long ones, empty ones, things that are no texts."""

from metaflow import FlowSpec, step


class ForeachValuesFlow(FlowSpec):
    @step
    def start(self):
        self.values = ["plain", "ü☃", "a,b:c!d/e=f", "", "x" * 300, None, 0, -1.5, ("a", 1), {"k": [1]}, b"\xff", "plain"]
        self.next(self.outer, foreach="values")

    @step
    def outer(self):
        self.value = self.input
        self.letters = ("z", "y")
        self.next(self.inner, foreach="letters")

    @step
    def inner(self):
        self.pair = (self.value, self.input)
        self.next(self.join_inner)

    @step
    def join_inner(self, inputs):
        self.pairs = [i.pair for i in inputs]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.all_pairs = [i.pairs for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert len(self.all_pairs) == 12 and self.all_pairs[0][0] == ("plain", "z")


if __name__ == "__main__":
    ForeachValuesFlow()
