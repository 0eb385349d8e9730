"""A step that goes elsewhere than its code says: an error of the launcher, not of the task."""

from metaflow import FlowSpec, UserStepDecorator, step


class Detour(UserStepDecorator):
    def post_step(self, step_name, flow, exception=None):
        flow._transition = (["end"], None)


class NextMismatchFlow(FlowSpec):
    @Detour
    @step
    def start(self):
        self.next(self.middle)

    @step
    def middle(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    NextMismatchFlow()
