"""First and last step with names of their own."""

from metaflow import FlowSpec, step


class CustomEndsFlow(FlowSpec):
    @step(start=True)
    def begin(self):
        self.value = 1
        self.next(self.work)

    @step
    def work(self):
        self.value += 1
        self.next(self.finish)

    @step(end=True)
    def finish(self):
        assert self.value == 2


if __name__ == "__main__":
    CustomEndsFlow()
