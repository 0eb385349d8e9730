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
import sys
import types

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
    if _flushed():
        ctypes.PyDLL(None).exit(code)


def _flushed():
    """Flushes what this task has opened. False when it has objects that want to be taken down."""
    for thing in gc.get_objects():  # what was there before the fork is frozen and not among them
        if isinstance(thing, io.IOBase):
            try:
                if not thing.closed and thing.writable():
                    thing.flush()
            except Exception:
                return False
        elif isinstance(getattr(type(thing), "__del__", None), types.FunctionType):
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
