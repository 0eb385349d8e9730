"""Starting the engine, and noticing its end."""

import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys

from . import events
from .errors import HandBack, describe_status, engine_gone
from .protocol import PROTOCOL_VERSION, Connection, Gone
from .signals import Forwarding, Interrupted

# The status of an engine that has told on standard error what is wrong (src/model/exit_code.rs).
EXPLAINED = 1
# How long the engine may take to end once its socket is closed.
PATIENCE_S = 30


class Engine:
    """The engine's process and the socket to it."""

    def __init__(self, binary, run, fork_server=None):
        self._binary = binary
        self._run = run
        self._fork_server = fork_server
        self.env = _environment()  # `prepared.env` is the difference to it
        flush()
        ours, theirs = socket.socketpair()
        self.connection = Connection(ours)
        self.signals = Forwarding(self.connection)
        self.signals.start()
        command, descriptors = [binary, "engine", "--fd", str(theirs.fileno())], [theirs.fileno()]
        if fork_server:
            descriptors.append(fork_server.socket.fileno())
            command += ["--fork-fd", str(fork_server.socket.fileno())]
        if events.descriptor is not None:
            descriptors.append(events.descriptor)
            command += ["--events-fd", str(events.descriptor)]
        try:
            self._process = subprocess.Popen(
                command,
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=_standard(sys.stdout),
                stderr=_standard(sys.stderr),
                env=self.env,
            )
        except OSError as error:
            self.signals.stop()
            ours.close()
            raise HandBack("%s does not start: %s" % (binary, error)) from None
        finally:
            theirs.close()
            if fork_server:
                fork_server.end()

    def greet(self, plan, metaflow_version, tell_credentials):
        """Sends hello and plan, and returns the engine's first message, apart from questions for credentials.

        An engine that ends before it has asked for anything has done nothing: then Metaflow can still run the flow.
        Until then a signal ends the engine, however long that waits for the network.
        """
        try:
            with self.signals.raising():
                self._say_hello(plan, metaflow_version)
                message = self.connection.receive()
                while message.get("type") == "credentials":
                    tell_credentials(message)
                    message = self.connection.receive()
            self.connection.open_to_signals()
            return message
        except Gone:
            status = self.end()
            above = "; what it printed says why" if status == EXPLAINED else ""
            text = "%s %s before the first task%s" % (self._binary, describe_status(status), above)
            raise HandBack(text) from None
        except Interrupted:
            self._kill()
            self.end()
            raise HandBack("a signal came before the first task") from None
        except BaseException:
            self.end()
            raise

    def _say_hello(self, plan, metaflow_version):
        self.connection.send(
            {
                "type": "hello",
                "protocol": PROTOCOL_VERSION,
                "metaflow": metaflow_version,
                "python": platform.python_version(),
                "pid": os.getpid(),
            }
        )
        self.connection.send({"type": "plan", "plan": plan})

    def gone(self):
        """The error for an engine that ended too early."""
        return engine_gone(self._binary, self.end(), self._run)

    def end(self):
        """Closes the socket, which ends the engine, waits for it, and returns its status."""
        self.connection.close()
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._kill()
            return self._process.wait()
        finally:
            self.signals.stop()
            if self._fork_server:
                self._fork_server.reap()

    def _kill(self):
        """Our child only waits for the engine, which is in the same process group."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()


def _environment():
    """What the engine starts with: our environment, and where an installed package has the bootstraps."""
    env = dict(os.environ)
    bootstraps = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bootstrap")
    if os.path.isdir(bootstraps):
        env.setdefault("FERROFLOW_BOOTSTRAP_DIR", bootstraps)
    return env


def flush():
    """Lets what was printed here appear before what the engine prints."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def _standard(stream):
    """The file behind a stream if it has one: user code may have put another in place of descriptor 1."""
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
