"""A module that starts a process when it is imported: it is the child of the task that imports it."""

import os
import subprocess
import sys

from metaflow import FlowSpec, step

server = subprocess.Popen(
    [sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.read())"],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    universal_newlines=True,
)


class ImportChildFlow(FlowSpec):
    @step
    def start(self):
        self.answer = server.communicate("from start")[0]
        self.next(self.end)

    @step
    def end(self):
        self.answer = server.communicate("from end")[0]
        assert self.answer == "from end"
        assert server.returncode == 0 and os.getpid() != server.pid


if __name__ == "__main__":
    ImportChildFlow()
