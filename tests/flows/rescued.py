"""A flow whose job fails, and whose fallback, last step and exit hook are the launcher's machine's. The hook leaves a mark in a
folder that it shares with the test."""

import os

from metaflow import FlowSpec, batch, catch, exit_hook, step

import rescued_words


def report(run):
    with open(os.path.join(os.environ["TEST_SHARED"], "hook"), "a") as f:
        f.write("%s\n" % run.pathspec)


@exit_hook(on_success=[report])
class RescuedFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.work)

    @catch(var="problem")
    @batch
    @step
    def work(self):
        rescued_words.fail()
        self.next(self.end)

    @step
    def end(self):
        assert self.problem
        print("the problem was:", self.problem)


if __name__ == "__main__":
    RescuedFlow()
