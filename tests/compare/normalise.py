"""What differs from run to run in a text: run ids, task ids, folders, process ids, times, addresses."""

import os
import re
import tempfile

GENERAL = [
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?"), "<time>"),
    (re.compile(r"\(pid \d+\)"), "(pid <pid>)"),
    (re.compile(r"0x[0-9a-f]{6,}"), "<address>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?::\d+)?\b"), "<uuid>"),
    (re.compile(r"(?:/private)?%s/tmp[a-z0-9_]+" % re.escape(tempfile.gettempdir())), "<temporary>"),
]
# What the way to Batch says about itself, in an order that depends on time. It is no part of what a task says.
CHATTER = re.compile(
    r"^(\[<uuid>\] )?(Task is starting \(status .*|Setting up task environment\.|Downloading code package\.\.\."
    r"|Code package downloaded\.|Task is starting\.) ?$"
)
# Why a job failed is said in other words on purpose (docs/differences.md), and in one line instead of several.
WHY = "<why the job failed>"
WORDS = re.compile(
    r"(\[<uuid>\] )?\s*(AWS Batch error:|.* This could be a transient error\. Use @retry to retry\."
    r"|Data store error:|No completed attempts of the task was found for task .*"
    r"|The task (failed with exit code|was ended by signal|reached its time limit|ran out of memory)\b.*)$"
)
AROUND = re.compile(r"(\[<uuid>\])?\s*$")
TASK = re.compile(r"<(run|origin)>/(\w+/\d+)\b")
FAILURE = re.compile(r"\bStep (\w+) \(task-id (\d+)\)")


def in_one_wording(lines):
    """Lines with one `WHY` in the place of all that is said about one failed job, and of blank lines around it."""
    seen = []
    for line in lines:
        if WORDS.match(line):
            while seen and AROUND.match(seen[-1]):
                seen.pop()
            seen += [] if seen and seen[-1] == WHY else [WHY]
        elif not (AROUND.match(line) and seen and seen[-1] == WHY):
            seen.append(line)
    return seen


def of_the_place():
    """The embedded stack's folder and address: a kept run of upstream was made on another stack."""
    folder, endpoint = os.environ.get("FERROFLOW_TEST_STACK"), os.environ.get("AWS_ENDPOINT_URL")
    return [(text, name) for text, name in ((folder, "<stack>"), (endpoint, "<endpoint>")) if text]


class Normaliser:
    """Texts of one run, and of the run that it resumes."""

    def __init__(self, run_id, folder=None, origin=None, origin_view=None):
        self._literal = [(run_id, "<run>"), *of_the_place()]
        if origin:
            self._literal.append((origin, "<origin>"))
        if folder:
            self._literal.append((folder, "<folder>"))
        self._literal.sort(key=lambda pair: -len(pair[0]))
        self._ids = {"origin": origin_view["ids"] if origin_view else {}, "run": {}}

    def name_tasks(self, ids):
        """`ids` maps `step/task id` to the name that the comparison gives to the task."""
        self._ids["run"] = ids

    def __call__(self, text):
        for literal, replacement in self._literal:
            text = text.replace(literal, replacement)
        for pattern, replacement in GENERAL:
            text = pattern.sub(replacement, text)
        text = TASK.sub(self._task, text)
        return FAILURE.sub(self._failure, text)

    def concerns(self, data):
        """Whether bytes name this run, so that they cannot be compared as they are."""
        return any(literal.encode() in data for literal, _ in self._literal)

    def _task(self, match):
        key = self._ids[match[1]].get(match[2])
        return "<%s>/%s" % (match[1], key) if key else match[0]

    def _failure(self, match):
        return "Step %s (task-id of %s)" % (match[1], self._ids["run"].get("%s/%s" % (match[1], match[2]), match[2]))
