"""The two output streams of a watched command: pipes, or a terminal that is both."""

import os
import pty
import threading


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
        return b"".join(self._chunks).decode("utf-8", "backslashreplace")

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
    terminal = Stream(*pty.openpty())
    return terminal, Nothing(terminal.write_end)
