"""Prints what upstream's Client tells of a task, as JSON: its metadata by Ferroflow, by attempt, and its standard error.

usage.py FLOW/RUN/STEP/TASK
"""

import json
import sys

from metaflow import Task, namespace


def of_ferroflow(task):
    found = {}
    for metadata in task.metadata:
        if metadata.name.startswith("ferroflow-"):
            assert metadata.type == metadata.name, metadata
            assert metadata.name not in found, "twice: %s" % metadata.name
            found[metadata.name] = metadata.value
    return found


def main():
    namespace(None)
    task = Task(sys.argv[1])
    attempts = [Task(sys.argv[1], attempt=i) for i in range(task.current_attempt + 1)]
    told = {
        "attempts": [{"metadata": of_ferroflow(one), "stderr": one.stderr, "stdout": one.stdout} for one in attempts],
        "latest": {name: value for name, value in task.metadata_dict.items() if name.startswith("ferroflow-")},
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
