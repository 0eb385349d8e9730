"""What must be the same wherever a run takes place: an observation without what tells where its tasks ran.

A run on Batch by Ferroflow is so compared with upstream's run of the same command line on this machine. What is left out
is named here, one by one: all else must be equal.
"""

import copy
import re

from normalise import WHY

# Parts of a task's view, and of an attempt's, that are made by the way to Batch.
OF_THE_PLACE = {"batch_job", "code"}
OF_THE_PLACE_IN_ATTEMPTS = {"files", "logs", "sizes"}
METADATA_OF_THE_PLACE = re.compile(r"aws-batch-|ds-root$|ds-type$|code-package$|python_version$")

# What launchers say of Batch jobs, about their start, their end, and pauses.
WORDS_ABOUT_JOBS = re.compile(
    r"(\[<uuid>\] )?(Task finished with exit code 0\.|Sleeping \d+ minutes before the next AWS Batch retry"
    r"|Step \w+: @environment is longer than AWS Batch takes .*|%s)$" % WHY
)
# Told on standard output when the tasks' datastore is another.
LOCAL_DATASTORE = "Creating local datastore in current directory (<folder>/.metaflow)"
# In a container the flow and Metaflow lie elsewhere.
FILE = re.compile(r'File "[^"\n]*/([^"/\n]+)"')


def anywhere(observed, case):
    """`observed` is what `Side.run` gives: one observation for each command."""
    return [_command(seen, case) for seen in copy.deepcopy(observed)]


def _command(seen, case):
    if seen["run"]:
        _run(seen["run"], case)
    for stream in ("stdout", "stderr"):
        if stream in seen:
            _console(seen[stream])
    return seen


def _run(view, case):
    del view["run"]["code"]
    for step in view["steps"].values():
        for task in step["tasks"].values():
            _task(task, case)


def _task(task, case):
    for name in OF_THE_PLACE:
        del task[name]
    task["exception"] = _text(task["exception"])
    task["metadata"] = _metadata(task["metadata"])
    for attempt in task["attempts"].values():
        for name in OF_THE_PLACE_IN_ATTEMPTS:
            del attempt[name]
        # Code package and exit code of the launcher's process stand there.
        for name in ("task_begin", "runtime"):
            attempt["small_files"].pop(name, None)
        attempt["metadata"] = _metadata(attempt["metadata"])
        for stream in ("stdout", "stderr"):
            attempt[stream] = _lines(attempt[stream])
        _artifacts(attempt["artifacts"], case)


def _metadata(listed):
    return [record for record in listed if not METADATA_OF_THE_PLACE.match(record[0])]


def _artifacts(artifacts, case):
    for name in case.of_the_place:
        artifacts.pop(name, None)
    for seen in artifacts.values():
        if "pickle" in seen:
            seen["pickle"] = [_text(line) for line in seen["pickle"]]
        if seen["name"] == "_graph_info":
            for step in seen["value"]["steps"].values():
                step["decorators"] = [deco for deco in step["decorators"] if deco["name"] != "batch"]


def _console(stream):
    stream["run"] = [_text(line) for line in stream["run"] if line != LOCAL_DATASTORE]
    for task in stream["tasks"].values():
        # With the job in front of a line, what it begins with is not stripped, and an empty line is the launcher's.
        task["user"] = sorted(line.strip() for line in _lines(task["user"]) if line.strip())


def _lines(lines):
    return [_text(line) for line in lines if not WORDS_ABOUT_JOBS.match(line)]


def _text(text):
    return FILE.sub(r'File "<elsewhere>/\1"', text)
