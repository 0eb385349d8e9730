"""`python -m ferroflow`: the binary, for when it is not on PATH."""

import os
import sys

from .binary import locate
from .errors import HandBack

try:
    _binary = locate()
except HandBack as _error:
    sys.exit("ferroflow: %s" % _error)
os.execv(_binary, [_binary] + sys.argv[1:])
