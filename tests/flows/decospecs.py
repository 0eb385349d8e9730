"""What decorators a step has in its task, when some came from `--with` and some from the settings."""

from metaflow import FlowSpec, retry, step


class DecospecsFlow(FlowSpec):
    @step
    def start(self):
        self.own = self.decorators_of("start")
        self.next(self.work)

    @retry(times=2, minutes_between_retries=0)
    @step
    def work(self):
        self.own_of_work = self.decorators_of("work")
        self.next(self.end)

    @step
    def end(self):
        print(self.own, self.own_of_work)

    def decorators_of(self, name):
        found = [d for d in getattr(self, name).decorators if not d.name.startswith("_")]
        return sorted((d.name, d.statically_defined, repr(sorted(d.attributes.items()))) for d in found)


if __name__ == "__main__":
    DecospecsFlow()
