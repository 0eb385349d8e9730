import os
import signal
import sys
import time

from metaflow import Config, FlowSpec, catch, environment, retry, step

if os.environ.get("BROKEN_HOOK") and "run" in sys.argv:
    from metaflow.plugins.environment_decorator import EnvironmentDecorator

    def runtime_step_cli(*_args):
        if os.environ["BROKEN_HOOK"] == "interrupted":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)
        if os.environ["BROKEN_HOOK"] == "hangs":
            print("hanging", flush=True)
            time.sleep(600)
        raise RuntimeError("this hook\nis broken")

    EnvironmentDecorator.runtime_step_cli = runtime_step_cli


class DecoratedFlow(FlowSpec):
    config = Config("config", default_value={"greeting": "hello"})

    @step
    def start(self):
        self.greeting = self.config.greeting
        self.next(self.flaky)

    @retry(times=2, minutes_between_retries=0)
    @environment(vars={"FLAVOUR": "vanilla"})
    @step
    def flaky(self):
        from metaflow import current

        if current.retry_count < 2:
            raise ValueError("not yet")
        self.flavour = os.environ["FLAVOUR"]
        self.next(self.caught)

    @catch(var="failure")
    @step
    def caught(self):
        raise KeyError("caught")
        self.next(self.end)

    @step
    def end(self):
        print(self.greeting, self.flavour, bool(self.failure))
        if os.environ.get("FAIL_AT_END"):
            raise ValueError("at the end")


if __name__ == "__main__":
    DecoratedFlow()
