"""A step that runs another flow. As METAFLOW_RUN_ID stands in a task's environment, it becomes that flow's `id`."""

import os
import subprocess
import sys

from metaflow import FlowSpec, Run, namespace, step


class NestedRunFlow(FlowSpec):
    @step
    def start(self):
        flow = os.path.join(os.path.dirname(os.path.abspath(__file__)), "parameters.py")
        command = [sys.executable, flow, "--quiet", "run", "--must", "x", "--run-id-file", "nested_id"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.code = done.returncode
        if self.code:
            print(done.stdout.decode())
        self.next(self.look)

    @step
    def look(self):
        namespace(None)
        with open("nested_id") as f:
            nested = Run("ParametersFlow/" + f.read())
        self.nested_was_successful = nested.successful
        self.nested_is_another_run = nested.id != os.environ["METAFLOW_RUN_ID"]
        self.id_came_from_this_task = nested["end"].task.data.id == os.environ["METAFLOW_RUN_ID"]
        self.next(self.end)

    @step
    def end(self):
        assert self.code == 0 and self.nested_was_successful and self.nested_is_another_run


if __name__ == "__main__":
    NestedRunFlow()
