"""The first step is a foreach split, the last one follows the join."""

from metaflow import FlowSpec, step


class StartForeachFlow(FlowSpec):
    @step(start=True)
    def fan_out(self):
        self.items = ["x", "y", "z"]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.value = self.input * 2
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.values = [i.value for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.values == ["xx", "yy", "zz"]


if __name__ == "__main__":
    StartForeachFlow()
