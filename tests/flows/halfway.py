"""A flow whose foreach runs on AWS Batch and the rest where the launcher is. Each task leaves a mark each time that its code
begins, in a folder that it shares with the test. The last step fails as long as that has a file `broken`."""

import os

from metaflow import FlowSpec, Parameter, batch, current, environment, step

SHARED = os.environ.get("TEST_SHARED", "")


def mark(name):
    with open(os.path.join(SHARED, "begun-%s" % name), "a") as f:
        f.write("%d\n" % current.retry_count)


class HalfwayFlow(FlowSpec):
    word = Parameter("word", default="default")

    @step
    def start(self):
        mark("start")
        self.items = [0, 1]
        self.next(self.work, foreach="items")

    @environment(vars={"TEST_SHARED": SHARED})
    @batch
    @step
    def work(self):
        mark(self.input)
        self.value = "%s-%d" % (self.word, self.input)
        self.next(self.join)

    @step
    def join(self, inputs):
        mark("join")
        self.values = [i.value for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        mark("end")
        if os.path.exists(os.path.join(SHARED, "broken")):
            raise RuntimeError("the last step is broken")
        print("values:", self.values)


if __name__ == "__main__":
    HalfwayFlow()
