"""Signals while the engine has the run: the engine decides, the host only passes them on."""

import contextlib
import signal
import threading

FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupted(BaseException):
    """A signal came before the engine had the run. Not an `Exception`, so that nobody catches it by mistake."""


class Forwarding:
    """Passes signals on to the engine from `start` to `stop`."""

    def __init__(self, connection):
        self._connection = connection
        self._originals = {}
        self._raises = False
        self.received = []
        self.in_hooks = False

    def start(self):
        """Installs the handlers. Python allows that in the main thread only; elsewhere nothing changes.

        What was ignored at the start (`nohup`, background jobs) stays ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for name in FORWARDED:
            signo = getattr(signal, name, None)
            original = None if signo is None else signal.getsignal(signo)
            if original is not None and original != signal.SIG_IGN:
                self._originals[signo] = original
                signal.signal(signo, self._forward)

    def stop(self):
        """Puts the original handlers back."""
        while self._originals:
            signal.signal(*self._originals.popitem())

    @contextlib.contextmanager
    def raising(self):
        """Raises `Interrupted` for a signal: nobody is there yet to whom it could be passed on."""
        try:
            self._raises = True
            if self.received:
                raise Interrupted()
            yield
        finally:
            self._raises = False

    def _forward(self, signo, _frame):
        self.received.append(signo)
        if self._raises:
            self._raises = False  # once: what follows must not be interrupted
            raise Interrupted()
        self._connection.send_from_signal_handler({"type": "signal", "signo": int(signo)})
        if self.in_hooks and (signo == signal.SIGINT or len(self.received) > 1):
            # As upstream, where a hook runs in the same thread as everything else. The engine already knows. Other
            # signals let a hook finish, but a second one means that it hangs.
            raise KeyboardInterrupt
