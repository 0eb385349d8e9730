"""The flow whose run by metaflow 2.19.39 is in upstream-2.19.39.

Of the run are kept the first task of each step with its index, marker and scheduler artifacts,
and of `start` and `flaky` what the launcher wrote. Modes and the metadata provider's files are not.
"""

from metaflow import FlowSpec, catch, retry, step


class FixtureFlow(FlowSpec):
    @step
    def start(self):
        print("hello")
        self.next(self.left, self.right)

    @step
    def left(self):
        self.xs = ["a", "b"]
        self.next(self.outer, foreach="xs")

    @step
    def outer(self):
        self.ys = range(3)
        self.next(self.inner, foreach="ys")

    @step
    def inner(self):
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        self.next(self.outer_join)

    @step
    def outer_join(self, inputs):
        self.next(self.both)

    @catch(var="why")
    @step
    def right(self):
        if True:
            raise ValueError("caught")
        self.next(self.both)

    @step
    def both(self, inputs):
        self.next(self.choose)

    @step
    def choose(self):
        self.way = "go"
        self.next({"go": self.go, "stay": self.stay}, condition="way")

    @step
    def go(self):
        self.next(self.flaky)

    @step
    def stay(self):
        self.next(self.flaky)

    @retry(times=1, minutes_between_retries=0)
    @step
    def flaky(self):
        from metaflow import current
        if current.retry_count == 0:
            raise ValueError("first attempt")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    FixtureFlow()
