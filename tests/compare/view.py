#!/usr/bin/env python3
"""Prints what upstream's Client sees of a run, as JSON in which two equal runs are equal.

    view.py FLOW/RUN [--folder FOLDER] [--origin RUN --origin-view FILE]

Tasks are named by their step, foreach indices and round of recursion, not by their ids. Under `ids` stand the ids, for
the view of a run that resumes this one; a comparison leaves them out.
"""

import argparse
import json
import sys

import artifact
import batch_job
import listings
from metaflow import Run, Step, Task, namespace
from metaflow.cards import get_cards
from metaflow.exception import MetaflowNotFound
from normalise import CHATTER, Normaliser, in_one_wording
from store import Store


# What Ferroflow adds to the metadata of tasks on Batch (docs/differences.md).
OF_FERROFLOW = {
    "ferroflow-peak-memory-mb",
    "ferroflow-memory-limit-mb",
    "ferroflow-cpu-seconds",
    "ferroflow-wall-seconds",
    "ferroflow-gpu-memory-mb",
}
# What it says for an attempt on Batch whose container was killed, so that the Client finds the attempt's logs.
OF_THE_LAUNCHER = {"attempt", "ds-type", "ds-root"}


class RunView:
    def __init__(self, pathspec, folder=None, origin=None, origin_view=None):
        namespace(None)
        self.run = Run(pathspec)
        self.flow_name, self.run_id = pathspec.split("/")
        self.normalise = Normaliser(self.run_id, folder, origin, origin_view)
        self.store = None
        self.keys = {}
        self.code_packages = {}

    def view(self):
        steps = self._steps()
        tasks = {step.id: sorted(step, key=id_order) for step in steps}
        self._open_store(tasks)
        for step_name, of_step in tasks.items():
            self._name_tasks(step_name, of_step)
        ids = {"/".join(ids): key for ids, key in self.keys.items()}
        self.normalise.name_tasks(ids)
        return {
            "run": self._run(),
            "steps": {step.id: self._step(step, tasks[step.id]) for step in steps},
            "ids": ids,
        }

    def _steps(self):
        steps = [Step("%s/%s/_parameters" % (self.flow_name, self.run_id))]
        return steps + [step for step in self.run if step.id != "_parameters"]

    def _open_store(self, tasks):
        """`_parameters` has no metadata about the datastore; any artifact tells where it is."""
        found = raw_artifacts(tasks["_parameters"][0])[0]
        location = found["location"].replace(":root:", "", 1)
        self.store = Store(self.flow_name, found["ds_type"], location.split("/%s/data/" % self.flow_name)[0])

    def _name_tasks(self, step_name, tasks):
        taken = set()
        for task in tasks:
            key = step_name + position(task)
            while key in taken:
                key += "'"
            taken.add(key)
            self.keys[step_name, task.id] = key

    def _run(self):
        run = self.run
        end = run.end_task
        return {
            "tags": sorted(run.user_tags),
            "system_tags": sorted(run.system_tags),
            "successful": run.successful,
            "finished": run.finished,
            "end_task": self.keys[end.path_components[2], end.id] if end else None,
            "origin": self.normalise(str(run.origin_pathspec)),
            "code": code(run),
            "has_trigger": run.trigger is not None,
            "is_latest": run.parent.latest_run.id == run.id,
        }

    def _step(self, step, tasks):
        return {
            "tags": [sorted(step.user_tags), sorted(step.system_tags)],
            "parents": related_steps(step, "parent_steps"),
            "children": related_steps(step, "child_steps"),
            "ids_follow_indices": ids_follow_indices(step.id, tasks),
            "tasks": {self.keys[step.id, task.id]: self._task(task) for task in tasks},
        }

    def _task(self, task):
        files = self.store.files(self.run_id, task.path_components[2], task.id)
        attempts = sorted((a for a in files if a), key=int)
        seen = {
            "tags": [sorted(task.user_tags), sorted(task.system_tags)],
            "id_is_a_number": task.id.isdigit(),
            "successful": task.successful,
            "finished": task.finished,
            "exception": self.normalise(repr(task.exception)),
            "current_attempt": task.current_attempt,
            "index": task.index,
            "runtime": task.runtime_name,
            "origin": self.normalise(str(task.origin_pathspec)),
            "metadata": self._all_metadata(task, self._killed(files)),
            "data": sorted(a.id for a in task),
            "files_of_no_attempt": files.get("", []),
            "attempts": {a: self._attempt(task, a, files[a]) for a in attempts},
            "code": self._code(task),
            # Where they are is metadata, too.
            "cards": None if self._killed({a: files[a] for a in attempts[-1:]}) else cards(task),
            "batch_job": batch_job.view(task),
        }
        if not task.path_components[2].startswith("_"):
            seen["parents"] = self._relatives(task, "parent_task_pathspecs")
            seen["children"] = self._relatives(task, "child_task_pathspecs")
        return seen

    def _attempt(self, task, attempt, files):
        at = Task(task.pathspec, attempt=int(attempt), _namespace_check=False)
        killed = self._killed({attempt: files})
        small = {}
        for name in ("runtime", "task_begin", "task_end", "DONE.lock"):
            if name in files:
                content = self.store.small_file(*task.path_components[1:], attempt, name)
                small[name] = self.normalise(json.dumps(content, sort_keys=True))
        return {
            "files": files,
            "small_files": hide_package(small),
            "logs": {n: self.store.log_file(*task.path_components[1:], attempt, n) for n in files if n.endswith(".log")},
            "successful": at.successful,
            "finished": at.finished,
            "metadata": self._all_metadata(at, killed),
            "artifacts": self._artifacts(at),
            "stdout": [] if killed else self._lines(at, "stdout"),
            "stderr": [] if killed else self._lines(at, "stderr"),
            "sizes": [at.stdout_size > 0, at.stderr_size > 0] if not killed else None,
        }

    def _artifacts(self, task):
        seen = {}
        for record in raw_artifacts(task):
            seen[record["name"]] = artifact.view(record["name"], record, self.store.blob(record["sha"]), self.normalise)
        return seen

    def _lines(self, task, stream):
        lines = [line.decode("utf-8", "backslashreplace") for _, line in task.loglines(stream, as_unicode=False) if line]
        lines = [self.normalise(line) for line in lines]
        if "aws-batch-job-id" in task.metadata_dict:
            lines = in_one_wording(line for line in lines if not CHATTER.match(line))
        return lines

    def _killed(self, files):
        """Attempts on Batch of which no metadata came back."""
        left = {"DONE.lock", "local_metadata"}
        return {a for a, names in files.items() if a and self.store.is_remote and not left.intersection(names)}

    def _all_metadata(self, task, killed):
        """Without what Ferroflow adds (docs/differences.md).

        A cloned task registers facts about its process twice, of which the local provider keeps both unless they come
        within one millisecond.
        """
        records = [m for m in task.metadata if m.name not in OF_FERROFLOW]
        seen = sorted(self._metadata(m) for m in records if not killed or m.name not in OF_THE_LAUNCHER)
        if killed:
            others = {m.value for m in records if m.name == "attempt"} - killed
            seen.append(["<attempts>", sorted(others)])
        if any(entry[0] == "origin-run-id" for entry in seen):
            return [entry for before, entry in zip([None] + seen, seen) if entry != before]
        return seen

    def _metadata(self, metadata):
        name, value = metadata.name, metadata.value
        if metadata.type == "card-info":
            name, value = "<card>", json.dumps({**json.loads(value), "card_uuid": "<card>"}, sort_keys=True)
        elif name == "code-package":
            value = sorted(json.loads(value))
        elif name.startswith("aws-batch-") or name == "origin-task-id":
            value = "<any>"
        return [name, str(metadata.type), self.normalise(str(value))]

    def _code(self, task):
        """Most tasks have the same package, which upstream's Client fetches and unpacks for each of them."""
        package = task.metadata_dict.get("code-package")
        if package not in self.code_packages:
            self.code_packages[package] = code(task)
        return self.code_packages[package]

    def _relatives(self, task, which):
        try:
            pathspecs = list(getattr(task, which))
        except (KeyError, MetaflowNotFound) as e:  # A task that died has no graph.
            return type(e).__name__
        return sorted(self.keys[tuple(p.split("/")[2:])] for p in pathspecs)


