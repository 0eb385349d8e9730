"""A foreach after a join, and a static split after the next join."""

from metaflow import FlowSpec, step


class ForeachAfterJoinFlow(FlowSpec):
    @step
    def start(self):
        self.first = [1, 2]
        self.next(self.one, foreach="first")

    @step
    def one(self):
        self.value = self.input * 10
        self.next(self.join_one)

    @step
    def join_one(self, inputs):
        self.second = [i.value for i in inputs] + [30]
        self.next(self.again)

    @step
    def again(self):
        self.next(self.two, foreach="second")

    @step
    def two(self):
        self.value = self.input + 1
        self.next(self.join_two)

    @step
    def join_two(self, inputs):
        self.values = [i.value for i in inputs]
        self.next(self.split)

    @step
    def split(self):
        self.next(self.left, self.right)

    @step
    def left(self):
        self.side = "left"
        self.next(self.join_sides)

    @step
    def right(self):
        self.side = "right"
        self.next(self.join_sides)

    @step
    def join_sides(self, inputs):
        self.sides = sorted(i.side for i in inputs)
        self.merge_artifacts(inputs, include=["values"])
        self.next(self.end)

    @step
    def end(self):
        assert self.values == [11, 21, 31]
        assert self.sides == ["left", "right"]


if __name__ == "__main__":
    ForeachAfterJoinFlow()
