"""Tasks, two or as many as WIDTH says, that wait until a test lets them go or ends them; each leaves its process id in a
shared folder, and a mark for each attempt that has begun. With BATCH_CPUS they alone run on AWS Batch, each with so many
processors."""

import os
import signal
import time

from metaflow import FlowSpec, batch, current, environment, step

SHARED = os.environ["TEST_SHARED"]
DEADLINE = 120
CPUS = os.environ.get("BATCH_CPUS")


def on_batch(function):
    if not CPUS:
        return function
    return environment(vars={"TEST_SHARED": SHARED, "BATCH_CPUS": CPUS})(batch(cpu=int(CPUS))(function))


class BlocksFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(int(os.environ.get("WIDTH", "2"))))
        self.next(self.block, foreach="items")

    @on_batch
    @step
    def block(self):
        if os.environ.get("IGNORE_SIGNALS"):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open(os.path.join(SHARED, "begun-%d" % self.index), "a") as f:
            f.write("%d\n" % current.retry_count)
        path = os.path.join(SHARED, "task-%d" % self.index)
        with open(path + ".new", "w") as f:
            f.write(str(os.getpid()))
        os.rename(path + ".new", path)
        print("blocking", flush=True)
        limit = time.monotonic() + DEADLINE
        while not os.path.exists(os.path.join(SHARED, "release")) and time.monotonic() < limit:
            time.sleep(0.02)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    BlocksFlow()
