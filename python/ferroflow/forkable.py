"""Why tasks of a run must not be forked, and what random generators need when they are.

Asked when the flow's file has been loaded. A fork has whatever the file made while it was loaded, as a fresh interpreter
has; but it has the same, where fresh ones have their own. A time or an id taken then is the one difference that stays.
"""

import contextlib
import ctypes
import io
import os
import random
import signal
import stat
import sys
import weakref

from . import at_import

# They hold threads, devices or connections, or say themselves that they do not survive a fork.
_NEVER_WITH = ("cudf", "cupy", "grpc", "jax", "jaxlib", "mpi4py", "objc", "pycuda", "pyspark", "ray", "rmm", "tensorflow")
# Threads whose libraries care for forks: jemalloc's, which pyarrow brings.
_SURVIVORS = ("jemalloc_bg_thd",)
# What OpenBLAS answers where it neither does without threads nor has OpenMP's.
_OPENBLAS_OWN_THREADS = 1
# Descriptors that may be shared: they have no position.
_WITHOUT_POSITION = ("/dev/null", "/dev/random", "/dev/urandom")

# What upstream sets for each task, and nothing reads while a flow's file is loaded.
_OF_EACH_TASK = frozenset("PYTHONUNBUFFERED METAFLOW_RUN_ID TRACEPARENT TRACESTATE traceparent tracestate".split())
# What only the engine has (launch.py).
_OF_THE_ENGINE = frozenset(["FERROFLOW_BOOTSTRAP_DIR"])


def obstacle(seen):
    """Why no task of this run may be forked, or None. `seen`: what `loading.watched` returns."""
    if seen is None:
        return "nobody has watched the flow's file from its first line on"
    looks = (_wish, _program, _modules, _threads, _children, _files, _timers, _tracers, _streams, _finalizers)
    for look in looks:
        reason = look()
        if reason:
            return reason
    return _randomness(seen) or _much_output(seen) or at_import.obstacle(seen)


def script_at(argv):
    """Where the flow's file stands in the command line of a task, or None when the interpreter is another or has options."""
    first = 2 if argv[1:2] == ["-u"] else 1
    return first if argv[0] == sys.executable and argv[first : first + 1] == [sys.argv[0]] else None


def changed_command(argv):
    """What makes a command line start something else than this process was started with, in words, or None."""
    return "it is started by %s" % " ".join(argv[:2]) if script_at(argv) is None else None


def changed_variables(change):
    """What an environment changes for the interpreter, in words, or None."""
    names = sorted((set(change["set"]) | set(change["unset"])) - _OF_EACH_TASK - _OF_THE_ENGINE)
    return "its environment has other %s" % " ".join(names) if names else None


def _wish():
    if os.environ.get("FERROFLOW_FORK") == "off":
        return "FERROFLOW_FORK=off"
    words = " ".join(sys.argv[1:]).replace("--with=", "--with ") + " "
    if "--with batch " in words or "--with batch:" in words:
        return "the run is --with batch"
    return None if sys.platform == "linux" else "forks are for Linux"


def _program():
    if getattr(sys.modules["__main__"], "__spec__", None):
        return "the flow is run by -m"
    # A fresh interpreter is started without options, and `-O` or `-W` have had their effect here.
    return "the interpreter was given options" if script_at(_own_command()) is None else None


def _own_command():
    """As the kernel has it; the interpreter may have been named otherwise than sys.executable."""
    with open("/proc/self/cmdline", "rb") as file:
        words = [os.fsdecode(word) for word in file.read().split(b"\0")]
    return [sys.executable] + words[1:]


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
    expected = 1 + sum(map(_threads_of_openblas, _libraries("openblas")))
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


def _threads_of_openblas(path):
    """How many one of its libraries keeps waiting, as itself tells; none when it does not, or uses OpenMP's."""
    library = ctypes.CDLL(path)  # it is loaded

    def ask(question):
        for name in ("scipy_openblas_%s64_", "scipy_openblas_%s", "openblas_%s64_", "openblas_%s"):
            function = getattr(library, name % question, None)
            if function:
                return function()
        return 0

    return ask("get_num_threads") - 1 if ask("get_parallel") == _OPENBLAS_OWN_THREADS else 0


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


def _finalizers():
    """The first task that ends would take down, say, a temporary folder that the others need."""
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        if finalizer.atexit and finalizer.alive:
            return "the flow's file holds %s, which ends with the process" % _kind(finalizer.peek())
    return None


def _kind(peeked):
    thing = peeked[0] if peeked else None
    return "a " + type(thing).__name__


def _much_output(seen):
    return "the flow's file writes much when it is loaded" if seen.wrote_too_much() else None


def _randomness(seen):
    """A flow that seeds while it is loaded wants each task to draw the same; one that does not, its own."""
    if random.getstate() != seen.random_state:
        return "the flow's file has used or seeded `random`"
    if _numpy_is_seeded():
        return "the flow's file has seeded numpy"
    for module in at_import.users_modules():
        reason = _generator(module)
        if reason:
            return reason
    return None


def _numpy_is_seeded():
    """Only a generator that nobody has seeded knows a sequence of seeds."""
    numpy = sys.modules.get("numpy.random")
    state = getattr(getattr(numpy, "mtrand", None), "_rand", None)
    return state is not None and getattr(state._bit_generator, "_seed_seq", None) is None


def _generator(module):
    """An object that draws numbers: forks would all draw the same."""
    kinds = _generators()
    names = at_import.of_module(module)
    for name, value in list(names.items()):
        things = [(name, value)]
        if issubclass(type(value), type) and value.__module__ == names.get("__name__"):
            things += list(vars(value).items())
        for called, thing in things:
            kind = type(thing)  # `isinstance` would ask the thing, and wake what stands for another
            if issubclass(kind, kinds) and not issubclass(kind, random.SystemRandom):
                return "%s in %s is a generator of random numbers" % (called, at_import.short(module))
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
