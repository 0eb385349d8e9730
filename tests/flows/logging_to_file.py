"""Logging to a file that a module has opened: each task appends to it through an open file of its own."""

import logging
import os

from metaflow import FlowSpec, step

log = logging.getLogger("flow")
log.addHandler(logging.FileHandler(os.path.join(os.environ["TEST_SHARED"], "log")))


class LoggingToFileFlow(FlowSpec):
    @step
    def start(self):
        log.warning("in start")
        self.next(self.end)

    @step
    def end(self):
        log.warning("in end")
        with open(os.path.join(os.environ["TEST_SHARED"], "log")) as file:
            self.lines = file.read().splitlines()
        assert self.lines == ["in start", "in end"], self.lines


if __name__ == "__main__":
    LoggingToFileFlow()
