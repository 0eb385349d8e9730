"""Random numbers that nobody has seeded: each task draws its own."""

import os
import random
import secrets
import tempfile
import uuid

import numpy
from metaflow import FlowSpec, step

DRAWS = {
    "random": random.random,
    "numpy": lambda: float(numpy.random.random()),
    "numpy generator": lambda: float(numpy.random.default_rng().random()),
    "uuid": lambda: uuid.uuid4().hex,
    "secrets": lambda: secrets.token_hex(8),
    "urandom": lambda: os.urandom(8).hex(),
    "tempfile": lambda: next(tempfile._get_candidate_names()),
}


class UnseededFlow(FlowSpec):
    @step
    def start(self):
        self.items = [0, 1, 2, 3]
        self.next(self.draw, foreach="items")

    @step
    def draw(self):
        self.drawn = Unstored({name: draw() for name, draw in DRAWS.items()})
        random.seed(self.input), numpy.random.seed(self.input)
        self.seeded = [random.random(), float(numpy.random.random())]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.distinct = {name: len({i.drawn.value[name] for i in inputs}) for name in DRAWS}
        self.seeded = [i.seeded for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert set(self.distinct.values()) == {4}, self.distinct


class Unstored:
    """A value that differs from run to run; the comparison leaves artifacts of this type aside."""

    def __init__(self, value):
        self.value = value


if __name__ == "__main__":
    UnseededFlow()
