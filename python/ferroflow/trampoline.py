"""What upstream's trampoline process (`python flow.py … batch step …`) would submit to AWS Batch.

The process is not started: upstream's own click commands parse its command line here, and its own code runs on the
result, with stand-ins where it would wait or talk to AWS. So a container gets what the installed version gives it.
"""

import contextlib
import inspect
from types import SimpleNamespace

from .step_options import StepOptions


class Refused(BaseException):
    """Upstream would not submit; `error` says why. No `Exception`, because `batch step` catches those."""

    def __init__(self, error):
        super().__init__()
        self.error = error


class _Submitted(BaseException):
    """Upstream would call SubmitJob now."""

    def __init__(self, payload):
        super().__init__()
        self.payload = payload


class Trampoline:
    """Runs `batch step` (metaflow/plugins/aws/batch/batch_cli.py) up to its call of SubmitJob."""

    def __init__(self, runtime, region):
        from metaflow._vendor import click
        from metaflow.plugins.aws.batch import batch, batch_cli

        context = click.get_current_context()
        self._root = context.find_root()
        self._module = batch_cli
        self._function = inspect.unwrap(batch_cli.step.callback)
        self._environment = _Environment(runtime._environment)
        self._state = _State(context.obj, runtime, self._environment)
        self._batch = _batch_without_aws(batch, region)
        self._top = {}
        self._step_options = StepOptions(batch_cli.step, self._prefix("_BATCH_STEP"))

    def submit(self, top_args, step_args):
        """The call of SubmitJob that these arguments end in, and how its command line came about."""
        top = self._parse_top(tuple(top_args))
        given = self._step_options.parse(step_args[0], step_args)
        util = _UtilThatRemembers(self._module.util)
        job = self._run(top, given, util)
        return SimpleNamespace(
            options={_option_name(param): given.get(param.name) for param in self._module.step.params},
            executable=self._environment.last_executable,
            top_words=util.lists[0],
            step_words=util.lists[1],
            line=self._batch.last_line,
            environment=job["containerOverrides"]["environment"],
            parameters=dict(job["parameters"]),
            tags=dict(job["tags"]),
        )

    def _prefix(self, suffix=""):
        """Of the environment variables that stand for options (`auto_envvar_prefix`: METAFLOW)."""
        prefix = self._root.auto_envvar_prefix
        return prefix and prefix + suffix

    def _parse_top(self, args):
        """What `batch step` gets as `ctx.parent.parent.params`; the same for all tasks of a step."""
        if args not in self._top:
            command = self._root.command
            with _configs_by_name(command, args):
                context = command.make_context(
                    self._root.info_name, list(args), obj=self._root.obj, auto_envvar_prefix=self._prefix()
                )
            self._top[args] = context.params
        return self._top[args]

    def _run(self, top, given, util):
        context = SimpleNamespace(obj=self._state, parent=SimpleNamespace(parent=SimpleNamespace(params=top)))
        time = SimpleNamespace(sleep=lambda _seconds: None)  # before a retry: the engine waits
        decorators = self._state.graph[given["step_name"]].decorators
        try:
            with _replaced(self._module, util=util, time=time, Batch=self._batch), _as_new(decorators):
                with _with_retry(decorators):
                    self._function(context, **given)
        except _Submitted as submitted:
            return submitted.payload
        raise RuntimeError("Metaflow's `batch step` did not come to submit a job")


@contextlib.contextmanager
def _replaced(module, **stand_ins):
    originals = {name: getattr(module, name) for name in stand_ins}
    vars(module).update(stand_ins)
    try:
        yield
    finally:
        vars(module).update(originals)


@contextlib.contextmanager
def _as_new(decorators):
    """Lets what upstream changes in a process be as it is in one that has just begun.

    get_aws_client (plugins/aws/aws_client.py) puts an object into the parameters of S3's client, and `create_job` looks
    at all settings as JSON. Until 2.14, `batch step` adds to the variables of @environment.
    """
    from metaflow import metaflow_config

    client = getattr(metaflow_config, "DATATOOLS_CLIENT_PARAMS", {})
    config = {name: client.pop(name) for name in ["config"] if name in client}
    attributes = [deco.attributes for deco in decorators if deco.name == "environment"]
    variables = [dict(a["vars"]) for a in attributes]
    try:
        yield
    finally:
        client.update(config)
        for a, original in zip(attributes, variables):
            a["vars"] = original