def raw_artifacts(task):
    """All artifacts, also those whose names start with `_`, which iterating over a task leaves out."""
    provider = task._metaflow.metadata
    found = provider.get_object("task", "artifact", None, task._attempt, *task.path_components)
    return found or []


def related_steps(step, which):
    """Up to the first one that never started, where upstream's Client stops with an error, as it does without a graph."""
    found = []
    if step.id.startswith("_"):
        return found
    try:
        for related in getattr(step, which):
            found.append(related.id)
    except (MetaflowNotFound, KeyError) as e:
        found.append(type(e).__name__)
    return sorted(found)


def position(task):
    """`[1,0](2)`: the indices of the foreaches around a task and the round of the recursive step that it is."""
    try:
        foreach = [frame.index for frame in task["_foreach_stack"].data]
        rounds = task["_iteration_stack"].data if "_iteration_stack" in task else []
    except KeyError:  # Without artifacts the metadata must do.
        path = task.metadata_dict.get("foreach-execution-path", "")
        foreach, rounds = [part.split(":")[1] for part in path.split(",") if part], []
    text = "[%s]" % ",".join(map(str, foreach)) if foreach else ""
    return text + ("(%s)" % ",".join(map(str, rounds)) if rounds else "")


def ids_follow_indices(step_name, tasks):
    """Whether the children of a foreach, in the order of their ids, are in the order of their indices."""
    siblings = {}
    for task in tasks:
        frames = task["_foreach_stack"].data if "_foreach_stack" in task else []
        if frames and frames[-1].step == step_name:
            siblings.setdefault(tuple(frame.index for frame in frames[:-1]), []).append(frames[-1].index)
    return all(group == sorted(group) for group in siblings.values())


