"""A recursive switch inside a foreach: each child goes round a different number of times."""

from metaflow import FlowSpec, step


class RecursionInForeachFlow(FlowSpec):
    @step
    def start(self):
        self.rounds = [1, 2, 3]
        self.next(self.enter, foreach="rounds")

    @step
    def enter(self):
        self.wanted = self.input
        self.done = 0
        self.next(self.loop)

    @step
    def loop(self):
        self.done += 1
        self.again = "no" if self.done == self.wanted else "yes"
        self.next({"yes": self.loop, "no": self.leave}, condition="again")

    @step
    def leave(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.counts = [(i.wanted, i.done) for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.counts == [(1, 1), (2, 2), (3, 3)]


if __name__ == "__main__":
    RecursionInForeachFlow()
