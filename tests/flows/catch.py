"""@catch: of an exception, of an exception after a retry, and of a process that dies in each of its attempts."""

import os
import signal

from metaflow import FlowSpec, catch, current, retry, step


class CatchFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.raises, self.retried, self.dies)

    @catch(var="why")
    @step
    def raises(self):
        self.before = "kept"
        raise ValueError("to be caught")
        self.next(self.join)

    @catch(var="why", print_exception=False)
    @retry(times=1, minutes_between_retries=0)
    @step
    def retried(self):
        self.before = "attempt %d" % current.retry_count
        raise KeyError("to be caught at the second attempt")
        self.next(self.join)

    @catch(var="why")
    @retry(times=1, minutes_between_retries=0)
    @step
    def dies(self):
        print("about to die in attempt", current.retry_count, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.caught = [str(i.why.exception) for i in (inputs.raises, inputs.retried)]
        self.kinds = [i.why.type for i in (inputs.raises, inputs.retried, inputs.dies)]
        self.before = [inputs.raises.before, inputs.retried.before]
        self.next(self.end)

    @step
    def end(self):
        assert self.before == ["kept", "attempt 1"], self.before


if __name__ == "__main__":
    CatchFlow()
