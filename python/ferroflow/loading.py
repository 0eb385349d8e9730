"""What a flow's file does while it is loaded, from its import of Metaflow on.

A fresh interpreter does it again for each task; a fork has it done already, and only has to tell what was told.
"""

import random
import sys

# Characters that are kept for the tasks; what tells more is not worth a fork.
_ROOM = 64 << 10

_watch = None


def watch():
    """Called when Metaflow begins to be imported."""
    global _watch
    try:
        _watch = _Watch()
    except Exception:  # streams of a user's own need not be like Python's; then tasks are not forked
        _watch = None


def watched():
    """What has been seen, or None. Ends the watch."""
    if _watch:
        _watch.end()
    return _watch


class _Watch:
    def __init__(self):
        self.random_state = random.getstate()
        # Numbers of streams and what was written to them, in order.
        self.written = []
        self._size = 0
        self._before = set(sys.modules)
        # Line that was reached in each module that was being loaded, by the id of its dictionary.
        self._lines = {}
        frame = sys._getframe(1)
        while frame:
            if frame.f_code.co_name == "<module>":
                self._lines[id(frame.f_globals)] = frame.f_lineno
            frame = frame.f_back
        self._streams = {
            number: stream
            for number, stream in ((1, sys.stdout), (2, sys.stderr))
            if hasattr(stream, "__dict__")
        }
        for number, stream in self._streams.items():
            stream.write = self._noting(number, stream.write)

    def _noting(self, number, write):
        def noting(text):
            if self._streams and self._size <= _ROOM and isinstance(text, str):
                self._size += len(text)
                self.written.append((number, text))
            return write(text)

        return noting

    def end(self):
        for stream in self._streams.values():
            vars(stream).pop("write", None)
        self._streams = {}

    def wrote_too_much(self):
        return self._size > _ROOM

    def first_line(self, module):
        """From which line on the module was watched; None when it had been loaded before."""
        line = self._lines.get(id(vars(module)))
        return 0 if line is None and module.__name__ not in self._before else line
