"""What one task does to its process reaches no other task; tasks do not share random numbers."""

import os
import random
import sys
import tempfile
import uuid

from metaflow import FlowSpec, step

visits = []


class IsolationFlow(FlowSpec):
    @step
    def start(self):
        visits.append("start")
        os.environ["LEFT_BEHIND"] = "by start"
        sys.path.append("/nowhere")
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        os.rmdir(folder)
        self.items = [0, 1, 2, 3]
        self.next(self.draw, foreach="items")

    @step
    def draw(self):
        self.clean = [list(visits), "LEFT_BEHIND" in os.environ, "/nowhere" in sys.path, os.path.isdir(os.getcwd())]
        visits.append(self.index)
        self.drawn_by_random = Unstored(random.random())
        self.drawn_by_uuid = Unstored(uuid.uuid4().hex)
        print("drew", self.index)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.clean = [i.clean for i in inputs]
        self.distinct = [
            len({i.drawn_by_random.value for i in inputs}),
            len({i.drawn_by_uuid.value for i in inputs}),
        ]
        self.next(self.end)

    @step
    def end(self):
        assert self.distinct == [4, 4], self.distinct
        assert all(c == [[], False, False, True] for c in self.clean), self.clean


class Unstored:
    """A value that differs from run to run; the comparison leaves artifacts of this type aside."""

    def __init__(self, value):
        self.value = value


if __name__ == "__main__":
    IsolationFlow()
