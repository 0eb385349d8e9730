import os

from metaflow import Config, FlowSpec, environment, project, retry, step


@project(name="some_project")
class BatchedFlow(FlowSpec):
    """A foreach whose steps run on AWS Batch, given by --with."""

    config = Config("config", default_value={"greeting": "hello"})

    @step
    def start(self):
        self.numbers = [1, 2]
        self.next(self.work, foreach="numbers")

    @retry(times=1, minutes_between_retries=0)
    @environment(vars={"FLAVOUR": "dark \"chocolate\"", "PORT": 80})
    @step
    def work(self):
        from metaflow import current

        if self.input == 2 and current.retry_count == 0:
            raise ValueError("not yet")
        self.word = "%s%d%s%s" % (self.config.greeting, self.input, os.environ["FLAVOUR"], os.environ["PORT"])
        self.next(self.join)

    @step
    def join(self, inputs):
        self.words = [i.word for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        print("words:", " ".join(self.words))


if __name__ == "__main__":
    BatchedFlow()
