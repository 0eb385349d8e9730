"""Why tasks of a run must not be forked, and what random generators need when they are.

Asked when the flow's file has been loaded. A fork has whatever the file made while it was loaded, as a fresh interpreter
has; but it has the same, where fresh ones have their own. A time or an id taken then is the one difference that stays.
"""

import ast
import contextlib
import functools
import io
import os
import random
import re
import signal
import stat
import sys
import sysconfig

# They hold threads, devices or connections, or say themselves that they do not survive a fork.
_NEVER_WITH = ("cudf", "cupy", "grpc", "jax", "jaxlib", "mpi4py", "objc", "pycuda", "pyspark", "ray", "rmm", "tensorflow")
# Threads whose libraries care for forks: jemalloc's, which pyarrow brings.
_SURVIVORS = ("jemalloc_bg_thd",)
# Descriptors that may be shared: they have no position.
_WITHOUT_POSITION = ("/dev/null", "/dev/random", "/dev/urandom")

# What upstream sets for each task, and nothing reads while a flow's file is loaded.
_OF_EACH_TASK = frozenset("PYTHONUNBUFFERED METAFLOW_RUN_ID TRACEPARENT TRACESTATE traceparent tracestate".split())

_OURS = ("ferroflow.", "metaflow_extensions.ferroflow.")

# Names of functions that seed.
_SEEDING = re.compile(r"(?:^|_)seed(?:_|$)|[a-z]Seed(?:[A-Z]|$)")

# Functions that write, if not for sure.
_WRITING = frozenset("echo pprint print secho warn write writelines".split())


def obstacle(seen):
    """Why no task of this run may be forked, or None. `seen`: what `loading.watched` returns."""
    if seen is None:
        return "nobody has watched the flow's file from its first line on"
    for look in (_wish, _program, _modules, _threads, _children, _files, _timers, _tracers, _streams):
        reason = look()
        if reason:
            return reason
    modules = list(_users_modules())
    try:
        return _randomness(seen, modules) or _output(seen, modules) or _command_line(modules)
    except _Unreadable as error:
        return str(error)


def script_at(argv):
    """Where the flow's file stands in the command line of a task, or None when the interpreter is another or has options."""
    first = 2 if argv[1:2] == ["-u"] else 1
    return first if argv[0] == sys.executable and argv[first : first + 1] == [sys.argv[0]] else None


def changed_command(argv):
    """What makes a command line start something else than this process was started with, in words, or None."""
    return "it is started by %s" % " ".join(argv[:2]) if script_at(argv) is None else None


def changed_variables(change):
    """What an environment changes for the interpreter, in words, or None."""
    names = sorted((set(change["set"]) | set(change["unset"])) - _OF_EACH_TASK)
    return "its environment has other %s" % " ".join(names) if names else None


def _wish():
    if os.environ.get("FERROFLOW_FORK") == "off":
        return "FERROFLOW_FORK=off"
    words = " ".join(sys.argv[1:]).replace("--with=", "--with ") + " "
    if "--with batch " in words or "--with batch:" in words:
        return "the run is --with batch"
    return None if sys.platform == "linux" else "forks are for Linux"


def _program():
    return "the flow is run by -m" if getattr(sys.modules["__main__"], "__spec__", None) else None


def _modules():
    for name in _NEVER_WITH:
        if name in sys.modules:
            return "module %s is loaded" % name
    cuda = sys.modules.get("torch.cuda")
    return "torch has opened a GPU" if cuda is not None and cuda.is_initialized() else None


def _threads():
    count = len(sys._current_frames()) - 1
    if count:
        return "the flow's file has started %s" % _count(count, "thread")
    # OpenBLAS has some from the beginning, and starts them again after a fork.
    expected = 1 + len(_libraries("openblas")) * ((os.cpu_count() or 1) - 1)
    more = sum(name not in _SURVIVORS for name in _names_of_threads()) - expected
    return "a library has started %s" % _count(more, "thread") if more > 0 else None


def _names_of_threads():
    for number in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open("/proc/self/task/%s/comm" % number) as file:
            yield file.read().strip()


def _libraries(name):
    """Files that this process has mapped whose names contain this."""
    with open("/proc/self/maps") as maps:
        paths = {line.split(None, 5)[5].strip() for line in maps if name in line}
    return {path for path in paths if name in os.path.basename(path)}


def _children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return "the flow's file has started a process"


