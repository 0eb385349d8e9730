"""A flow of one step, which is the first and the last."""

from metaflow import FlowSpec, step


class SingleStepFlow(FlowSpec):
    @step(start=True, end=True)
    def only(self):
        self.value = "alone"
        print(self.value)


if __name__ == "__main__":
    SingleStepFlow()
