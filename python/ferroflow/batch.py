"""Steps of AWS Batch: what the engine must know to run an attempt there as upstream would.

`trampoline.py` says what upstream would submit. This file takes it apart into what src/compute/host/protocol.rs calls a
`BatchCommand`. Whatever cannot be expressed there is `Inexpressible`: such a step goes through upstream's own process.
"""

import functools
import os
import re
import shlex
import sys

from .credentials import batch_region, owner
from .errors import one_line
from .package import code
from .plan import batch_decorator
from .trampoline import Refused, Trampoline

BATCH_CLI = "metaflow.plugins.aws.batch.batch_cli"

# Linux takes no argument of more than 128 KiB (MAX_ARG_STRLEN).
LONGEST_ARGUMENT = 100 * 1024
INPUT_PATHS_FILE = ".ferroflow-input-paths"

# What `MetaflowEnvironment.get_package_commands` consists of: the bootstrap does the same, so nobody may change it.
_BOOTSTRAP_METHODS = (
    "get_package_commands",
    "_get_install_dependencies_cmd",
    "_get_download_code_package_cmd",
    "_python",
)

# Variables that change what a trampoline process submits, or where to; @environment gives them to it, too.
_TRAMPOLINE_VARIABLES = re.compile(
    r"METAFLOW_(?!DEBUG_|RUN_ID$|EXTRACTED_ROOT$|SKIP_INSTALL_DEPENDENCIES$)|"
    r"AWS_(?!MAX_ATTEMPTS$|RETRY_MODE$|EXECUTION_ENV$)|(USER|USERNAME)$"
)

# An executable of such words needs no shell; unless it is one of a shell's own.
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+:,./-]+$")
_SHELL_WORDS = frozenset("! . alias builtin command coproc eval exec export if set source time".split())

_BARE_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')

_INPUT_PATHS = re.compile(r"(?:\$\{METAFLOW_INPUT_PATHS_\d+\})+$")
_INPUT_PATHS_NAME = re.compile(r"METAFLOW_INPUT_PATHS_\d+$")


class Inexpressible(Exception):
    """This step goes through upstream's own trampoline; the text says why."""


class Unsubmittable(Inexpressible):
    """Upstream would refuse to submit this step, too; the text says why."""


