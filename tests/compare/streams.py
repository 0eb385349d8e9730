"""The two output streams of a watched command: pipes, or a terminal that is both."""

import os
import pty
import re
import threading

# What Ferroflow draws below the cursor, which comes back to where it was, and how it is taken away
# (src/ferroflow/report/region.rs). Without it a terminal has got what upstream writes, byte for byte.
REGION = re.compile(rb"\x0b+\x1b\[\d+A\x1b7.*?\x1b8|\x1b\[J", re.S)


class Stream:
    """Collects what arrives at `read_end`, in a thread, until all writers have closed their end."""

    def __init__(self, read_end, write_end):
        self.write_end = write_end
        self._read_end = read_end
        self._chunks = []
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def drain(self):
        """Starts to collect; the command has its own copy of the writing end by now."""
        os.close(self.write_end)
        self._thread.start()

    def text(self):
        self._thread.join(10)
        return self._bytes().decode("utf-8", "backslashreplace")

    def _bytes(self):
        return b"".join(self._chunks)

    def _collect(self):
        while True:
            try:
                chunk = os.read(self._read_end, 65536)
            except OSError:  # The terminal's way of saying that nobody writes any more.
                chunk = b""
            if not chunk:
                os.close(self._read_end)
                return
            self._chunks.append(chunk)


class Terminal(Stream):
    """What stays on a terminal."""

    def _bytes(self):
        return REGION.sub(b"", super()._bytes())


class Nothing:
    """The second stream where one terminal is both."""

    def __init__(self, write_end):
        self.write_end = write_end

    def drain(self):
        pass

    def text(self):
        return ""


def pipe_pair():
    return Stream(*os.pipe()), Stream(*os.pipe())


def pty_pair():
    terminal = Terminal(*pty.openpty())
    return terminal, Nothing(terminal.write_end)
