"""Runs tasks of this machine as forks of a process that has imported the flow.

A fresh interpreter spends nearly all of a short task on importing Metaflow and the flow's file. Where it has done that and
is about to read its command line, before `metaflow.cli.main`, the run's own process stands once, too: there it forks off a
server, which does nothing but fork again, for each task that the engine asks for. The new process gets the task's
command line, environment, folder and streams, and goes on to `main`, as a fresh interpreter would.

`forkable.py` says when that would not be the same; docs/fork-server.md has the messages.
"""

import array
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import warnings

from . import early_exit, events, forkable, loading
from .bytecode import USED_BY_STEPS
from .errors import one_line
from .prepare import difference

_PR_SET_PDEATHSIG = 1
# Streams of a task, and where its end is told.
_DESCRIPTORS = 4
# A request of no length, and the answer to it.
_GET_READY = struct.pack(">I", 0)
_READY = struct.pack(">i", 0)
_REFUSED = -1


class ForkServer:
    """The run's end of the socket to a server, until the engine has it."""

    def __init__(self, pid, connection):
        self._pid = pid
        self.socket = connection
        self._environment = dict(os.environ)

    def obstacle(self):
        """What has changed since, so that tasks cannot be forked, or None."""
        return forkable.changed_variables(difference(self._environment, os.environ))

    def get_ready(self):
        """Tasks will come."""
        self.socket.sendall(_GET_READY)

    def end(self):
        """Closes this end. The server ends when nobody has it open any more."""
        self.socket.close()

    def reap(self):
        """Waits for the server, whose other clients are gone."""
        self.end()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


# In the process of a run: the server, or why there is none.
_server = None
_reason = "the run did not begin in the flow's own file"


def for_plan(plan):
    """The server, if tasks of this run can be forked, and else why they cannot."""
    if _server is None:
        return None, _reason
    reason = _server.obstacle()
    if reason is None and all(step["batch"] for step in plan["steps"].values()):
        reason = "all steps are on AWS Batch"
    if reason is None:
        try:
            _server.get_ready()
            return _server, None
        except OSError as error:
            reason = "the fork server has ended: %s" % one_line(error)
    _server.reap()
    return None, reason


def discard():
    """Without the engine nobody needs a server."""
    if _server is not None:
        _server.reap()


def begin():
    """Called before `main`. Returns in the process of a task, too, with its command line and all else in place."""
    global _server, _reason
    seen = loading.watched()
    try:
        _reason = forkable.obstacle(seen)
    except Exception as error:  # looking at the process of a user meets what nobody has thought of
        _reason = "it could not be found out whether tasks can be forked: %s" % one_line(error)
    if _reason:
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    ours, theirs = socket.socketpair()
    try:
        pid = _fork_process()
    except OSError as error:
        ours.close()
        theirs.close()
        _reason = "the fork server could not be started: %s" % one_line(error)
        return
    if pid:
        theirs.close()
        _server = ForkServer(pid, ours)
        return
    ours.close()
    _serve_or_end(theirs)
    for number, text in seen.written:
        (sys.stdout if number == 1 else sys.stderr).write(text)


def _serve_or_end(connection):
    """Returns in the processes of tasks only: a server that fails must not go on as a run."""
    server = os.getpid()
    events.close()
    try:
        _serve(connection)
    except BaseException as error:
        if os.getpid() != server:
            with contextlib.suppress(OSError):
                os.write(2, ("ferroflow: the task could not be set up: %s\n" % one_line(error)).encode())
        os._exit(1)


def _serve(connection):
    os.setpgid(0, 0)  # a Ctrl-C at the terminal is the engine's to tell
    _be_silent()
    open_files = _raise_open_files()
    ended = _Ended()
    early = False
    while True:
        readable = select.select([connection, ended.descriptor], [], [])[0]
        if ended.descriptor in readable:
            ended.tell()
        if connection in readable:
            request, descriptors = _receive(connection)
            if request is None:
                os._exit(0)
            if not request:
                early = _load()
                connection.sendall(_READY)
            elif _fork(connection, request, descriptors, ended):
                resource.setrlimit(resource.RLIMIT_NOFILE, open_files)
                if early:
                    early_exit.allow()
                return


