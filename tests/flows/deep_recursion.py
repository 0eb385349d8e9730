"""How deep a step may recurse, in Python and in C."""

import json
import sys

from metaflow import FlowSpec, step


def depth(reached=1):
    try:
        return depth(reached + 1)
    except RecursionError:
        return reached


class DeepRecursionFlow(FlowSpec):
    @step
    def start(self):
        self.limit = sys.getrecursionlimit()
        self.reached = depth()
        self.next(self.deeper)

    @step
    def deeper(self):
        sys.setrecursionlimit(20000)
        self.reached = depth()
        nested = json.loads("[" * 900 + "]" * 900)
        self.text = len(repr(nested))
        self.next(self.end)

    @step
    def end(self):
        assert self.reached > 10000
        self.limit = sys.getrecursionlimit()


if __name__ == "__main__":
    DeepRecursionFlow()