class BatchSteps:
    """All steps of a run that have upstream's own @batch."""

    def __init__(self, runtime):
        self._runtime = runtime
        self._trampoline = None
        self._obstacles = {}
        self._prepare = {}
        self._code = {}
        self._tags_told = False

    def obstacle(self, step, decorators):
        """Why no attempt of `step` can be expressed, or None. Asked when the plan is made."""
        if step not in self._obstacles:
            try:
                self._obstacles[step] = self._find_obstacle(decorators)
            except Exception as error:
                self._obstacles[step] = one_line(error)
        return self._obstacles[step]

    def place(self, task, cli_args, argv, env):
        """The `place` of one attempt on Batch; raises `Inexpressible`."""
        obstacle = self.obstacle(task.step, task.decos) or _changed_variables(env)
        if obstacle:
            raise Inexpressible(obstacle)
        try:
            return self._place(task, cli_args, argv)
        except Refused as refused:
            raise Unsubmittable(_refusal(task.decos, refused.error)) from refused.error
        except Exception as error:
            if isinstance(error, Inexpressible):
                raise
            raise Inexpressible(one_line(error)) from error

    def _find_obstacle(self, decorators):
        from metaflow._vendor import click

        root = click.get_current_context().find_root()
        provider = getattr(root.command, "lazy_sources", {}).get("batch", "")
        if provider and not provider.startswith(BATCH_CLI + "."):
            return "its command `batch` is %s" % provider
        if self._trampoline is None:
            self._trampoline = Trampoline(self._runtime, region(self._runtime))
        return _changed_bootstrap(self._runtime._environment) or _changed_variables(
            {k: str(v) for deco in decorators if deco.name == "environment" for k, v in deco.attributes["vars"].items()}
        )

    def _place(self, task, cli_args, argv):
        top_args, step_args = _split(argv, cli_args)
        job = self._trampoline.submit(top_args, step_args)
        variables = _variables(job.environment)
        user = self._user_variables(task.step, variables)
        container = self._container(task.step, job, variables)
        container["environment"] = {
            name: value
            for name, value in variables.items()
            if name not in user and not _INPUT_PATHS_NAME.match(name)
        }
        container["user_environment"] = user
        # `[ -z $METAFLOW_SKIP_INSTALL_DEPENDENCIES ]`, in the container (metaflow_environment.py).
        container["install"] = not variables.get("METAFLOW_SKIP_INSTALL_DEPENDENCIES", "").strip()
        self._tell_about_tags(job)
        return {
            "kind": "batch",
            "command_options": {name: _listed(value) for name, value in job.options.items()},
            "code": self._code_package(batch_decorator(task.decos)),
            "container": container,
            "parameters": job.parameters,
            "tags": job.tags,
        }

    def _container(self, step, job, variables):
        script = os.path.basename(sys.argv[0])
        line = "%s -u %s %s step %s %s" % (
            job.executable, script, " ".join(job.top_words), step, " ".join(job.step_words)
        )
        if line != job.line:
            raise Inexpressible("this Metaflow makes the command line in another way")
        step_words, files = self._input_paths(job.step_words, variables)
        words = [_word_through_bash_c(word) for word in job.top_words + ["step", step] + step_words]
        executable = _through_bash_c(job.executable)
        # Upstream leaves words that start with $ to the shell (metaflow/util.py, dict_to_cli_options).
        shell = _needs_shell(executable) or any(word.lstrip("\\").startswith("$") for word in words)
        if shell:
            command = [executable, "-u", shlex.quote(script)] + words
        else:
            command = executable.split() + ["-u", script] + [_unquoted(word) for word in words]
        container = {"command": command, "shell": shell, "prepare": self._prepare_commands(step)}
        if files:
            container["files"] = files
        return container

    def _input_paths(self, words, variables):
        """Puts the input paths themselves in the place of ${METAFLOW_INPUT_PATHS_0}…, or a file when they are long."""
        for i, word in enumerate(words):
            if words[i - 1] == "--input-paths" and _INPUT_PATHS.match(word):
                paths = "".join(variables[name] for name in re.findall(r"\w+", word))
                if len(paths) <= LONGEST_ARGUMENT:
                    return words[:i] + [shlex.quote(paths)] + words[i + 1 :], {}
                if not step_takes_input_file():
                    raise Inexpressible("its input paths are too long for a command line")
                option = ["--input-paths-filename", INPUT_PATHS_FILE]
                return words[: i - 1] + option + words[i + 1 :], {INPUT_PATHS_FILE: paths}
        return words, {}

    def _prepare_commands(self, step):
        if step not in self._prepare:
            commands = self._runtime._environment.bootstrap_commands(step, "s3")
            self._prepare[step] = [_through_bash_c(command) for command in commands]
        return self._prepare[step]

    def _user_variables(self, step, variables):
        """What must be in the job's environment before the bootstrap runs.

        Of the first @environment only, as batch_cli.py has it.
        """
        for deco in self._runtime._graph[step].decorators:
            if deco.name == "environment":
                names = deco.attributes["vars"]
                return {**_of_embedded_stack(), **{name: variables[name] for name in names if name in variables}}
        return _of_embedded_stack()

    def _code_package(self, deco):
        url = deco.package_url
        if url not in self._code:
            self._code[url] = code(deco.package, url, getattr(deco, "flow_datastore", None))
        return self._code[url]

    def _tell_about_tags(self, job):
        """Upstream drops the tags of @batch unless METAFLOW_BATCH_EMIT_TAGS is set, and says nothing."""
        if job.tags or self._tags_told or not job.options.get("aws-batch-tag"):
            return
        self._tags_told = True
        names = ", ".join(tag.split("=")[0] for tag in job.options["aws-batch-tag"])
        print(
            "ferroflow: jobs do not get the tags of @batch (%s): set METAFLOW_BATCH_EMIT_TAGS=1 for them" % names,
            file=sys.stderr,
            flush=True,
        )