def _raise_open_files():
    """A descriptor is held for each task that runs. Returns the limits as they were."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    return limits


def _load():
    """What each task would import and look at else. A run without tasks on this machine does not pay for it.

    Whether tasks may end early: not where something wants to be taken down that all of them have.
    """
    with contextlib.suppress(ImportError):
        for name in USED_BY_STEPS:
            importlib.import_module(name)
    gc.collect()
    early = early_exit.nothing_to_take_down()
    gc.freeze()  # so that no collection of a task copies all pages
    return early


def _fork_process():
    """Threads of OpenBLAS, which are no trouble, make newer Pythons warn, and some programs turn warnings into errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def _be_silent():
    """Whoever reads the run's output must not wait for this process."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    if nowhere > 2:
        os.close(nowhere)


def _fork(connection, request, descriptors, ended):
    """True in the new process, where all is as the task wants it."""
    server = os.getpid()
    pid = _REFUSED
    if len(descriptors) == _DESCRIPTORS:
        with contextlib.suppress(OSError):  # too many processes: a fresh interpreter may have better luck, or say so
            pid = _fork_process()
    if pid == 0:
        _become(request, descriptors, server)
        ended.forget()
        connection.close()
        return True
    if pid > 0:
        with contextlib.suppress(OSError):  # it may have ended
            os.setpgid(pid, pid)
        ended.statuses[pid] = descriptors.pop()
    for descriptor in descriptors:
        os.close(descriptor)
    connection.sendall(struct.pack(">i", pid))
    return False


def _become(request, descriptors, server):
    """Turns the new process into what a fresh interpreter with this command line would be."""
    os.setpgid(0, 0)
    _end_with(server)
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[:] = request["argv"][forkable.script_at(request["argv"]) :]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = request["argv"]
    _unbuffer()
    forkable.seed_anew()


def _end_with(server):
    """On Linux the kernel kills the task when the server dies, which does when the engine does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:
        os._exit(1)


def _unbuffer():
    """PYTHONUNBUFFERED of upstream's workers, on the very objects that loggers and the like may hold."""
    for stream, number in ((sys.__stdout__, 1), (sys.__stderr__, 2)):
        stream.__init__(
            io.FileIO(number, "wb", closefd=False),
            encoding=stream.encoding,
            errors=stream.errors,
            newline="\n",
            line_buffering=False,
            write_through=True,
        )
    sys.__stdin__.__init__(
        open(0, "rb", closefd=False), encoding=sys.__stdin__.encoding, errors=sys.__stdin__.errors
    )


class _Ended:
    """Tells how tasks ended: each in the pipe that came with it, as one number, as `subprocess` counts."""

    def __init__(self):
        self.statuses = {}
        self.descriptor, self._write = os.pipe()
        for descriptor in (self.descriptor, self._write):
            os.set_blocking(descriptor, False)
        self._handler = signal.signal(signal.SIGCHLD, lambda _signo, _frame: None)
        # Whoever ends all children of the run's process, as Metaflow's Runner does, must leave the tasks their time.
        self._terminate = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def tell(self):
        """Reaps whoever has ended."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 4096)
        while self.statuses:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            told = self.statuses.pop(pid, None)
            if told is not None:
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                with contextlib.suppress(OSError):  # nobody asks any more
                    os.write(told, struct.pack(">i", code))
                os.close(told)

    def forget(self):
        """For a task: none of this is its own."""
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(signal.SIGCHLD, self._handler)
        signal.signal(signal.SIGTERM, self._terminate)
        for descriptor in [self.descriptor, self._write, *self.statuses.values()]:
            os.close(descriptor)


def _receive(connection):
    """A request, empty when it is to get ready, and its descriptors; None at the end."""
    descriptors = []
    head = _exactly(connection, 4, descriptors)
    if head == _GET_READY:
        return {}, descriptors
    body = head and _exactly(connection, struct.unpack(">I", head)[0], descriptors)
    return (json.loads(body.decode("utf-8")) if body else None), descriptors


def _exactly(connection, size, descriptors):
    room = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
    data = b""
    while len(data) < size:
        piece, ancillary, _flags, _address = connection.recvmsg(size - len(data), room)
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                got = array.array("i")
                got.frombytes(content)
                descriptors.extend(got)
        if not piece:
            return None
        data += piece
    return data
