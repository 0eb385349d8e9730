"""A step that runs counts.py, beside this file, by a Runner, with a datastore in the step's own folder."""

import os

from metaflow import FlowSpec, Parameter, Runner, step


class NestsFlow(FlowSpec):
    folder = Parameter("folder", default="")

    @step
    def start(self):
        flow = os.path.join(os.path.dirname(os.path.abspath(__file__)), "counts.py")
        with Runner(flow, datastore="local") as runner:
            done = runner.run(number=4, folder=self.folder)
        self.status = done.status
        self.nested = done.run.pathspec
        self.total = done.run.data.total
        self.next(self.end)

    @step
    def end(self):
        assert (self.status, self.total) == ("successful", 44)


if __name__ == "__main__":
    NestsFlow()
