"""A host for a run that another launcher has begun, and has left by dying.

`ferroflow attach` starts the flow's `resume`, from the code package of the run. Upstream would make a new run of it and clone
what has ended; here it gets the old run, in which nothing need be cloned: the engine knows what has ended, from the launch
chain (docs/launch-protocol.md). FERROFLOW_ATTACH says which run.
"""

import json
import os
import sys
from types import SimpleNamespace

from .errors import one_line

VARIABLE = "FERROFLOW_ATTACH"

# In the metadata of a run that was taken over: the process id of its host. Upstream passes it by.
HOST = "ferroflow-host"

# Of the run that this process takes over, None in all others: `run`, `params`, `from`, `namespace`.
wanted = None


def adopt(runtime_module):
    """Lets upstream's scheduler take the run that is there for its own. Called once metaflow.runtime is loaded."""
    global wanted
    text = os.environ.pop(VARIABLE, None)  # tasks and their flows must not see it
    if not text:
        return
    wanted = json.loads(text)
    native_runtime = runtime_module.NativeRuntime
    upstream = native_runtime.__init__

    def __init__(self, *args, **kwargs):
        kwargs.update(run_id=wanted["run"], clone_run_id=None)
        _set_namespace(wanted["namespace"])
        upstream(self, *args, **kwargs)

    native_runtime.__init__ = __init__
    native_runtime.persist_constants = _have_constants
    native_runtime.clone_original_run = lambda self, *args, **kwargs: None
    hooks = getattr(native_runtime, "_run_exit_hooks", None)
    if hooks is not None:
        native_runtime._run_exit_hooks = lambda self: _run_exit_hooks(self, hooks)


def taken_from():
    """Who began the run, None where this process does."""
    return wanted and wanted["from"]


def tasks_made(runtime):
    """Ids of the run's tasks, by step, as the metadata service lists them; None where this process begins the run, and with the
    local provider, whose folders the engine reads.

    One that the launch chain does not name was made just before its launcher died, perhaps without an answer. The engine
    gives it to the next task of its step: no provider can take it back.
    """
    if wanted is None or runtime._metadata.TYPE == "local":
        return None
    metadata, flow = runtime._metadata, runtime._flow.name
    names = runtime._graph.sorted_nodes
    try:
        there = {step["step_name"] for step in metadata.get_object("run", "step", {}, None, flow, wanted["run"]) or ()}
        return {name: _listed_tasks(metadata, flow, name) for name in names if name in there}
    except Exception as error:
        text = "ferroflow: the metadata service does not list the tasks of the run (%s); those that had just been made are made again"
        print(text % one_line(error), file=sys.stderr, flush=True)
        return {}


def _listed_tasks(metadata, flow, step):
    tasks = metadata.get_object("step", "task", {}, None, flow, wanted["run"], step) or ()
    return [str(task["task_id"]) for task in tasks]


def _have_constants(self, task_id=None):
    """The `_parameters` task is there."""
    params = wanted["params"]
    self._params_task = SimpleNamespace(
        path=params,
        task_id=params.rsplit("/", 1)[-1],
        is_cloned=False,
        mark_resume_done=lambda: None,
    )
    self._is_cloned[params] = False


def _run_exit_hooks(self, upstream):
    """Upstream looks for the flow's file in the working directory, where a run is started as a rule: it is in the package."""
    file = os.path.abspath(sys.argv[0])
    told = dict(self._environment.get_environment_info(), script=file)
    path = os.environ.get("PYTHONPATH")
    self._environment.get_environment_info = lambda *_args, **_kwargs: told
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.path.dirname(file), path]))
    try:
        upstream(self)
    finally:
        del self._environment.get_environment_info
        os.environ["PYTHONPATH"] = path or ""


def _set_namespace(name):
    from metaflow import namespace

    namespace(name or None)


def go_on_counting(metadata, flow, run):
    """The local provider numbers tasks from 1 in each process; a new one must not have the number of an old one. Called when the
    engine asks for the first task: it has seen to it before that no other host makes any."""
    if not wanted or metadata.TYPE != "local" or not hasattr(metadata, "_task_id_seq"):
        return
    folder = type(metadata)._make_path(flow, run, create_on_absent=False)
    if not folder or not os.path.isdir(folder):
        return
    steps = [step.path for step in os.scandir(folder) if step.is_dir()]
    numbers = [int(name) for step in steps for name in os.listdir(step) if name.isdigit()]
    metadata._task_id_seq = max(numbers, default=0)


class TakenOver(Exception):
    """Another launcher drives the run: this host makes no more tasks of it."""

    def __init__(self):
        super().__init__("another launcher has taken the run over")


def check(metadata, flow, run):
    """Raises `TakenOver` where the engine of another host says so, which it does in a file of the local provider's folder, for
    lack of which tasks of a launcher that slept would be seen for ever as some that never ran."""
    if metadata.TYPE != "local":
        return
    folder = type(metadata)._make_path(flow, run, create_on_absent=False)
    try:
        with open(os.path.join(folder or "", "_meta", HOST), encoding="utf-8") as file:
            host = file.read()
    except OSError:
        return  # the run was not taken over
    if host != str(os.getpid()):
        raise TakenOver()


def complete(metadata, run, step, task_id):
    """A host that was killed while it made a task may have left no more than the task's folder, which upstream takes for
    no task of the local provider's."""
    if metadata.TYPE != "local" or not hasattr(metadata, "_ensure_meta"):
        return
    metadata._ensure_meta("step", run, step, None)
    metadata._ensure_meta("task", run, step, task_id)


def origin(runtime):
    """How a host for this run is started again: `origin` of the plan. None where a program has started it."""
    from metaflow import get_namespace
    from metaflow._vendor.click import get_current_context

    context = get_current_context(silent=True)
    if context is None or context.info_name not in ("run", "resume") or context.info_name not in sys.argv[1:]:
        return None
    before = sys.argv[1 : 1 + sys.argv[1:].index(context.info_name)]
    params = context.params
    options = ["--max-workers", runtime._max_workers, "--max-num-splits", runtime._max_num_splits]
    options += ["--max-log-size", max(1, runtime._max_log_size >> 20)]
    for name, values in (("--with", params.get("decospecs")), ("--tag", params.get("tags"))):
        for value in values or ():
            options += [name, value]
    words = before + ["resume", "--origin-run-id", runtime._run_id] + options
    return {
        "file": os.path.basename(sys.argv[0]),
        "arguments": [str(word) for word in words],
        "cwd": os.getcwd(),
        "namespace": get_namespace() or "",
    }
