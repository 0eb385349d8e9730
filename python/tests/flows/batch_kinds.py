import os

from metaflow import FlowSpec, batch, catch, environment, resources, retry, step, timeout

VARS = {os.environ.get("VARIABLE", "METAFLOW_SKIP_INSTALL_DEPENDENCIES"): "1"}


class BatchKinds(FlowSpec):
    """Steps that differ in what they want of AWS Batch. They are prepared, never run."""

    @step
    def start(self):
        self.next(self.plain)

    @batch(queue="queue", iam_role="arn:role")
    @step
    def plain(self):
        self.next(self.rich)

    @retry(times=2, minutes_between_retries=1)
    @catch(var="failure")
    @timeout(minutes=2)
    @resources(cpu=3.5, gpu=1)
    @batch(
        queue="queue",
        iam_role="arn:role",
        executable="uv run --no-sync python",
        image="registry/image:tag",
        memory=1000,
        shared_memory=100,
        use_tmpfs=True,
        tmpfs_size=10,
        host_volumes=["/a", "/b:/c"],
    )
    @step
    def rich(self):
        self.next(self.shell)

    @batch(queue="queue", iam_role="arn:role", executable="python $OPTIONS")
    @environment(vars=dict(VARS, OPTIONS="-s"))
    @step
    def shell(self):
        self.next(self.refused)

    @batch(queue="queue", iam_role="arn:role", cpu=0)
    @step
    def refused(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    BatchKinds()
