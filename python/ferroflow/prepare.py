"""The command line of an attempt, made by upstream's own code.

Upstream's `_launch_workers` and `_retry_worker` run as they are, with every hook of every version in its place, until
they call `subprocess.Popen`; a stand-in takes the command line and the environment there and leaves by an exception.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from types import SimpleNamespace

from .plan import batch_decorator

# Linux takes no argument of more than 128 KiB (MAX_ARG_STRLEN).
LONGEST_ARGUMENT = 100 * 1024


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


class Preparer:
    """Makes tasks and their command lines, and remembers the tasks until they are released."""

    def __init__(self, runtime, runtime_module, base_env):
        self._runtime = runtime
        self._module = runtime_module
        self._base_env = base_env
        self._takes_input_file = _step_takes_input_file()
        self._folder = None
        self.tasks = {}
        self.places = Counter()

    def prepare(self, question):
        """Answers a `prepare` message. Whatever upstream raises comes out."""
        captured, cli_args = self._launch(question)
        task = self.tasks[question["task"]] = cli_args.task
        argv = self._shorten(captured.argv, cli_args)
        place = place_of(task, cli_args)
        self.places[place["kind"]] += 1
        return {
            "type": "prepared",
            "id": question["id"],
            "task_id": task.task_id,
            "argv": argv,
            "env": difference(self._base_env, captured.env),
            "cwd": os.getcwd(),
            "place": place,
        }

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

    def _launch(self, question):
        made = []
        with self._recording(made, question.get("max_user_code_retries")):
            try:
                if question["attempt"] == 0:
                    self._launch_first(question)
                else:
                    self._launch_next(self.tasks[question["task"]], question["attempt"])
            except _Captured as captured:
                return captured, made[-1]
        raise RuntimeError("Metaflow did not start a process for step %s" % question["step"])

    def _launch_first(self, question):
        runtime = self._runtime
        for path in question["input_paths"]:
            runtime._is_cloned.setdefault(path, False)  # as _queue_tasks does for each task that ended
        kwargs = {"input_paths": list(question["input_paths"])}
        if question.get("split_index") is not None:
            kwargs["split_index"] = str(question["split_index"])  # as _queue_task_foreach
        runtime._run_queue = [(question["step"], kwargs)]
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


def place_of(task, cli_args):
    """Where the attempt belongs: see docs/host-protocol.md."""
    entrypoint, commands = list(cli_args.entrypoint), list(cli_args.commands)
    own_entrypoint = list(task.entrypoint)
    if commands == ["step"] and entrypoint == own_entrypoint:
        return {"kind": "local"}
    # BatchDecorator.runtime_step_cli sets entrypoint[0] to sys.executable.
    on_batch = commands == ["batch", "step"] and entrypoint == [sys.executable] + own_entrypoint[1:]
    if on_batch and batch_decorator(task.decos) is not None:
        return {
            "kind": "batch",
            "entrypoint": jsonable(entrypoint),
            "top_level_options": jsonable(cli_args.top_level_options),
            "commands": jsonable(commands),
            "command_args": jsonable(cli_args.command_args),
            "command_options": jsonable(cli_args.command_options),
        }
    return {"kind": "foreign"}


def difference(base, env):
    """What turns the environment `base` into `env`."""
    return {
        "set": {name: value for name, value in env.items() if base.get(name) != value},
        "unset": [name for name in base if name not in env],
    }


def jsonable(value):
    """A value of `CLIArgs` for JSON: tuples and sets become lists, what JSON does not know becomes its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted((jsonable(v) for v in value), key=str)
    return str(value)


def _step_takes_input_file():
    try:
        from metaflow.cli_components.step_cmd import step
    except ImportError:
        return False
    return any(getattr(param, "name", None) == "input_paths_filename" for param in getattr(step, "params", ()))
