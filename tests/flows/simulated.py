"""A wide foreach whose tasks no interpreter runs: the embedded stack plays them, and their join."""

from metaflow import FlowSpec, Parameter, batch, step


class SimulatedFlow(FlowSpec):
    width = Parameter("width", type=int, default=200)

    @step
    def start(self):
        self.kept = "kept"
        self.items = ["item %d" % i for i in range(self.width)]
        self.next(self.work, foreach="items")

    @batch
    @step
    def work(self):
        assert False, "this step is simulated"
        self.next(self.join)

    @batch
    @step
    def join(self, inputs):
        assert False, "this step is simulated"
        self.next(self.end)

    @step
    def end(self):
        assert self.kept == "kept"
        print("all are joined")


if __name__ == "__main__":
    SimulatedFlow()
