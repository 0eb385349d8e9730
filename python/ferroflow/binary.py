"""Where the engine's binary is."""

import os
import shutil
import sys

from .errors import HandBack


_FIX = "; let it name the program `ferroflow`, or unset it"


def locate():
    """$FERROFLOW_BIN, else `ferroflow` beside the interpreter or where pip put it, else on PATH."""
    chosen = os.environ.get("FERROFLOW_BIN")
    if chosen:
        if not os.path.isfile(chosen):
            raise HandBack("FERROFLOW_BIN names %s, which is not a file%s" % (chosen, _FIX))
        if not os.access(chosen, os.X_OK):
            raise HandBack("FERROFLOW_BIN names %s, which is not executable%s" % (chosen, _FIX))
        return os.path.abspath(chosen)
    for folder in _script_folders():
        binary = os.path.join(folder, "ferroflow")
        if os.path.isfile(binary) and os.access(binary, os.X_OK):
            return os.path.abspath(binary)
    found = shutil.which("ferroflow")
    if found:
        return os.path.abspath(found)
    beside = sys.executable or "Python"
    raise HandBack("the binary `ferroflow` is neither beside %s nor on PATH; `pip install ferroflow` puts it there" % beside)


def _script_folders():
    """Of the interpreter; of `prefix/lib/pythonX.Y/site-packages/ferroflow`; of `pip install --target`."""
    yield os.path.dirname(sys.executable or "")
    packages = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.basename(packages) in ("site-packages", "dist-packages"):
        yield os.path.join(packages, os.pardir, os.pardir, os.pardir, "bin")
    yield os.path.join(packages, "bin")
