"""The cases of the comparison: which flow, which commands, in which environment, with which exit codes."""

from dataclasses import dataclass, field

@dataclass(frozen=True)
class Command:
    """One command line. `by` says who runs it: `side` is the side under test, `upstream` always stock upstream."""

    args: tuple
    exit: int = 0
    by: str = "side"
    env: dict = field(default_factory=dict)
    # A failed run leaves steps without an end; the view of such a run is compared all the same.
    has_run: bool = True


@dataclass(frozen=True)
class Case:
    name: str
    flow: str
    commands: tuple
    env: dict = field(default_factory=dict)
    # Files beside the flow that it needs, and files to write before the first command.
    extra: tuple = ()
    # Where the commands run, below the folder with the flow.
    folder: str = "."
    # Arguments of the Batch variant (in place of those of the first command), or None when there is none.
    batch: tuple = None
    batch_env: dict = field(default_factory=dict)
    # What a Batch run by Ferroflow is compared with: `upstream` on Batch, or upstream's `local` run of the same command
    # line as far as `anywhere.py` says. For what upstream does not do, or not each time, on Batch.
    batch_against: str = "upstream"
    # Artifacts that tell where a task ran.
    of_the_place: tuple = ()
    deadline: int = 240
    # What FERROFLOW is for Ferroflow.
    wish: str = "require"
    # Whether the launcher writes to a terminal. Its lines are then compared as they are, colours included, without what
    # Ferroflow shows below them for a while.
    terminal: bool = False
    # Why Ferroflow starts some tasks on this machine with fresh interpreters: a part of each reason. None: it starts none so.
    fresh: str = field(default=None, repr=False)


def one(name, *args, flow=None, exit=0, has_run=True, batch=("run", "--with", "batch"), **more):
    command = Command(args or ("run",), exit=exit, has_run=has_run)
    return Case(name, (flow or name) + ".py", (command,), batch=batch, **more)


def resumed(name, flow, fail, mend, batch=None, **more):
    """A run that fails, and its `resume` by stock upstream."""
    commands = (Command(("run",), exit=1, env=fail), Command(("resume",), by="upstream", env=mend))
    return Case(name, flow + ".py", commands, batch=batch, **more)


def with_batch(*args):
    return ("run", "--with", "batch") + args


def without_batch(args):
    """The same command line for this machine."""
    at = args.index("--with")
    assert args[at + 1] == "batch"
    return args[:at] + args[at + 2 :]


# An extension of Metaflow with a decorator whose hooks tell of themselves.
# What it starts is no plain step, which `require` refuses.
EXTENSION = {"extra": ("extension",), "env": {"PYTHONPATH": "extension"}, "wish": "auto", "batch": None}

# Without forks of the process that has loaded the flow.
FRESH = {"env": {"FERROFLOW_FORK": "off"}, "fresh": "FERROFLOW_FORK=off", "batch": None}

# On which Ferroflow draws a region, in CI as well.
A_TERMINAL = {"TERM": "xterm", "CI": "", "NO_COLOR": ""}

