"""Prints what upstream's Client sees of the tasks of a run, by step, in the order of their indices: `tasks.py Flow/run-id`."""

import json
import sys

from metaflow import Run, namespace

namespace(None)
steps = {}
for step in Run(sys.argv[1]):
    tasks = [
        {
            "index": task.index,
            "successful": task.successful,
            "attempt": task.current_attempt,
            "kept": task["kept"].data if "kept" in task else None,
            "attempts": sorted(m.value for m in task.metadata if m.name == "attempt"),
        }
        for task in step
    ]
    steps[step.id] = sorted(tasks, key=lambda task: (task["index"] is not None, task["index"]))
print(json.dumps(steps))
