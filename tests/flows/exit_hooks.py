"""Exit hooks: one for success, one for failure."""

from metaflow import FlowSpec, Parameter, exit_hook, step


def celebrate(run):
    print("success of", run.parent.id)


def mourn():
    print("failure of some run")


@exit_hook(on_success=[celebrate], on_error=[mourn])
class ExitHooksFlow(FlowSpec):
    fail = Parameter("fail", default=False, type=bool)

    @step
    def start(self):
        if self.fail:
            raise RuntimeError("asked to fail")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ExitHooksFlow()
