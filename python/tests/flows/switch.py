from metaflow import FlowSpec, step


class SwitchFlow(FlowSpec):
    """A step that chooses itself twice, then one of two branches."""

    @step
    def start(self):
        self.count = 0
        self.next(self.loop)

    @step
    def loop(self):
        self.count += 1
        self.again = "yes" if self.count < 3 else "no"
        self.next({"yes": self.loop, "no": self.choose}, condition="again")

    @step
    def choose(self):
        self.way = "left"
        self.next({"left": self.left, "right": self.right}, condition="way")

    @step
    def left(self):
        self.next(self.end)

    @step
    def right(self):
        self.next(self.end)

    @step
    def end(self):
        print("count is", self.count)


if __name__ == "__main__":
    SwitchFlow()
