"""Tells of itself what the installation must not change, and what it must."""

from metaflow import FlowSpec, step


class InstalledFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["a", "b"]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        print("the end")


if __name__ == "__main__":
    InstalledFlow()
