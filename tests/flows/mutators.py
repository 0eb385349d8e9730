"""User-defined decorators and mutators: generators, classes, a skipped step, decorators that were added from outside."""

import os

from metaflow import (
    USER_SKIP_STEP,
    FlowMutator,
    FlowSpec,
    Parameter,
    StepMutator,
    UserStepDecorator,
    current,
    step,
    user_step_decorator,
)


@user_step_decorator
def traced(step_name, flow, inputs, attributes):
    print("before", step_name, sorted(attributes.items()))
    yield
    flow.traced_steps = getattr(flow, "traced_steps", []) + [step_name]
    print("after", step_name)


@user_step_decorator
def skipped(step_name, flow, inputs):
    flow.skipped = step_name
    yield USER_SKIP_STEP


class Forgiving(UserStepDecorator):
    def init(self, *args, **kwargs):
        self.default = kwargs["default"]

    def post_step(self, step_name, flow, exception=None):
        if exception is None:
            return None
        flow.forgiven = "%s: %s" % (type(exception).__name__, self.default)
        return None, {}


class Retrying(StepMutator):
    def init(self, *args, **kwargs):
        self.times = args[0]

    def mutate(self, mutable_step):
        arguments = {"times": self.times, "minutes_between_retries": 0}
        mutable_step.add_decorator("retry", deco_kwargs=arguments, duplicates=mutable_step.OVERRIDE)


class Furnished(FlowMutator):
    def pre_mutate(self, mutable_flow):
        mutable_flow.add_parameter("added", Parameter("added", default="by a mutator"))
        for name, mutable_step in mutable_flow.steps:
            if name == "flaky":
                mutable_step.add_decorator("environment", deco_kwargs={"vars": {"FURNISHED": "yes"}})


@Furnished
class MutatorsFlow(FlowSpec):
    @traced(colour="blue", size=2)
    @step
    def start(self):
        self.value = 1
        self.next(self.flaky)

    @traced
    @Retrying(2)
    @step
    def flaky(self):
        self.furnished = os.environ.get("FURNISHED")
        self.attempt = current.retry_count
        if self.attempt < 2:
            raise RuntimeError("attempt %d shall fail" % self.attempt)
        self.next(self.left_out)

    @skipped
    @step
    def left_out(self):
        self.value = "never"
        self.next(self.forgiven_step)

    @Forgiving(default="all is well")
    @step
    def forgiven_step(self):
        raise KeyError("gone")
        self.next(self.end)

    @step
    def end(self):
        assert self.value == 1 and self.skipped == "left_out"
        assert self.attempt == 2 and self.furnished == "yes"
        assert self.forgiven == "KeyError: all is well"
        assert self.added == "by a mutator"


if __name__ == "__main__":
    MutatorsFlow()
