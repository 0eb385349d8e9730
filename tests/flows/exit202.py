"""Exit code 202: the task is dropped without a retry, the other branch goes on, and the run fails at its end."""

import os

from metaflow import FlowSpec, retry, step


class Exit202Flow(FlowSpec):
    @step
    def start(self):
        self.next(self.refused, self.goes_on)

    @retry(times=3, minutes_between_retries=0)
    @step
    def refused(self):
        print("leaving with code 202", flush=True)
        os._exit(202)
        self.next(self.join)

    @step
    def goes_on(self):
        self.next(self.goes_on_further)

    @step
    def goes_on_further(self):
        self.value = "reached"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Exit202Flow()