def id_order(task):
    return (0, int(task.id), "") if task.id.isdigit() else (1, 0, task.id)


def code(holder):
    package = holder.code
    if package is None:
        return None
    with package.tarball as tarball:
        members = sorted(m.name for m in tarball.getmembers() if not m.name.startswith(".mf_code/"))
    source = package.flowspec.decode() if isinstance(package.flowspec, bytes) else package.flowspec
    return {"script": package.script_name, "info": sorted(package.info), "files": members, "flow": source}


def hide_package(small):
    """Where the code package is kept differs with its contents; whether there is one does not."""
    begin = json.loads(small["task_begin"]) if "task_begin" in small else None
    if begin:
        for name in ("code_package_sha", "code_package_url"):
            begin[name] = begin[name] is not None
        small["task_begin"] = json.dumps(begin, sort_keys=True)
    return small


def cards(task):
    try:
        return sorted(card.type for card in get_cards(task))
    except Exception as e:  # Cards of a task that never ran raise one of several errors.
        return type(e).__name__


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pathspec")
    parser.add_argument("--folder", help="the folder of the run, replaced wherever it is named")
    parser.add_argument("--origin", help="id of the run that this one resumed")
    parser.add_argument("--origin-view", type=argparse.FileType(), help="file with the view of that run")
    given = parser.parse_args()
    listings.in_this_process()
    origin_view = json.load(given.origin_view) if given.origin_view else None
    seen = RunView(given.pathspec, given.folder, given.origin, origin_view).view()
    json.dump(seen, sys.stdout, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
