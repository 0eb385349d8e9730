"""What can go wrong in the flow host."""

import os
import signal


def is_required():
    """Whether the user forbids to leave anything to Metaflow."""
    return os.environ.get("FERROFLOW") == "require"


class HandBack(Exception):
    """Ferroflow does not run this flow; its text says why."""


def required(reason):
    """The error instead of a hand-back under FERROFLOW=require."""
    from metaflow.exception import MetaflowException

    class FerroflowRequired(MetaflowException):
        headline = "Ferroflow cannot run this flow"

    return FerroflowRequired("%s. FERROFLOW=require forbids to hand the run back to Metaflow." % _sentence(reason))


def required_step(step, reason):
    """The error instead of a step in a process of upstream's or another's under FERROFLOW=require."""
    from metaflow.exception import MetaflowException

    class FerroflowRequired(MetaflowException):
        headline = "Ferroflow cannot run this step"

    return FerroflowRequired("Step *%s*: %s. FERROFLOW=require forbids to start it like this." % (step, reason))


def refused_step(step, refusal):
    """Upstream would not submit this step, and nobody may ask it to under FERROFLOW=require."""
    from metaflow.exception import MetaflowException

    class StepRefused(MetaflowException):
        headline = "Step *%s* cannot be submitted to AWS Batch" % step

    return StepRefused(_sentence(refusal))


def bad_wish(wish):
    """FERROFLOW has a value that means nothing."""
    from metaflow.exception import MetaflowException

    class FerroflowSetting(MetaflowException):
        headline = "Wrong setting"

    return FerroflowSetting("The environment variable FERROFLOW is %r; use auto, off or require." % wish)


def engine_gone(binary, status, run):
    """The engine ended before the run did. `status` is that of `Popen.wait`."""
    from metaflow.exception import MetaflowException

    class EngineGone(MetaflowException):
        headline = "The Ferroflow engine ended before the run"

    return EngineGone(
        "%s %s. Tasks that had finished are in the datastore: *resume --origin-run-id %s* goes on from there, "
        "and FERROFLOW=off runs it on Metaflow's own scheduler." % (binary, describe_status(status), run)
    )


def engine_nonsense(what):
    """The engine broke the protocol."""
    from metaflow.exception import MetaflowInternalError

    return MetaflowInternalError(
        "The Ferroflow engine sent %s. Are the binary and the Python package of the same version?" % what
    )


def describe_status(status):
    """`Popen.returncode` in words."""
    if status >= 0:
        return "exited with status %d" % status
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "unknown"
    return "was killed by signal %d (%s)" % (-status, name)


def one_line(error):
    """An exception as one line of text."""
    text = "%s: %s" % (type(error).__name__, error) if str(error) else type(error).__name__
    return " ".join(unicode_only(text).split())


def unicode_only(text):
    """Text without the stand-ins that Python puts for bytes in an unknown encoding; JSON has no such thing."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _sentence(reason):
    return reason[:1].upper() + reason[1:]
