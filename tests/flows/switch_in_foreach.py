"""A switch inside a foreach: each child goes its own way and they meet in the join."""

from metaflow import FlowSpec, step


class SwitchInForeachFlow(FlowSpec):
    @step
    def start(self):
        self.items = [0, 1, 2, 3]
        self.next(self.choose, foreach="items")

    @step
    def choose(self):
        self.item = self.input
        self.parity = "odd" if self.item % 2 else "even"
        self.next({"odd": self.odd, "even": self.even}, condition="parity")

    @step
    def odd(self):
        self.result = "%d is odd" % self.item
        self.next(self.join)

    @step
    def even(self):
        self.result = "%d is even" % self.item
        self.next(self.join)

    @step
    def join(self, inputs):
        self.results = sorted(i.result for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        assert self.results == ["0 is even", "1 is odd", "2 is even", "3 is odd"]


if __name__ == "__main__":
    SwitchInForeachFlow()
