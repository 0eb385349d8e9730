from metaflow import FlowSpec, step


class ForeachFlow(FlowSpec):
    """A foreach in a foreach, beside a plain branch."""

    @step
    def start(self):
        self.next(self.outer, self.side)

    @step
    def outer(self):
        self.letters = ["a", "b"]
        self.next(self.inner, foreach="letters")

    @step
    def inner(self):
        self.letter = self.input
        self.numbers = [1, 2]
        self.next(self.work, foreach="numbers")

    @step
    def work(self):
        self.word = "%s%d" % (self.letter, self.input)
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        self.words = [i.word for i in inputs]
        self.next(self.outer_join)

    @step
    def outer_join(self, inputs):
        self.words = [w for i in inputs for w in i.words]
        self.next(self.join)

    @step
    def side(self):
        self.words = ["side"]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.words = sorted(w for i in inputs for w in i.words)
        self.next(self.end)

    @step
    def end(self):
        print("words:", " ".join(self.words))


if __name__ == "__main__":
    ForeachFlow()
