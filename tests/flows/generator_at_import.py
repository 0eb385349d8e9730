"""Generators of random numbers that a module holds: in fresh interpreters each task has its own."""

import random

from metaflow import FlowSpec, step

own = random.Random()


class GeneratorFlow(FlowSpec):
    @step
    def start(self):
        self.items = [0, 1, 2]
        self.next(self.draw, foreach="items")

    @step
    def draw(self):
        self.drawn = Unstored(own.random())
        self.next(self.join)

    @step
    def join(self, inputs):
        self.distinct = len({i.drawn.value for i in inputs})
        self.next(self.end)

    @step
    def end(self):
        assert self.distinct == 3


class Unstored:
    """A value that differs from run to run; the comparison leaves artifacts of this type aside."""

    def __init__(self, value):
        self.value = value


if __name__ == "__main__":
    GeneratorFlow()
