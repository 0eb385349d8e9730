"""Where the engine's binary is."""

import os
import shutil
import sys

from .errors import HandBack


def locate():
    """$FERROFLOW_BIN, else `ferroflow` beside the interpreter, else on PATH."""
    chosen = os.environ.get("FERROFLOW_BIN")
    if chosen:
        if not os.path.isfile(chosen):
            raise HandBack("FERROFLOW_BIN names %s, which is not a file" % chosen)
        if not os.access(chosen, os.X_OK):
            raise HandBack("FERROFLOW_BIN names %s, which is not executable" % chosen)
        return os.path.abspath(chosen)
    beside = os.path.join(os.path.dirname(sys.executable or ""), "ferroflow")
    if os.path.isfile(beside) and os.access(beside, os.X_OK):
        return os.path.abspath(beside)
    found = shutil.which("ferroflow")
    if found:
        return os.path.abspath(found)
    raise HandBack("the binary `ferroflow` is neither beside %s nor on PATH" % (sys.executable or "Python"))
