"""@environment with more than fits into the overrides of a job: its variables reach their step all the same."""

import os

from metaflow import FlowSpec, environment, step

VARIABLES = {"SHORT": "a b", "LONG": "é" * 3000, "LONGER": "x" * 9000}


class EnvironmentLongFlow(FlowSpec):
    @environment(vars=VARIABLES)
    @step
    def start(self):
        self.found = {name: os.environ.get(name) for name in VARIABLES}
        self.next(self.end)

    @step
    def end(self):
        assert self.found == VARIABLES
        assert "LONG" not in os.environ


if __name__ == "__main__":
    EnvironmentLongFlow()
