"""Each way in which a step can leave its process, but for exit code 0; what comes after is @catch's."""

import ctypes
import os
import sys

from metaflow import FlowSpec, catch, step

WAYS = {
    "three": lambda: sys.exit(3),
    "text": lambda: sys.exit("a last word"),
    "much": lambda: sys.exit(256 + 7),
    "negative": lambda: sys.exit(-1),
    "bool": lambda: sys.exit(True),
    "pair": lambda: sys.exit((1, 2)),
    "builtin": lambda: exit(4),
    "hard": lambda: os._exit(5),
    "abort": lambda: os.abort(),
    "crash": lambda: ctypes.string_at(0),
    "interrupt": lambda: interrupt(),
    "generator": lambda: leave_generator(),
}


def interrupt():
    raise KeyboardInterrupt


def leave_generator():
    raise GeneratorExit


class ExitsFlow(FlowSpec):
    @step
    def start(self):
        self.ways = sorted(WAYS)
        self.next(self.leave, foreach="ways")

    @catch(var="caught")
    @step
    def leave(self):
        print("leaving by", self.input)
        WAYS[self.input]()
        self.next(self.join)

    @step
    def join(self, inputs):
        self.caught = {i.input: type(i.caught).__name__ for i in inputs}
        self.next(self.end)

    @step
    def end(self):
        print(self.caught)


if __name__ == "__main__":
    ExitsFlow()
