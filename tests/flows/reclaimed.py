"""A task that must not fail, and one that always does: each leaves a mark when its code begins."""

import os

from metaflow import FlowSpec, catch, current, retry, step


def mark(name):
    with open(os.path.join(os.environ["TEST_SHARED"], "begun-%s" % name), "a") as f:
        f.write("%d\n" % current.retry_count)


class ReclaimedFlow(FlowSpec):
    @retry(times=0)
    @catch(var="caught")
    @step
    def start(self):
        mark(0)
        self.done = True
        self.next(self.end)

    @retry(times=0)
    @step
    def end(self):
        mark(1)
        assert self.done and self.caught is None
        raise ValueError("a bug of the user's")


if __name__ == "__main__":
    ReclaimedFlow()
