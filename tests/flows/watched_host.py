"""Looks at the process that launches the run: how many tasks it makes, slowly, and how many of them it keeps."""

import gc
import os
import sys
import time

from metaflow import FlowSpec, environment, step
from metaflow.plugins.environment_decorator import EnvironmentDecorator
from metaflow.plugins.metadata_providers.local import LocalMetadataProvider

SHARED = os.environ["TEST_SHARED"]


def watch():
    upstream = LocalMetadataProvider.new_task_id

    def new_task_id(self, run_id, step_name, *args, **kwargs):
        if step_name == "work" and os.environ.get("SLOW_METADATA"):
            index = len(os.listdir(SHARED))
            open(os.path.join(SHARED, "made-%d" % index), "w").close()
            time.sleep(2)
        return upstream(self, run_id, step_name, *args, **kwargs)

    def runtime_finished(_deco, _exception):
        gc.collect()
        tasks = [o for o in gc.get_objects() if type(o).__module__ == "metaflow.runtime" and type(o).__name__ == "Task"]
        print("tasks kept: %d" % len(tasks), flush=True)

    LocalMetadataProvider.new_task_id = new_task_id
    EnvironmentDecorator.runtime_finished = runtime_finished


class WatchedHostFlow(FlowSpec):
    @environment(vars={"A": "1"})
    @step
    def start(self):
        self.items = list(range(12))
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    if "run" in sys.argv:
        watch()
    WatchedHostFlow()
