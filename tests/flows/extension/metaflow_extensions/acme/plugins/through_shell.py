"""Starts a step through a shell, and says when the launcher calls which hook, or raises there."""

from metaflow.decorators import StepDecorator

SCRIPT = 'echo "through the shell"; exec "$0" "$@"'


class ThroughShellDecorator(StepDecorator):
    name = "through_shell"
    defaults = {"raise_in": None, "raise_for": None}

    def init(self):
        self.step = None

    def step_init(self, flow, graph, step_name, decorators, environment, flow_datastore, logger):
        self.step = step_name

    def runtime_init(self, flow, graph, package, run_id):
        self._called("runtime_init", flow.name)

    def runtime_task_created(self, task_datastore, task_id, split_index, input_paths, is_cloned, ubf_context):
        self._called("runtime_task_created", task_id, split_index, len(input_paths), is_cloned, ubf_context)

    def runtime_step_cli(self, cli_args, retry_count, max_user_code_retries, ubf_context):
        self._called("runtime_step_cli", retry_count, max_user_code_retries, ubf_context)
        cli_args.entrypoint = ["/bin/sh", "-c", SCRIPT] + cli_args.entrypoint
        cli_args.env["ADDED_BY_HOOK"] = "yes"

    def runtime_finished(self, exception):
        self._called("runtime_finished", type(exception).__name__)

    def _called(self, hook, *args):
        print("hook", self.step, hook, *args, flush=True)
        if hook == self.attributes["raise_in"] and self.attributes["raise_for"] in (None, self.step):
            raise RuntimeError("%s was asked to raise" % hook)
