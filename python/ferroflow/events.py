"""The stream for events (docs/json-events.md), which `ferroflow --json` has opened.

Its number comes in a variable that is taken away at once, and it is closed in whatever is forked: a run inside a task has
no part in it, and its reader sees the end when the run has ended.
"""

import os

_VARIABLE = "FERROFLOW_JSON_FD"

# The descriptor, if somebody wants events.
descriptor = None


def look():
    """Called when Metaflow begins to be imported in the process of a run."""
    global descriptor
    try:
        number = int(os.environ.pop(_VARIABLE, ""))
        os.set_inheritable(number, False)
    except (ValueError, OSError):
        return
    descriptor = number


def close():
    """Called in a process that is forked off the run's."""
    global descriptor
    if descriptor is not None:
        os.close(descriptor)
        descriptor = None


def tell_hand_back(reason):
    """The only event of a run that goes on without us."""
    if descriptor is None:
        return
    import json
    import time

    now = time.time()
    event = {
        "version": 1,
        "time": "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)), now % 1 * 1000),
        "event": "run_handed_back",
        "reason": reason,
    }
    try:
        os.write(descriptor, (json.dumps(event) + "\n").encode("utf-8", "replace"))
    except OSError:
        pass  # nobody reads it
    close()
