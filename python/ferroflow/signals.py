"""Signals while the engine has the run: the engine decides, the host only passes them on."""

import signal
import threading

FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP")


class Forwarding:
    """Passes signals on to the engine from `start` to `stop`."""

    def __init__(self, connection):
        self._connection = connection
        self._originals = {}
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

    def _forward(self, signo, _frame):
        self.received.append(signo)
        self._connection.send_from_signal_handler({"type": "signal", "signo": int(signo)})
        if signo == signal.SIGINT and self.in_hooks:
            # As upstream, where a hook runs in the same thread as everything else. The engine already knows.
            raise KeyboardInterrupt
