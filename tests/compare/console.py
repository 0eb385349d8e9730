"""What a launcher printed, in a form in which two equal runs are equal.

Lines of the run keep their order. Lines of a task are grouped by task: the launcher's own in their order, the user's as
a sorted list, because two streams meet there, and for each stream whether its lines kept their order.
"""

import re

from normalise import CHATTER, WHY, in_one_wording

TASK_LINE = re.compile(r"^<time> \[<run>/(\S+) \(pid <pid>\)\] ?(\[<uuid>\] )?(.*)$")
LAUNCHER = re.compile(
    r"^(Task is starting( \(retry\))?\.|Task fallback is starting .*"
    r"|Task finished successfully\.|Foreach yields \d+ child steps\.|Task failed\.|Task failed with a segmentation fault\."
    r"|\[KILLED BY ORCHESTRATOR\])$"
)
# Told every five minutes (metaflow/runtime.py, PROGRESS_INTERVAL), so of a slow run only.
PROGRESS = re.compile(r"^<time> ((No|\d+) tasks? (is|are) (running|waiting in the queue)\b|(\w+ step has|\d+ steps have) not started)")

# Told of a foreach on Batch only, which upstream does without a word.
WIDTH = re.compile(r"^<time> Step \w+ has \d+ tasks, and \d+ of them run at once: ")


def view(text, run_view, normalise, in_order=False):
    """`text` is one stream of the launcher; `run_view` the Client's view of the run, if there was one.

    With `in_order` the run is one in which no two tasks run at one time, so that the order of tasks is compared too.
    """
    run_lines, tasks, started = [], {}, []
    for line in text.split("\n"):
        line = normalise(line.rstrip("\r"))
        match = TASK_LINE.match(line)
        if PROGRESS.match(line) or WIDTH.match(line) or (match and is_chatter(match)):
            continue
        if match:
            tasks.setdefault(match[1], []).append(match[3])
            started += [match[1]] if match[3].startswith("Task is starting") else []
        else:
            run_lines.append(line)
    run_lines = without_frames(run_lines)
    streams = streams_of_tasks(run_view)
    return {
        "run": run_lines,
        "started": started if in_order else sorted(started),
        "tasks": {key: task_view(lines, streams.get(key, {})) for key, lines in sorted(tasks.items())},
    }


def is_chatter(match):
    """Lines about a Batch job; the launcher's own line about a start has no job in front. What upstream's message about a
    failed job begins with is an empty line."""
    if match[3] == "[<uuid>]":
        return True
    return bool(CHATTER.match(match[3])) and (match[2] is not None or match[3] != "Task is starting.")


def without_frames(lines):
    """The launcher's own tracebacks without what they passed through: that is the launcher's affair."""
    kept, in_traceback = [], False
    for line in lines:
        in_traceback = line.startswith("Traceback ") or (in_traceback and line.startswith("  "))
        if not in_traceback or line.startswith("Traceback "):
            kept.append(line)
    return kept


def task_view(lines, streams):
    lines = in_one_wording(lines)
    return {
        "launcher": [line for line in lines if LAUNCHER.match(line)],
        "user": sorted(line for line in lines if not LAUNCHER.match(line)),
        "in_order": {s: is_subsequence(expected, map(str.strip, lines)) for s, expected in streams.items()},
    }


def streams_of_tasks(run_view):
    """Lines by task and stream, all attempts in a row, as the console shows them."""
    streams = {}
    for step in (run_view or {"steps": {}})["steps"].values():
        for key, task in step["tasks"].items():
            attempts = [task["attempts"][a] for a in sorted(task["attempts"], key=int)]
            streams[key] = {s: [shown(line) for a in attempts for line in a[s] if line != WHY] for s in ("stdout", "stderr")}
    return streams


def shown(line):
    """A stored line as the console shows it: stripped, and with replacement characters for what is not UTF-8. The job in
    front of it is taken off the console's lines, too."""
    line = re.sub(r"^\[<uuid>\] ", "", line)
    return re.sub(r"(\\x[89a-f][0-9a-f])", "\ufffd", line).strip()


def is_subsequence(expected, lines):
    rest = iter(lines)
    return all(any(line == wanted for line in rest) for wanted in expected)
