"""A switch inside a branch of a static split: the join has more incoming edges than inputs."""

from metaflow import FlowSpec, step


class SwitchInSplitFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.choose, self.plain)

    @step
    def choose(self):
        self.way = "b"
        self.next({"a": self.way_a, "b": self.way_b}, condition="way")

    @step
    def way_a(self):
        self.went = "a"
        self.next(self.join)

    @step
    def way_b(self):
        self.went = "b"
        self.next(self.join)

    @step
    def plain(self):
        self.went = "plain"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.all_ways = sorted(i.went for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        assert self.all_ways == ["b", "plain"]


if __name__ == "__main__":
    SwitchInSplitFlow()
