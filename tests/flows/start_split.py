"""The first step is a static split."""

from metaflow import FlowSpec, step


class StartSplitFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.left, self.right)

    @step
    def left(self):
        self.side = "left"
        self.next(self.join)

    @step
    def right(self):
        self.side = "right"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.sides = sorted(i.side for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        assert self.sides == ["left", "right"]


if __name__ == "__main__":
    StartSplitFlow()
