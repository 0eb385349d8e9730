"""Ends a forked task without taking the interpreter down object by object.

That would copy most of the pages that a task shares with all others, only for the kernel to free them. What a program can
see of an interpreter's end happens all the same: threads are joined, atexit functions run, files are flushed, the C
library ends in its way. Where that is not sure to be all, the interpreter ends as usual.
"""

import ast
import atexit
import contextlib
import ctypes
import gc
import io
import os
import sys
import types

# Other files, compressed ones say, may have an end that is written when they are closed.
_COMPLETE_WHEN_FLUSHED = frozenset(
    (io.FileIO, io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper, io.BytesIO, io.StringIO)
)

_allowed = False


def allow():
    """Called in a forked task."""
    global _allowed
    _allowed = True


def watch(parameters_module):
    """Lets the context in which a flow's file calls `main` tell of the SystemExit that comes out of it.

    A function around `main` would do, too, but stand in every stack that users see.
    """
    upstream = getattr(parameters_module, "flow_context", None)
    if upstream is None:
        return

    @contextlib.contextmanager
    def flow_context(flow_class):
        with upstream(flow_class) as value:
            try:
                yield value
            except SystemExit as leave:
                if _allowed:
                    _consider(leave.code)
                raise

    parameters_module.flow_context = flow_context


def _consider(told):
    code = _exit_code(told)
    if code is not None and _is_last_of_script():
        atexit.register(_leave, code, atexit._ncallbacks())


def _exit_code(told):
    """Of the process, where SystemExit prints nothing."""
    if told is None:
        return 0
    return told & 0xFF if isinstance(told, int) else None


def _leave(code, callbacks):
    """The first of the atexit functions to run, unless somebody has registered one since; runs the others."""
    if atexit._ncallbacks() != callbacks + 1:
        return
    atexit.unregister(_leave)
    atexit._run_exitfuncs()
    gc.collect()
    if _is_alone() and _flushed():
        ctypes.PyDLL(None).exit(code)


def _is_alone():
    """A library that joins its threads at the end may wait for one that waits for the interpreter."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def nothing_to_take_down():
    """False when objects that are there already want to be taken down. Called in the fork server.

    Metaflow's own are not among them: they have something to end where it is used without a flow.
    """
    return not any(
        _wants_to_be_taken_down(thing) and not type(thing).__module__.startswith("metaflow.") for thing in gc.get_objects()
    )


def _wants_to_be_taken_down(thing):
    return isinstance(getattr(type(thing), "__del__", None), types.FunctionType)


def _flushed():
    """Flushes what this task has opened. False when it has objects that want to be taken down."""
    for thing in gc.get_objects():  # what was there before the fork is frozen and not among them
        kind = type(thing)
        if issubclass(kind, io.IOBase):
            try:
                if thing.closed or not thing.writable():
                    continue
                if kind not in _COMPLETE_WHEN_FLUSHED:
                    return False
                thing.flush()
            except Exception:
                return False
        elif _wants_to_be_taken_down(thing):
            return False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            return False
    return True


def _is_last_of_script():
    """Whether the file ends with `if …: Flow()` and that has been reached, so that nothing comes after SystemExit."""
    main = sys.modules["__main__"]
    try:
        with open(main.__file__, "rb") as file:
            body = ast.parse(file.read()).body
    except (AttributeError, OSError, SyntaxError, ValueError):
        return False
    while body and isinstance(body[-1], ast.If) and not body[-1].orelse:
        body = body[-1].body
    last = body[-1] if body else None
    if not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Call):
        return False
    frame = sys._getframe()
    while frame.f_back:
        frame = frame.f_back
    return frame.f_globals is vars(main) and frame.f_lineno == last.lineno
