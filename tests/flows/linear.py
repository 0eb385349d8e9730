"""Three steps in a row; artifacts of many types, class constants and what a task finds in its environment."""

import os
import sys

from metaflow import FlowSpec, current, step


def other(name):
    """What a Batch task is told in another way: upstream chops long inputs into variables, and packages differ in bytes."""
    return name in ("METAFLOW_CODE_SHA", "METAFLOW_CODE_URL") or name.startswith("METAFLOW_INPUT_PATHS_")


class LinearFlow(FlowSpec):
    colour = "rust"
    limits = {"low": 1, "high": 9}

    @step
    def start(self):
        print("hello from start")
        print("a warning from start", file=sys.stderr)
        self.number = 42
        self.text = "fünf"
        self.nothing = None
        self.numbers = list(range(1000))
        self.nested = {"a": [1, 2.5, (True, b"\x00\xff")], "b": {"c": None}}
        self.next(self.middle)

    @step
    def middle(self):
        self.number += 1
        self.environment = {k: v for k, v in sorted(os.environ.items()) if k.startswith("METAFLOW_") and not other(k)}
        self.unbuffered = os.environ.get("PYTHONUNBUFFERED")
        self.stdin_is_a_terminal = sys.stdin.isatty()
        self.seen = [current.flow_name, current.step_name, current.retry_count, current.username, current.namespace]
        self.arguments = sys.argv[0]
        self.next(self.end)

    @step
    def end(self):
        assert self.number == 43
        assert self.colour == "rust"
        print("the end, number is", self.number)


if __name__ == "__main__":
    LinearFlow()