@contextlib.contextmanager
def _with_retry(decorators):
    """Lets a step without @retry have next attempts: they follow lost ones, of which upstream knows nothing, so it takes
    the time to wait from @retry unasked.
    """
    if any(deco.name == "retry" for deco in decorators):
        yield
        return
    stand_in = SimpleNamespace(name="retry", attributes={"minutes_between_retries": 0})
    decorators.append(stand_in)
    try:
        yield
    finally:
        decorators.remove(stand_in)


@contextlib.contextmanager
def _configs_by_name(command, args):
    """Keeps click from reading all Configs again: of them, the command line needs the names only.

    As in `ConfigInput.process_configs`, the first of --config and --config-value gives None and the second all, in the
    order of the command line (`--config-value NAME kv.NAME`).
    """
    names = [args[i + 1] for i, arg in enumerate(args) if arg == "--config-value"]
    options = [param for param in command.params if param.name in ("config", "config_value")]
    seen = []

    def callback(_context, param, _value):
        seen.append(param)
        return dict.fromkeys(names) if len(seen) == len(options) else None

    originals = [(param, param.callback) for param in options]
    for param in options:
        param.callback = callback
    try:
        yield
    finally:
        for param, original in originals:
            param.callback = original


def _option_name(param):
    """`run-time-limit` for `--run-time-limit`."""
    return max(param.opts, key=len).lstrip("-")


class _UtilThatRemembers:
    """metaflow.util for batch_cli: keeps the words of which it makes a command line, quoted for a shell."""

    def __init__(self, util):
        self._util = util
        self.lists = []

    def __getattr__(self, name):
        return getattr(self._util, name)

    def dict_to_cli_options(self, params):
        """Upstream calls it for the top-level options, then for those of the step."""
        words = list(self._util.dict_to_cli_options(params))
        self.lists.append(words)
        return words


class _Environment:
    """Upstream's environment; what does not change in a run is asked for once."""

    def __init__(self, environment):
        self._environment = environment
        self._info = None
        self.last_executable = None

    def __getattr__(self, name):
        return getattr(self._environment, name)

    def executable(self, step_name, default=None):
        """Remembered: the command line starts with it."""
        self.last_executable = self._environment.executable(step_name, default)
        return self.last_executable

    def get_environment_info(self, *args, **kwargs):
        """Versions before the cache in metaflow_git.py start git for it."""
        if self._info is None:
            self._info = self._environment.get_environment_info(*args, **kwargs)
        return self._info


class _State:
    """`ctx.obj` of the trampoline. It prints nothing, makes no task datastore and brings no metadata back."""

    def __init__(self, state, runtime, environment):
        self._state = state
        self.environment = environment
        self.flow = runtime._flow
        self.graph = runtime._graph
        self.metadata = SimpleNamespace(TYPE=None)
        nothing = SimpleNamespace(get_log_location=lambda *_args: None)
        self.flow_datastore = SimpleNamespace(
            TYPE=runtime._flow_datastore.TYPE, get_task_datastore=lambda *_args, **_kwargs: nothing
        )

    def __getattr__(self, name):
        return getattr(self._state, name)

    def echo_always(self, *_args, **_kwargs):
        """"Sleeping 2 minutes before the next AWS Batch retry" is the engine's to say."""


def _batch_without_aws(batch, region):
    """Upstream's `Batch`, whose client knows the region and nothing else."""
    from metaflow.plugins.aws.batch.batch_client import BatchJob

    class Job(BatchJob):
        def job_def(self, *_args, **_kwargs):
            return self

        def execute(self):
            raise _Submitted(self.payload)

    class Client:
        def job(self):
            return Job(self)

        def region(self):
            return region

        def active_job_queues(self):
            return iter(("",))  # no queue given: the engine looks for one

    class BatchWithoutAws(batch.Batch):
        last_line = None

        def __init__(self, metadata, environment, *_args, **_kwargs):
            self.metadata = metadata
            self.environment = environment
            self._client = Client()

        def launch_job(self, step_name, step_cli, *args, **kwargs):
            type(self).last_line = step_cli
            try:
                super().launch_job(step_name, step_cli, *args, **kwargs)
            except Exception as error:
                raise Refused(error) from None

        def _command(self, *_args, **_kwargs):
            return []

    return BatchWithoutAws