def _files():
    """What this process has opened itself; what it was started with can be inherited."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        try:
            if descriptor <= 2 or os.get_inheritable(descriptor):
                continue
            target = os.readlink("/proc/self/fd/" + name)
            kind = os.fstat(descriptor).st_mode
        except OSError:  # the one with which the folder is read
            continue
        if not stat.S_ISDIR(kind) and target not in _WITHOUT_POSITION:
            return "the flow's file has opened %s" % target
    return None


def _timers():
    return "the flow's file has set a timer" if signal.getitimer(signal.ITIMER_REAL)[0] else None


def _tracers():
    looks_on = sys.gettrace() or sys.getprofile()
    if hasattr(sys, "monitoring"):
        looks_on = looks_on or any(sys.monitoring.get_tool(number) for number in range(6))
    return "a debugger or profiler looks on" if looks_on else None


def _streams():
    for stream, original in ((sys.stdin, sys.__stdin__), (sys.stdout, sys.__stdout__), (sys.stderr, sys.__stderr__)):
        if type(original) is not io.TextIOWrapper or original.closed:
            return "a standard stream is closed"
        if stream is not original:
            return "the flow's file has replaced a standard stream"
    return None


def _output(seen, modules):
    """What was written is written again in each task, if it is known."""
    if seen.wrote_too_much():
        return "the flow's file writes much when it is loaded"
    for module in modules:
        first = seen.first_line(module)
        if first == 0:
            continue
        for call in _calls_at_import(module):
            if _name(call) in _WRITING and (first is None or call.lineno < first):
                return "%s may write before it imports metaflow, in line %d" % (_short(module), call.lineno)
    return None


def _command_line(modules):
    """`run` is not `step`: what asks for it while it is loaded may do something else in a fresh interpreter."""
    for module in modules:
        if b"argv" in _source(module) and any(_is_argv(node) for node in _outside(module, (ast.ClassDef,))):
            return "%s looks at sys.argv when it is loaded" % _short(module)
    return None


def _is_argv(node):
    return "argv" in (getattr(node, "attr", None), getattr(node, "id", None))


def _randomness(seen, modules):
    """A flow that seeds while it is loaded wants each task to draw the same; one that does not, its own."""
    if random.getstate() != seen.random_state:
        return "the flow's file has used or seeded `random`"
    if _numpy_is_seeded():
        return "the flow's file has seeded numpy"
    for module in modules:
        reason = _seeding(module) or _generator(module)
        if reason:
            return reason
    return None


def _users_modules():
    installed = tuple(
        os.path.join(path, "") for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    )
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and not (name + ".").startswith(_OURS):
            path = os.path.abspath(file)
            if not path.startswith(installed) and "site-packages" not in path:
                yield module


def _seeding(module):
    """A call of `seed`, `set_seed`, `manual_seed` or the like outside of functions."""
    if b"seed" not in _source(module).lower():
        return None
    for call in _calls_at_import(module):
        if _SEEDING.search(_name(call)):
            return "%s calls %s in line %d" % (_short(module), _name(call), call.lineno)
    return None


def _name(call):
    return getattr(call.func, "attr", None) or getattr(call.func, "id", "")


def _short(module):
    return os.path.basename(module.__file__)


@functools.lru_cache(maxsize=None)
def _source(module):
    try:
        with open(module.__file__, "rb") as file:
            return file.read()
    except OSError as error:
        raise _Unreadable("%s cannot be read: %s" % (module.__file__, error.strerror)) from None


def _calls_at_import(module):
    """The calls in a module's file that stand outside of functions."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return (node for node in _outside(module, functions) if isinstance(node, ast.Call))


def _outside(module, kinds):
    """The nodes of a module's file that do not stand in such of these kinds."""
    waiting = [_tree(module)]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, kinds):
            waiting.extend(ast.iter_child_nodes(node))


@functools.lru_cache(maxsize=None)
def _tree(module):
    try:
        return ast.parse(_source(module))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise _Unreadable("%s cannot be read: %s" % (module.__file__, error)) from None


class _Unreadable(Exception):
    """A file of the flow's says not what it does."""


def _numpy_is_seeded():
    """Only a generator that nobody has seeded knows a sequence of seeds."""
    numpy = sys.modules.get("numpy.random")
    state = getattr(getattr(numpy, "mtrand", None), "_rand", None)
    return state is not None and getattr(state._bit_generator, "_seed_seq", None) is None


def _generator(module):
    """An object that draws numbers: forks would all draw the same."""
    kinds = _generators()
    for name, value in list(vars(module).items()):
        things = [(name, value)]
        if isinstance(value, type) and value.__module__ == module.__name__:
            things += list(vars(value).items())
        for called, thing in things:
            if isinstance(thing, kinds) and not isinstance(thing, random.SystemRandom):
                return "%s in %s is a generator of random numbers" % (called, _short(module))
    return None


def _generators():
    numpy, torch = sys.modules.get("numpy.random"), sys.modules.get("torch")
    kinds = [random.Random]
    kinds += [numpy.Generator, numpy.RandomState, numpy.BitGenerator] if numpy else []
    kinds += [torch.Generator] if torch else []
    return tuple(kinds)


def seed_anew():
    """In a task: `random` does so itself. Unseeded, torch draws the same in each process, forked or not."""
    numpy = sys.modules.get("numpy.random")
    if numpy:
        numpy.seed()


def _count(number, what):
    return "a " + what if number == 1 else "%d %ss" % (number, what)
