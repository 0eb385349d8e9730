"""Different @resources per step, merged with @batch where there is a queue."""

from metaflow import FlowSpec, resources, step


class ResourcesFlow(FlowSpec):
    @resources(cpu=1, memory=1500)
    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.small, foreach="items")

    @resources(memory=2000)
    @step
    def small(self):
        self.value = self.input
        self.next(self.join)

    @resources(cpu=2, memory=3000)
    @step
    def join(self, inputs):
        self.total = sum(i.value for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        assert self.total == 3


if __name__ == "__main__":
    ResourcesFlow()
