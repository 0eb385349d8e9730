"""The command line of an attempt, made by upstream's own code.

Upstream's `_launch_workers` and `_retry_worker` run as they are, with every hook of every version in its place, until
they call `subprocess.Popen`; a stand-in takes the command line and the environment there and leaves by an exception.
"""

import contextlib
import copy
import functools
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

from . import attach, siblings
from .batch import LONGEST_ARGUMENT, Inexpressible, Unsubmittable, step_takes_input_file
from .errors import is_required, refused_step, required_step
from .forkable import changed_command, changed_variables
from .plan import batch_decorator


# `<attempt>.attempt.json`, by which a task says that an attempt began (task_datastore.py, `init_task`).
ATTEMPT_FILE = ".attempt.json"


# How long siblings are prepared before an answer is given: jobs need not wait for the rest, and signals are looked at.
LONGEST_ANSWER_S = 0.5


class _Captured(BaseException):
    """Upstream would start a process now. Not an `Exception`, so that nobody catches it by mistake."""

    def __init__(self, argv, env):
        super().__init__()
        self.argv = argv
        self.env = env


class _InsteadOfSubprocess:
    """What metaflow/runtime.py sees as `subprocess` while it prepares an attempt."""

    def __getattr__(self, name):
        return getattr(subprocess, name)

    @staticmethod
    def Popen(argv, env=None, **_kwargs):
        raise _Captured(list(argv), dict(os.environ if env is None else env))


class _Writes:
    """What upstream writes to S3 about a new attempt: the engine does it, at the same time as that of other attempts.

    Here each would be a request for which the next attempt waits, through a pool of threads made for it alone.
    """

    def __init__(self, flow_datastore):
        self._storage = getattr(flow_datastore, "_storage_impl", None) if flow_datastore.TYPE == "s3" else None
        self.taken = []

    @contextlib.contextmanager
    def taking(self):
        self.taken = []
        if self._storage is None:
            yield
            return
        upstream = self._storage.save_bytes

        def save_bytes(path_and_bytes_iter, overwrite=False, len_hint=0):
            left = [item for item in path_and_bytes_iter if not (overwrite and self._take(*item))]
            if left:
                upstream(iter(left), overwrite=overwrite, len_hint=len_hint)

        self._storage.save_bytes = save_bytes
        try:
            yield
        finally:
            del self._storage.save_bytes

    def _take(self, path, value):
        if not path.endswith(ATTEMPT_FILE) or not isinstance(value, io.BytesIO):
            return False
        self.taken.append({"key": path, "body": value.getvalue().decode("utf-8")})
        return True


class _NotCloned(dict):
    """Which tasks were cloned. Upstream's `_queue_tasks` writes down of each task that has ended that it was not; a join may
    have a hundred thousand of them."""

    def __missing__(self, path):
        return False


