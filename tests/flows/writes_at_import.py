"""A file that writes when it is loaded, to both streams: the lines stand in the log of each task."""

import sys
import warnings

from metaflow import FlowSpec, step

print("loaded", "with %d lines" % 2)
sys.stdout.write("the second\n")
warnings.warn("a warning from the file")
print("a complaint", file=sys.stderr)


class WritesAtImportFlow(FlowSpec):
    @step
    def start(self):
        print("in start")
        self.next(self.end)

    @step
    def end(self):
        print("in end", file=sys.stderr)


if __name__ == "__main__":
    WritesAtImportFlow()
