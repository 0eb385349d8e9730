"""A foreach whose even items have no label: their tasks end without a retry and let the others go on, which wait for a file
where WAIT says so."""

import os
import time

from metaflow import FlowSpec, step

DEADLINE = 120


class BadItemsFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(8))
        self.next(self.work, foreach="items")

    @step
    def work(self):
        if self.input % 2 == 0:
            print("looking at item %d" % self.input)
            print("item %d of 0a1b2c3d4e%02d has no label" % (self.input, self.input), flush=True)
            os._exit(202)
        limit = time.monotonic() + DEADLINE
        release = os.path.join(os.environ["TEST_SHARED"], "release")
        while os.environ.get("WAIT") and not os.path.exists(release) and time.monotonic() < limit:
            time.sleep(0.02)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    BadItemsFlow()
