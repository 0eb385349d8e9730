"""Queues of a stack for tests/errors: `rows` makes one for each row that is about a queue, `no-queue` disables all."""

import sys

import boto3

batch = boto3.client("batch")
(environment,) = batch.describe_compute_environments(computeEnvironments=["ferroflow-dev"])["computeEnvironments"]


def queue(name, state="ENABLED", arn=environment["computeEnvironmentArn"], **more):
    order = [{"order": 1, "computeEnvironment": arn}]
    batch.create_job_queue(jobQueueName=name, state=state, priority=1, computeEnvironmentOrder=order, **more)


if sys.argv[1] == "no-queue":
    for found in batch.describe_job_queues()["jobQueues"]:
        batch.update_job_queue(jobQueue=found["jobQueueName"], state="DISABLED")
else:
    queue("disabled", "DISABLED")
    queue("hidden")
    queue("expired")
    off = batch.create_compute_environment(
        computeEnvironmentName="off",
        type="MANAGED",
        state="DISABLED",
        serviceRole="",
        computeResources=environment["computeResources"],
    )
    queue("off", arn=off["computeEnvironmentArn"])
    shares = {"shareDistribution": [{"shareIdentifier": "tester", "weightFactor": 1}]}
    policy = batch.create_scheduling_policy(name="fair", fairsharePolicy=shares)
    queue("fair", schedulingPolicyArn=policy["arn"])