def _refusal(decorators, error):
    """What upstream has against a step, with the options that it is most often about."""
    attributes = batch_decorator(decorators).attributes
    options = ", ".join("%s=%s" % (name, attributes.get(name)) for name in ("cpu", "gpu", "memory"))
    return "Metaflow refuses to submit it: %s (its @batch has %s)" % (one_line(error), options)


def _of_embedded_stack():
    """Jobs of the embedded stack are processes: they run on the interpreter of their run. Nothing for AWS."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_BATCH") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if os.environ.get("FERROFLOW_DEV_STACK") and endpoint.startswith("http://127.0.0.1:"):
        return {"FERROFLOW_DEV_PYTHON": sys.executable}
    return {}


def step_takes_input_file():
    """Whether this Metaflow reads input paths from a file (`step --input-paths-filename`)."""
    try:
        from metaflow.cli_components.step_cmd import step
    except ImportError:
        return False
    return any(getattr(param, "name", None) == "input_paths_filename" for param in getattr(step, "params", ()))


def region(runtime):
    """The region of the client that upstream would make, without making it; None when boto3 knows none."""
    import boto3

    if owner(runtime) is not None:
        return batch_region()
    return boto3.session.Session().region_name


def _split(argv, cli_args):
    """The arguments of the top-level group, and those of `batch step`."""
    middle = [str(word) for word in list(cli_args.commands) + list(cli_args.command_args)]
    first = len(cli_args.entrypoint)
    for i in range(first, len(argv)):
        if argv[i : i + len(middle)] == middle:
            top, step = argv[first:i], argv[i + len(cli_args.commands) :]
            # It differs in each process and is for this machine only.
            return _without(top, "--local-config-file"), step
    raise Inexpressible("this Metaflow makes the command line in another way")


def _without(args, option):
    if option not in args:
        return args
    i = args.index(option)
    return args[:i] + args[i + 2 :]


def _variables(environment):
    """`containerOverrides.environment` as a dictionary; the last of two wins, as in a container."""
    for entry in environment:
        if "value" not in entry:
            # `value.$` is for Step Functions; boto3 refuses it here.
            raise Inexpressible("variable %s starts with a dollar sign and a full stop" % entry["name"])
    return {entry["name"]: entry["value"] for entry in environment}


def _changed_bootstrap(environment):
    from metaflow.metaflow_environment import MetaflowEnvironment

    for name in _BOOTSTRAP_METHODS:
        if getattr(type(environment), name, None) is not getattr(MetaflowEnvironment, name, None):
            return "environment %s has its own %s" % (environment.TYPE, name)
    return None


def _changed_variables(env):
    for name, value in env.items():
        if _TRAMPOLINE_VARIABLES.match(name) and os.environ.get(name) != value:
            return "a decorator changes %s for the process that submits it" % name
    return None


@functools.lru_cache(maxsize=1000)
def _through_bash_c(command):
    """What is left of `command` in `shlex.split('bash -c "%s"' % …)`, the way of all of upstream's commands.

    Environments write \\" where they want a quotation mark.
    """
    try:
        words = shlex.split('"%s"' % command)
    except ValueError:
        words = []
    if len(words) != 1:
        raise Inexpressible("the quotation marks in %r do not survive Metaflow's own treatment" % command)
    return words[0]


def _word_through_bash_c(word):
    """The same for a word of the step's command line; it escapes the quotation marks of decorators' attributes.

    (`make_decorator_spec` in metaflow/decorators.py does.) Upstream loses other quotation marks, of a tag for instance,
    or breaks the line at them; they stay here.
    """
    if "\\" not in word or _BARE_QUOTE.search(word):
        return word
    return _through_bash_c(word)


def _needs_shell(executable):
    words = executable.split()
    plain = bool(words) and all(_PLAIN_WORD.match(word) for word in words)
    return not plain or words[0] in _SHELL_WORDS


def _unquoted(word):
    return shlex.split(word)[0] if "'" in word else word


def _listed(value):
    """A value of click for JSON."""
    return list(value) if isinstance(value, (tuple, set, frozenset)) else value
