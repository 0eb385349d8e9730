"""Messages between flow host and engine: docs/host-protocol.md. The Rust side is src/compute/host/protocol.rs."""

import json
import struct
from collections import deque

PROTOCOL_VERSION = 5
MAX_MESSAGE = 64 << 20
_LENGTH = struct.Struct(">I")


class Gone(Exception):
    """The engine closed its end of the socket."""


class Connection:
    """The host's end of the socket.

    Signal handlers send too, and Python runs them between any two bytecodes of the main thread, so one may come in the
    middle of a message: what it wants to send then waits for the end of that message.
    """

    def __init__(self, sock):
        self._socket = sock
        self._urgent = deque()
        self._busy = True  # until `open_to_signals`: the greeting goes first

    def send(self, message):
        """Sends one message."""
        frame = encode(message)
        was_busy, self._busy = self._busy, True
        try:
            self._socket.sendall(frame)
        except OSError:
            raise Gone() from None
        finally:
            self._busy = was_busy
        self._send_urgent()

    def send_from_signal_handler(self, message):
        """Sends one message now, or after the one that is under way."""
        self._urgent.append(message)
        self._send_urgent()

    def open_to_signals(self):
        """From here on signals may be told to the engine."""
        self._busy = False
        self._send_urgent()

    def receive(self):
        """The next message; raises `Gone` at the end of the stream."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        if length > MAX_MESSAGE:
            raise ValueError("a message of %d bytes" % length)
        return json.loads(self._read(length).decode("utf-8"))

    def close(self):
        """Tells the engine that nothing more will come."""
        self._socket.close()

    def _send_urgent(self):
        while self._urgent and not self._busy:
            self._busy = True
            try:
                self._socket.sendall(encode(self._urgent.popleft()))
            except OSError:
                pass  # `receive` will tell
            finally:
                self._busy = False

    def _read(self, size):
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            try:
                count = self._socket.recv_into(view)
            except OSError:
                raise Gone() from None
            if count == 0:
                raise Gone()
            view = view[count:]
        return bytes(buffer)


def encode(message):
    """A message as bytes. Text that is not Unicode (a file name in another encoding) is an error here, not there."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    if len(body) > MAX_MESSAGE:
        raise ValueError("a message of %d bytes is longer than the protocol allows" % len(body))
    return _LENGTH.pack(len(body)) + body
