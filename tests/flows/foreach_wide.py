"""A join over so many inputs that their paths no longer fit in a short argument and travel compressed."""

from metaflow import FlowSpec, Parameter, step


class ForeachWideFlow(FlowSpec):
    width = Parameter("width", default=180, type=int)

    @step
    def start(self):
        self.items = list(range(self.width))
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.value = self.input
        self.next(self.join)

    @step
    def join(self, inputs):
        self.values = [i.value for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.values == list(range(self.width))


if __name__ == "__main__":
    ForeachWideFlow()