CASES = [
    one("linear", of_the_place=("environment",)),
    one("tags", "run", "--tag", "colour:blue", "--tag", "plain", flow="linear",
        batch=with_batch("--tag", "colour:blue", "--tag", "plain", "--namespace", "user:somebody"), of_the_place=("environment",)),
    one("namespace", "run", "--namespace", "user:somebody", flow="linear",
        batch=with_batch("--namespace", "user:somebody"), of_the_place=("environment",)),
    one("global_namespace", "run", "--namespace", "", flow="linear", batch=None),
    one("no_pylint_quiet", "--no-pylint", "--quiet", "run", flow="linear", batch=None),
    one("below_the_root", flow="linear", folder="a/b", batch=None),
    one("branch3"),
    one("one_worker", "run", "--max-workers", "1", flow="branch3", batch=None),
    # Batch: a job takes seconds, and 12 of them queue up as 100 do; the order of ids is that of numbers, not of texts.
    one("foreach100", batch=with_batch("--width", "12")),
    one("one_worker_in_foreach", "run", "--max-workers", "1", flow="start_foreach", batch=None),
    one("terminal", flow="custom_ends", terminal=True, env=A_TERMINAL, batch=None),
    one("terminal_of_failure", flow="dies", exit=1, terminal=True, env=A_TERMINAL, batch=None),
    one("foreach_wide", "run", "--max-num-splits", "300", batch=None),
    one("foreach_values"),
    one("nested5x5", batch=with_batch("--width", "2")),
    one("foreach_after_join"),
    one("switch"),
    one("switch_small", "run", "--size", "small", flow="switch", batch=None),
    one("switch_nowhere", "run", "--size", "huge", flow="switch", exit=1, batch=None),
    one("switch_in_split"),
    one("switch_in_foreach"),
    one("recursion"),
    one("recursion_in_foreach"),
    one("custom_ends"),
    one("single_step"),
    one("start_foreach"),
    one("start_split"),
    one("retry", env={"MINUTES_BETWEEN_RETRIES": "5"}, batch_env={"MINUTES_BETWEEN_RETRIES": "0"}),
    one("catch"),
    one("catch_fresh", flow="catch", **FRESH),
    # Upstream gives the job the same limit as the task, so the job ends before the task can raise its exception.
    one("timeout", batch_against="local", batch=("--config-value", "limits", '{"seconds": 60}', "run", "--with", "batch")),
    one(
        "includefile", "run", "--named", "data/config.json",
        extra=("data",), batch=with_batch("--named", "data/config.json"), of_the_place=("text", "named", "binary"),
    ),
    one("config", extra=("data",), fresh="FROM_CONFIG"),
    one("config_value", "--config-value", "inline", '{"rate": 2}', "run", flow="config", extra=("data",), batch=None,
        fresh="FROM_CONFIG"),
    one("environment", fresh="its environment has other"),
    # Upstream's job does not start: its overrides are too long.
    one("environment_long", batch_against="local", fresh="its environment has other"),
    one("project"),
    one("project_branch", "--branch", "feature", "run", flow="project", batch=("--branch", "feature") + with_batch()),
    one("project_production", "--production", "run", flow="project", batch=None),
    one("parameters", "run", "--must", "given", batch=with_batch("--must", "given")),
    one(
        "parameters_given", "run", "--must", "a b'c\"d", "--text", "ünï", "--learning-rate", "1e-3", "--count", "-7",
        "--flag", "true", "--off", "false", "--document", '{"b": null}', "--words", "x", "--absent", "0", "--id", "i",
        flow="parameters", batch=None,
    ),
    one("parameter_missing", "run", flow="parameters", exit=2, has_run=False, batch=None),
    one("parameter_wrong", "run", "--must", "x", "--count", "many", flow="parameters", exit=2, has_run=False, batch=None),
    one("option_unknown", "run", "--nonsense", flow="linear", exit=2, has_run=False, batch=None),
    one("mutators", fresh="its environment has other"),
    one("decospecs", "run", "--with", "retry:times=1,minutes_between_retries=0", "--with", "catch:print_exception=False"),
    one(
        "default_decospecs", "run", "--with", "retry:times=0", flow="decospecs", batch=None,
        env={"METAFLOW_DEFAULT_DECOSPECS": 'retry:times=4 environment:vars={"X":"y"}'}, fresh="other X",
    ),
    one("top_level_decospecs", "--with", "retry:times=1", "run", "--with", "catch:var=why", flow="decospecs", batch=None),
    # Upstream's container may end before the last lines have been stored.
    one("loglines", batch_against="local", batch=with_batch("--lookalikes", "false")),
    one("log_is_cut", "run", "--max-log-size", "0", flow="loglines", batch=None),
    one("process", batch=None),
    one("process_fresh", flow="process", **FRESH),
    # A container whose folder is gone cannot send its metadata home, whoever launched it.
    one("isolation", batch=None),
    one("import_thread", fresh="has started a thread"),
    one("import_socket", fresh="has opened socket:", batch=None),
    one("import_child", fresh="has started a process", batch=None),
    one("unseeded", batch=None),
    one("seeded", fresh="used or seeded `random`", batch=None),
    one("generator_at_import", fresh="own in generator_at_import.py is a generator", batch=None),
    one("boto3_at_import", batch=None),
    one("workers_in_step", batch=None),
    one("logging_setup", batch=None),
    one("logging_to_file", fresh="has opened", batch=None),
    one("signals_at_import", batch=None),
    one("deep_recursion", batch=None),
    one("exits", batch=None),
    one("last_words", batch=None),
    one("writes_at_import", batch=None),
    one("writes_before_metaflow", fresh="may write before it imports metaflow, in line 3", batch=None),
    one("at_exit"),
    one("temporary_at_import", fresh="holds a TemporaryDirectory", batch=None),
    one("leftover_child", batch=None),
    one("nested_run", extra=("parameters.py",), batch=None),
    one("card", "run", "--with", "card"),
    one("exit_hooks", batch=None),
    one("exit_hooks_of_failure", "run", "--fail", "true", flow="exit_hooks", exit=1, batch=None),
    one("unpicklable", exit=1),
    one("next_mismatch", exit=1),
    one("step_commands", "run", "--max-workers", "1", "--with", "retry:times=1", "--tag", "a:b", "--namespace", "n",
        flow="start_foreach", env={"METAFLOW_DEBUG_SUBCOMMAND": "1"}, batch=None),
    one("step_commands_of_config", "run", flow="config", extra=("data",), fresh="FROM_CONFIG",
        env={"METAFLOW_DEBUG_SUBCOMMAND": "1"}, batch=None),
    one("foreign_decorator", "run", "--with", "through_shell", flow="custom_ends", **EXTENSION),
    one("foreign_decorator_retried", "run", "--with", "through_shell", "--with", "retry", flow="dies", exit=1, **EXTENSION),
    one("hook_raises", "run", "--with", "through_shell:raise_in=runtime_task_created", flow="custom_ends", exit=1, **EXTENSION),
    one("hook_raises_late", "run", "--with", "through_shell:raise_in=runtime_step_cli,raise_for=work", flow="custom_ends",
        exit=1, **EXTENSION),
    one("dies_by_sigkill", "run", "--signal", "SIGKILL", flow="dies", exit=1),
    one("dies_by_sigsegv", "run", "--signal", "SIGSEGV", flow="dies", exit=1, batch=None),
    one("dies_by_sigterm", "run", "--signal", "SIGTERM", flow="dies", exit=1, batch=None),
    one("exit202", exit=1, batch=None),
    one("maxsplits", "run", "--max-num-splits", "3", exit=1, batch=with_batch("--max-num-splits", "3")),
    one("nosplits", "run", "--width", "0", flow="maxsplits", exit=1, batch=None),
    one("resources"),
    one("workers", "run", "--max-workers", "2", batch=None),
    one("fails", exit=1, batch=None),
    resumed("resume_after_branch", "fails", fail={}, mend={"MEND": "1"}),
    resumed("resume_after_foreach", "fails_in_foreach", fail={}, mend={"MEND": "1"}, batch=with_batch()),
    resumed("resume_in_recursion", "recursion", fail={"FAIL_IN_LOOP": "1"}, mend={}),
]

BY_NAME = {case.name: case for case in CASES}
assert len(BY_NAME) == len(CASES), "two cases have one name"