class Preparer:
    """Makes tasks and their command lines, and remembers the tasks until they are released."""

    def __init__(self, runtime, runtime_module, base_env, batch_steps, no_fork):
        self._runtime = runtime
        runtime._is_cloned = _NotCloned(runtime._is_cloned)
        self._module = runtime_module
        self._base_env = base_env
        self._batch_steps = batch_steps
        self._no_fork = no_fork
        self._takes_input_file = step_takes_input_file()
        self._folder = None
        self._told = set()
        self._different = {}
        self._counts = False
        self._writes = _Writes(runtime._flow_datastore)
        self.tasks = {}

    def prepare(self, question):
        """Answers a `prepare` message. Whatever upstream raises comes out."""
        captured, cli_args = self._launch(question)
        task = self.tasks[question["task"]] = cli_args.task
        argv = self._shorten(captured.argv, cli_args)
        env = difference(self._base_env, captured.env)
        place = self._place(task, cli_args, argv, captured.env)
        if place["kind"] == "local":
            place["fresh"] = self._no_fork or changed_command(argv) or changed_variables(env)
        return {
            "type": "prepared",
            "id": question["id"],
            "task_id": task.task_id,
            "argv": argv,
            "env": env,
            "cwd": os.getcwd(),
            "place": place,
            "writes": self._writes.taken,
        }

    def prepare_siblings(self, question):
        """Answers a `prepare_siblings` message: of those that follow from the first, only what is their own is told.

        An answer that would take long is about the first of them; the engine asks for the rest again.
        """
        asked = [dict(question, attempt=0, **member) for member in question["members"]]
        answers = [self.prepare(asked[0])]
        until = time.monotonic() + LONGEST_ANSWER_S
        differences, others = [], []
        if self._may_follow(asked[0], answers[0]):
            answers.append(self.prepare(asked[1]))
            until = time.monotonic() + LONGEST_ANSWER_S
            try:
                differences = siblings.differences(*[_sibling(*pair) for pair in zip(answers, asked)])
                others = self._follow(asked[1:], answers, until)
                answers = answers[:1]
            except siblings.Different as error:
                self._different[question["step"]] = str(error)
        alone = [] if others else asked[len(answers) :]
        for question_ in itertools.takewhile(lambda _: time.monotonic() < until, alone):
            answers.append(self.prepare(question_))
        return {
            "type": "prepared_siblings",
            "id": question["id"],
            "members": answers,
            "differences": differences,
            "others": others,
        }

    def _may_follow(self, question, answer):
        step, task = question["step"], self.tasks[question["task"]]
        if step not in self._different:
            known = hasattr(task, "_get_task_id") and siblings.alike(task.decos)
            if answer["place"]["kind"] != "batch" or not known:
                self._different[step] = "its decorators are not known"
        return step not in self._different

    def _follow(self, asked, answers, until):
        """Makes tasks that follow from the first one; the first of `asked` has been prepared, and shows whether they can."""
        # A copy, since a further attempt changes the task.
        task, write = copy.copy(self.tasks[asked[0]["task"]]), self._attempt_file(answers)
        others = [{"task_id": task.task_id, "writes": answers[1]["writes"]}]
        left = itertools.takewhile(lambda _: time.monotonic() < until, asked[1:])
        with siblings.in_bulk(self._runtime._metadata) as at_a_time:
            for question, sibling in siblings.each(functools.partial(self._sibling, task), left, at_a_time):
                self.tasks[question["task"]] = sibling
                others.append({"task_id": sibling.task_id, "writes": write(sibling.task_id)})
        return others

    def _sibling(self, task, question):
        self.check_run()
        return siblings.registered(task, question)

    def _attempt_file(self, answers):
        """What writes `0.attempt.json`, as the first two tasks show it."""

        def write(task_id):
            return [{"key": before + task_id + after, "body": json.dumps({"time": time.time()})}]

        before = after = ""
        for answer in answers:
            task_id = answer["task_id"]
            keys = [item["key"] for item in answer["writes"]]
            if len(keys) != 1 or list(json.loads(answer["writes"][0]["body"])) != ["time"]:
                raise siblings.Different("what is written when a task begins")
            folder, name = os.path.split(keys[0])
            before, after = folder[: len(folder) - len(task_id)], "/" + name
            if before + task_id != folder:
                raise siblings.Different("where it is written that a task begins")
        return write

    def release(self, key):
        """Forgets a task that has ended."""
        task = self.tasks.pop(key, None)
        if task is not None and self._folder is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._input_file(task))

    def close(self):
        """Removes what was written for tasks."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self, task, cli_args, argv, env):
        """Where the attempt belongs: see docs/host-protocol.md."""
        kind, reason = kind_of(task, cli_args)
        if kind == "batch":
            try:
                return self._batch_steps.place(task, cli_args, argv, env)
            except Unsubmittable as error:
                if is_required():
                    raise refused_step(task.step, str(error)) from None
                kind, reason = "foreign", str(error)
            except Inexpressible as error:
                kind, reason = "foreign", str(error)
            if not is_required():
                self._tell_once(task.step, reason)
        if kind == "foreign" and is_required():
            raise required_step(task.step, reason)
        return {"kind": kind}

    def _tell_once(self, step, reason):
        if (step, reason) not in self._told:
            self._told.add((step, reason))
            line = "ferroflow: step %s goes to AWS Batch through Metaflow's own process: %s" % (step, reason)
            print(line, file=sys.stderr, flush=True)

    def _launch(self, question):
        self.check_run()
        made = []
        with self._recording(made, question.get("max_user_code_retries")), self._writes.taking():
            try:
                if question["attempt"] == 0:
                    self._launch_first(question)
                else:
                    self._launch_next(self._known(question), question["attempt"])
            except _Captured as captured:
                return captured, made[-1]
        raise RuntimeError("Metaflow did not start a process for step %s" % question["step"])

    def check_run(self):
        """Raises where the run is another launcher's; has tasks numbered from where that left off."""
        runtime = self._runtime
        run = (runtime._metadata, runtime._flow.name, runtime._run_id)
        attach.check(*run)
        if not self._counts:
            self._counts = True
            attach.go_on_counting(*run)

    def _task_arguments(self, question):
        kwargs = {"input_paths": list(question["input_paths"])}
        if question.get("split_index") is not None:
            kwargs["split_index"] = str(question["split_index"])  # as _queue_task_foreach
        if question.get("task_id") is not None:
            kwargs["task_id"] = question["task_id"]  # another host has made it
            attach.complete(self._runtime._metadata, self._runtime._run_id, question["step"], question["task_id"])
        return kwargs

    def _known(self, question):
        """The task of a further attempt, made again where another host has made it."""
        task = self.tasks.get(question["task"])
        if isinstance(task, siblings.Sibling):
            task = self.tasks[question["task"]] = task.whole()
        return task or self._runtime._new_task(question["step"], **self._task_arguments(question))

    def _launch_first(self, question):
        runtime = self._runtime
        runtime._run_queue = [(question["step"], self._task_arguments(question))]
        try:
            runtime._launch_workers()
        finally:
            runtime._run_queue = []

    def _launch_next(self, task, attempt):
        task.retries = attempt - 1  # _retry_worker adds one
        self._runtime._retry_worker(SimpleNamespace(task=task))

    @contextlib.contextmanager
    def _recording(self, made, max_user_code_retries):
        """Puts the stand-ins into metaflow/runtime.py. Its other threads, packaging and heartbeat, use neither."""
        module, cli_args_class = self._module, self._module.CLIArgs

        def cli_args(task, *args, **kwargs):
            if max_user_code_retries is not None:
                task.user_code_retries = max_user_code_retries
            made.append(cli_args_class(task, *args, **kwargs))
            return made[-1]

        original = module.subprocess
        module.subprocess, module.CLIArgs = _InsteadOfSubprocess(), cli_args
        try:
            yield
        finally:
            module.subprocess, module.CLIArgs = original, cli_args_class

    def _shorten(self, argv, cli_args):
        """Moves input paths that are too long for a command line into a file (`step --input-paths-filename`).

        Upstream leaves them there, and a join of very many tasks ends with "Argument list too long".
        """
        options = cli_args.command_options
        paths = options.get("input-paths")
        if cli_args.commands != ["step"] or not self._takes_input_file or not paths or len(paths) <= LONGEST_ARGUMENT:
            return [str(arg) for arg in argv]
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="ferroflow-inputs-")
        file_name = self._input_file(cli_args.task)
        with open(file_name, "w", encoding="utf-8") as file:
            file.write(paths)
        options["input-paths"] = None
        options["input-paths-filename"] = file_name
        return [str(arg) for arg in cli_args.get_args()]

    def _input_file(self, task):
        return os.path.join(self._folder, "%s.%s" % (task.step, task.task_id))


def _sibling(answer, question):
    return answer["place"], answer["task_id"], question["split_index"]


def kind_of(task, cli_args):
    """The kind of place that upstream's hooks chose for an attempt, and for `foreign` how that shows."""
    entrypoint, commands = list(cli_args.entrypoint), list(cli_args.commands)
    own_entrypoint = list(task.entrypoint)
    if commands == ["step"] and entrypoint == own_entrypoint:
        return "local", None
    # BatchDecorator.runtime_step_cli sets entrypoint[0] to sys.executable.
    on_batch = commands == ["batch", "step"] and entrypoint == [sys.executable] + own_entrypoint[1:]
    if on_batch and batch_decorator(task.decos) is not None:
        return "batch", None
    if commands == ["step"]:
        return "foreign", "a decorator starts it with %s" % " ".join(entrypoint)
    return "foreign", "a decorator starts it by the command `%s`" % " ".join(commands)


def difference(base, env):
    """What turns the environment `base` into `env`."""
    return {
        "set": {name: value for name, value in env.items() if base.get(name) != value},
        "unset": [name for name in base if name not in env],
    }
