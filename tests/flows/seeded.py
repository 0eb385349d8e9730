"""A file that seeds when it is loaded: each task draws the same."""

import random

import numpy
from metaflow import FlowSpec, step


def prepare():
    numpy.random.seed(11)


random.seed(7)
prepare()


class SeededFlow(FlowSpec):
    @step
    def start(self):
        self.items = [0, 1, 2]
        self.next(self.draw, foreach="items")

    @step
    def draw(self):
        self.drawn = [random.random(), float(numpy.random.random())]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.drawn = [i.drawn for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.drawn[0] == self.drawn[1] == self.drawn[2]


if __name__ == "__main__":
    SeededFlow()
