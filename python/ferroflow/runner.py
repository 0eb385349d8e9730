"""Whether Metaflow's Runner has started this run, and whether that is still there.

A Runner waits for a result, in a program or a notebook. Whoever kills that expects the run to end, which is this
process's, and nobody tells a process of its parent's death. The Runner is known by the pipe that it reads the run's id from
(metaflow/runner/utils.py, temporary_fifo).
"""

import os
import signal
import stat
import sys

_OPTION = "--runner-attribute-file"
_INTERVAL_S = 1

# This process, and the one that has started it, if that is a Runner's.
_process = _parent = None


def look():
    """Called when Metaflow begins to be imported: once the run's id is told, the pipe is gone."""
    global _process, _parent
    if _is_pipe(_value(sys.argv[1:])):
        _process, _parent = os.getpid(), os.getppid()


def has_started_this():
    """Whether a Runner waits for this run."""
    return _parent is not None


def watch():
    """From here on the run is ended, as by SIGTERM, when the Runner's process is gone.

    Called once the tasks' server has been forked, as it must be while there is one thread, and before the id is told:
    without the Runner that would take for ever. Does nothing in the forks.
    """
    if has_started_this() and os.getpid() == _process:
        import threading

        threading.Thread(target=_wait_for_its_end, name="ferroflow-runner", daemon=True).start()


def forget():
    """The run is handed back: what becomes of it is Metaflow's."""
    global _parent
    _parent = None


def _wait_for_its_end():
    import time

    while has_started_this():
        if os.getppid() != _parent:
            os.kill(_process, signal.SIGTERM)
            return
        time.sleep(_INTERVAL_S)


def _value(words):
    """Of the option, None without it."""
    for word, following in zip(words, words[1:] + [None]):
        name, equals, value = word.partition("=")
        if name == _OPTION:
            return value if equals else following
    return None


def _is_pipe(path):
    try:
        return path is not None and stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False
