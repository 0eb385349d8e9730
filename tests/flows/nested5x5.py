"""Two nested foreaches of five, or fewer, with a linear step in between and one inside."""

from metaflow import FlowSpec, Parameter, step


class Nested5x5Flow(FlowSpec):
    width = Parameter("width", default=5)

    @step
    def start(self):
        self.xs = list("abcde"[: self.width])
        self.next(self.outer, foreach="xs")

    @step
    def outer(self):
        self.x = self.input
        self.next(self.prepare)

    @step
    def prepare(self):
        self.ys = list(range(1, self.width + 1))
        self.next(self.inner, foreach="ys")

    @step
    def inner(self):
        self.pair = "%s%d" % (self.x, self.input)
        self.stack = [(frame[0], frame[1], frame[2]) for frame in self.foreach_stack()]
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        self.pairs = [i.pair for i in inputs]
        self.merge_artifacts(inputs, include=["x"])
        self.next(self.outer_join)

    @step
    def outer_join(self, inputs):
        self.all_pairs = [i.pairs for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.all_pairs == [["%s%d" % (x, y) for y in range(1, self.width + 1)] for x in "abcde"[: self.width]]


if __name__ == "__main__":
    Nested5x5Flow()
