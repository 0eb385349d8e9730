"""Attempts that fail in four ways before one succeeds: an exception, an exit code, a signal, an exit after success."""

import atexit
import os
import signal
import sys

from metaflow import FlowSpec, current, retry, step

# Only the Batch launcher waits between attempts; a local run that waited would exceed every deadline.
MINUTES = int(os.environ.get("MINUTES_BETWEEN_RETRIES", "5"))


class RetryFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.raises, self.exits, self.dies, self.dies_late)

    @retry(times=2, minutes_between_retries=MINUTES)
    @step
    def raises(self):
        self.attempt = current.retry_count
        print("attempt", self.attempt)
        if self.attempt < 2:
            raise ValueError("attempt %d shall fail" % self.attempt)
        self.next(self.join)

    @retry(times=1, minutes_between_retries=MINUTES)
    @step
    def exits(self):
        self.attempt = current.retry_count
        if self.attempt < 1:
            print("leaving with code 3", file=sys.stderr, flush=True)
            os._exit(3)
        self.next(self.join)

    @retry(times=1, minutes_between_retries=MINUTES)
    @step
    def dies(self):
        self.attempt = current.retry_count
        if self.attempt < 1:
            os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.join)

    @retry(times=1, minutes_between_retries=MINUTES)
    @step
    def dies_late(self):
        """The first attempt stores its results as successful and then leaves with an exit code of 7."""
        self.attempt = current.retry_count
        if self.attempt < 1:
            atexit.register(os._exit, 7)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.attempts = dict(sorted((i._current_step, i.attempt) for i in inputs))
        self.next(self.end)

    @step
    def end(self):
        assert self.attempts == {"dies": 1, "dies_late": 1, "exits": 1, "raises": 2}, self.attempts


if __name__ == "__main__":
    RetryFlow()
