"""A foreach of five, for a run that allows fewer, and of none, which is an error of the step."""

from metaflow import FlowSpec, Parameter, step


class MaxSplitsFlow(FlowSpec):
    width = Parameter("width", default=5, type=int)

    @step
    def start(self):
        self.items = list(range(self.width))
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    MaxSplitsFlow()
