"""A step that a signal ends, without a retry: the run fails."""

import os
import signal

from metaflow import FlowSpec, Parameter, step


class DiesFlow(FlowSpec):
    signal = Parameter("signal", default="SIGKILL")

    @step
    def start(self):
        self.value = 1
        self.next(self.dies)

    @step
    def dies(self):
        print("last words", flush=True)
        number = getattr(signal, self.signal)
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
        os.kill(os.getpid(), number)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    DiesFlow()
