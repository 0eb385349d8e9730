"""@timeout of a step that would wait for ever, caught once and retried once. Batch accepts 60 seconds or more."""

import signal

from metaflow import Config, FlowSpec, catch, config_expr, current, retry, step, timeout


class TimeoutFlow(FlowSpec):
    limits = Config("limits", default_value={"seconds": 2})

    @step
    def start(self):
        self.next(self.waits, self.waits_once)

    @catch(var="why", print_exception=False)
    @timeout(seconds=config_expr("limits.seconds"))
    @step
    def waits(self):
        signal.pause()
        self.next(self.join)

    @retry(times=1, minutes_between_retries=0)
    @timeout(seconds=config_expr("limits.seconds"))
    @step
    def waits_once(self):
        if current.retry_count == 0:
            signal.pause()
        self.why = None
        self.next(self.join)

    @step
    def join(self, inputs):
        self.kind = inputs.waits.why.type.rsplit(".", 1)[-1]
        self.next(self.end)

    @step
    def end(self):
        assert "TimeoutException" in self.kind, self.kind


if __name__ == "__main__":
    TimeoutFlow()
