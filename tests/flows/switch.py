"""A switch that takes one of three branches, two of them leading to the same step."""

from metaflow import FlowSpec, Parameter, step


class SwitchFlow(FlowSpec):
    size = Parameter("size", default="medium")

    @step
    def start(self):
        self.choice = self.size
        self.next({"small": self.small, "medium": self.big, "large": self.big}, condition="choice")

    @step
    def small(self):
        self.took = "small"
        self.next(self.after)

    @step
    def big(self):
        self.took = "big"
        self.next(self.after)

    @step
    def after(self):
        self.report = "%s took %s" % (self.choice, self.took)
        print(self.report)
        self.next(self.end)

    @step
    def end(self):
        assert self.took == ("small" if self.choice == "small" else "big")


if __name__ == "__main__":
    SwitchFlow()
