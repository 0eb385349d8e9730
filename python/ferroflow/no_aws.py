"""Metaflow's errors that mean "AWS is not configured": the embedded stack is the other way.

`ferroflow FLOW.py run` starts the stack before Python when the command line asks for Batch (src/ferroflow/cli/dev/auto.rs).
That steps have @batch in the flow's source is known only here, when Metaflow refuses: then the launcher is asked once more.
"""

import os
import sys

ON_ERROR = "FERROFLOW_DEV_ON_ERROR"

# metaflow/plugins/aws/batch/batch_decorator.py (step_init), batch.py (launch_job), metaflow/cli.py (start).
NO_S3 = "requires --datastore=s3"
_NO_AWS = (NO_S3, "METAFLOW_DATASTORE_SYSROOT_S3", "No job queue  specified and no valid & enabled queue found")


def report(error, upstream):
    """`print_metaflow_exception` of metaflow/cli.py, and what Ferroflow has to add to it."""
    message = str(getattr(error, "message", error))
    if NO_S3 in message and "batch" in message:
        _begin_again()
    upstream(error)
    if any(text in message for text in _NO_AWS):
        print("    or: ferroflow dev up, then eval \"$(ferroflow dev env)\", to run it on this machine", file=sys.stderr)


def _begin_again():
    """Becomes the launcher again, which starts the stack; nothing has been done for the run yet."""
    launcher = os.environ.get("FERROFLOW_BIN")
    if os.environ.get(ON_ERROR) != "possible" or not launcher:
        return
    os.environ[ON_ERROR] = "wanted"
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        os.execv(launcher, [launcher] + _command_line())
    except OSError as error:
        print("ferroflow: %s does not start: %s" % (launcher, error), file=sys.stderr)


def _command_line():
    """What the launcher was asked to run: a file, or a module, by `-m`."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    return ["-m", module.name] + sys.argv[1:] if module else sys.argv
