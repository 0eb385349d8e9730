"""A flow with a bit of everything: a static split, a wide foreach, and a foreach in a foreach. The embedded stack plays what is
on AWS Batch; each task of this machine leaves a mark when its code begins, in a folder that it shares with the caller."""

import os

from metaflow import FlowSpec, Parameter, batch, current, retry, step


def mark():
    name = "begun-%s-%s" % (current.step_name, current.task_id)
    with open(os.path.join(os.environ["TEST_SHARED"], name), "a") as f:
        f.write("%d\n" % current.retry_count)


class PhasesFlow(FlowSpec):
    width = Parameter("width", type=int, default=40)

    @step
    def start(self):
        mark()
        self.kept = "kept"
        self.next(self.fan, self.nest)

    @step
    def fan(self):
        mark()
        self.items = list(range(self.width))
        self.next(self.work, foreach="items")

    @retry(times=1, minutes_between_retries=0)
    @batch
    @step
    def work(self):
        assert False, "this step is simulated"
        self.next(self.join)

    @step
    def join(self, inputs):
        mark()
        self.kept = inputs[0].kept
        self.next(self.meet)

    @batch
    @step
    def nest(self):
        self.next(self.outer, foreach="more")

    @retry(times=1, minutes_between_retries=0)
    @batch
    @step
    def outer(self):
        self.next(self.inner, foreach="more")

    @batch
    @step
    def inner(self):
        self.next(self.inner_join)

    @batch
    @step
    def inner_join(self, inputs):
        self.next(self.outer_join)

    @batch
    @step
    def outer_join(self, inputs):
        self.next(self.meet)

    @step
    def meet(self, inputs):
        mark()
        self.kept = inputs.join.kept
        self.next(self.end)

    @step
    def end(self):
        mark()
        assert self.kept == "kept"


if __name__ == "__main__":
    PhasesFlow()
