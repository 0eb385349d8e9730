"""Logging that is set up when a module is loaded, to both streams."""

import logging
import sys

from metaflow import FlowSpec, step

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
log = logging.getLogger("flow")
log.addHandler(logging.StreamHandler())


class LoggingSetupFlow(FlowSpec):
    @step
    def start(self):
        log.info("in start")
        logging.getLogger("other").warning("also in start")
        self.next(self.end)

    @step
    def end(self):
        logging.getLogger().setLevel(logging.DEBUG)
        log.debug("in end")


if __name__ == "__main__":
    LoggingSetupFlow()
