"""A folder for temporary files that each task makes for itself, and takes down at its end."""

import os
import tempfile

from metaflow import FlowSpec, step

folder = tempfile.TemporaryDirectory()


class TemporaryFlow(FlowSpec):
    @step
    def start(self):
        self.items = [0, 1, 2]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        # fails where another task has the same folder, or has taken it down
        with open(os.path.join(folder.name, "scratch"), "x") as file:
            file.write("mine")
        self.next(self.join)

    @step
    def join(self, inputs):
        assert os.listdir(folder.name) == []
        self.next(self.end)

    @step
    def end(self):
        assert os.path.isdir(folder.name)


if __name__ == "__main__":
    TemporaryFlow()
