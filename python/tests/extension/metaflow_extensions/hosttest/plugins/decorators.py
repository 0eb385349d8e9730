from metaflow.decorators import StepDecorator


class StrangerDecorator(StepDecorator):
    """Its hook could do anything."""

    name = "stranger"

    def runtime_step_cli(self, cli_args, retry_count, max_user_code_retries, ubf_context):
        pass
