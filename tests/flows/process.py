"""What user code finds out about its process: arguments, folders, streams, signals, threads, children."""

import os
import signal
import sys
import threading

from metaflow import FlowSpec, Parameter, current, parallel_map, step

SIGNALS = ["SIGINT", "SIGTERM", "SIGCHLD", "SIGPIPE", "SIGHUP", "SIGALRM", "SIGUSR1"]


class ProcessFlow(FlowSpec):
    greeting = Parameter("greeting", default="hello")

    @step
    def start(self):
        self.arguments = list(sys.argv)
        self.folder = os.getcwd()
        self.file = __file__
        self.module = (__name__, sys.modules["__main__"].__file__)
        self.first_path = sys.path[0]
        self.umask = os.umask(0o022)
        self.streams = [(s.encoding, s.errors, s.line_buffering, s.isatty()) for s in (sys.stdout, sys.stderr)]
        self.next(self.signals)

    @step
    def signals(self):
        self.handlers = {name: str(signal.getsignal(getattr(signal, name))) for name in SIGNALS}
        self.blocked = sorted(int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, []))
        self.threads = threading.active_count()
        self.main_thread = threading.current_thread() is threading.main_thread()
        self.open_sockets = sum("socket:" in link for link in self.open_files())
        self.next(self.children)

    @step
    def children(self):
        """Child processes work, and a task has none that it did not start."""
        self.doubled = parallel_map(lambda x: x * 2, [1, 2, 3], max_parallel=2)
        with os.popen("echo from a child") as pipe:
            self.said = pipe.read()
        try:
            self.others = str(os.waitpid(-1, os.WNOHANG))
        except ChildProcessError as e:
            self.others = type(e).__name__
        self.next(self.end)

    @step
    def end(self):
        assert self.doubled == [2, 4, 6]
        print(current.pathspec.split("/")[0], self.greeting)

    def open_files(self):
        for name in os.listdir("/proc/self/fd"):
            try:
                yield os.readlink("/proc/self/fd/" + name)
            except FileNotFoundError:
                pass


if __name__ == "__main__":
    ProcessFlow()
