"""What AWS Batch was asked for on behalf of a task, as DescribeJobs tells it."""

import functools
import os


def view(task):
    """None for a task that did not run on Batch."""
    job_id = task.metadata_dict.get("aws-batch-job-id")
    if job_id is None:
        return None
    found = client().describe_jobs(jobs=[job_id])["jobs"]
    if not found:
        return "the job has been forgotten"
    container = found[0].get("container", {})
    wanted = {r["type"]: r["value"] for r in container.get("resourceRequirements", [])}
    return {"resources": wanted, "image": container.get("image"), "queue": found[0]["jobQueue"].split("/")[-1]}


@functools.cache
def client():
    import boto3

    return boto3.client("batch", region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))
