"""A task whose artifacts cannot be stored: it fails after its code has succeeded, and leaves no marker."""

from metaflow import FlowSpec, step


class UnpicklableFlow(FlowSpec):
    @step
    def start(self):
        self.value = 1
        self.generator = (n for n in range(3))
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    UnpicklableFlow()
