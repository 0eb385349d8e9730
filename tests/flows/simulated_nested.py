"""Foreaches in a foreach, of which the embedded stack plays all but the ends; some tasks fail at first."""

from metaflow import FlowSpec, batch, retry, step


class SimulatedNestedFlow(FlowSpec):
    @step
    def start(self):
        self.kept = "kept"
        self.items = list("abc")
        self.next(self.outer, foreach="items")

    @retry(times=1, minutes_between_retries=0)
    @batch
    @step
    def outer(self):
        self.more = [1, 2]
        self.next(self.inner, foreach="more")

    @batch
    @step
    def inner(self):
        self.next(self.inner_join)

    @batch
    @step
    def inner_join(self, inputs):
        self.next(self.join)

    @step
    def join(self, inputs):
        assert inputs[0].kept == "kept"
        assert [i.index for i in inputs] == [0, 1, 2]
        assert [len(i._foreach_stack) for i in inputs] == [1] * 3
        self.next(self.end)

    @step
    def end(self):
        print("all are joined")


if __name__ == "__main__":
    SimulatedNestedFlow()
