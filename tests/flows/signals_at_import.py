"""Signal handlers that a module installs when it is loaded, and one that a step does."""

import os
import signal
import subprocess
import time

from metaflow import FlowSpec, step

seen = []
signal.signal(signal.SIGUSR1, lambda signo, frame: seen.append("USR1"))
signal.signal(signal.SIGCHLD, lambda signo, frame: seen.append("CHLD"))
signal.signal(signal.SIGUSR2, signal.SIG_IGN)


class SignalsAtImportFlow(FlowSpec):
    @step
    def start(self):
        for signo in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(os.getpid(), signo)
        subprocess.run(["true"])
        self.seen = list(seen)
        self.next(self.alarm)

    @step
    def alarm(self):
        signal.signal(signal.SIGALRM, lambda signo, frame: seen.append("ALRM"))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        while "ALRM" not in seen:
            time.sleep(0.01)
        self.seen = list(seen)
        self.next(self.end)

    @step
    def end(self):
        self.handlers = [str(signal.getsignal(s)) for s in (signal.SIGALRM, signal.SIGUSR2)]
        assert signal.set_wakeup_fd(-1) == -1


if __name__ == "__main__":
    SignalsAtImportFlow()
