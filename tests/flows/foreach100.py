"""A foreach of 100, or fewer; the join keeps its inputs in the order in which it got them."""

from metaflow import FlowSpec, Parameter, step


class Foreach100Flow(FlowSpec):
    width = Parameter("width", default=100)

    @step
    def start(self):
        self.items = list(range(self.width))
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.square = self.input * self.input
        self.place = (self.index, self.input)
        print("square of", self.input, "is", self.square)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.squares = [i.square for i in inputs]
        self.places = [i.place for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.squares == [i * i for i in range(self.width)]


if __name__ == "__main__":
    Foreach100Flow()
