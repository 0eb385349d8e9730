"""@environment: variables reach their step, all attempts of it, and no other."""

import os

from metaflow import FlowSpec, current, environment, retry, step

VARIABLES = {"FRUIT": "apple", "EMPTY": "", "NUMBER": 3, "WITH_SPACE": "a b=c", "LONG": "x" * 500, "TZ": "Asia/Tokyo"}


class EnvironmentFlow(FlowSpec):
    @retry(times=1, minutes_between_retries=0)
    @environment(vars=VARIABLES)
    @step
    def start(self):
        self.found = {name: os.environ.get(name) for name in VARIABLES}
        if current.retry_count == 0:
            raise RuntimeError("the second attempt must see them as well")
        self.next(self.end)

    @step
    def end(self):
        assert self.found == {name: str(value) for name, value in VARIABLES.items()}
        assert "FRUIT" not in os.environ


if __name__ == "__main__":
    EnvironmentFlow()
