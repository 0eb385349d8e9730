"""Set-ups of a stack in which jobs wait, rightly or not, for tests/why.rs: makes them, submits a job in each, and prints the
ids as JSON once all of them are where they will stay."""

import json
import sys
import time

import boto3

DEADLINE = 60

batch = boto3.client("batch")


def wait_for(what, condition):
    limit = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < limit, "gave up waiting for " + what
        time.sleep(0.05)


def environment(name, kind="EC2", role=None, state="ENABLED", **resources):
    if kind == "EC2":
        resources = {"minvCpus": 0, "instanceTypes": ["optimal"], "instanceRole": "r", **resources}
    resources = {"type": kind, "maxvCpus": 64, "subnets": ["s"], "securityGroupIds": ["g"], **resources}
    more = {"serviceRole": role} if role else {}
    batch.create_compute_environment(
        computeEnvironmentName=name, type="MANAGED", state=state, computeResources=resources, **more
    )


def queue(name, *environments):
    order = [{"order": order, "computeEnvironment": one} for order, one in enumerate(environments, 1)]
    batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)


def submit(name, where=None, vcpus=1, memory=64, gpus=0, command=("sleep", "600"), **more):
    asked = {"VCPU": vcpus, "MEMORY": memory, "GPU": gpus}
    overrides = {
        "command": list(command),
        "resourceRequirements": [{"type": kind, "value": str(n)} for kind, n in asked.items() if n],
    }
    job = batch.submit_job(
        jobName=name, jobQueue=where or name, jobDefinition="waits", containerOverrides=overrides, **more
    )
    return job["jobId"]


def status(job):
    return batch.describe_jobs(jobs=[job])["jobs"][0]["status"]


def main():
    batch.register_job_definition(
        jobDefinitionName="waits",
        type="container",
        containerProperties={
            "image": "waits",
            "command": ["true"],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
        },
    )
    good = "ferroflow-dev"
    jobs, expected = {}, {}

    def add(name, state="RUNNABLE", **more):
        jobs[name] = submit(name, **more)
        expected[name] = state

    environment("off", state="DISABLED")
    queue("disabled", "off")
    add("disabled")
    environment("role", role="arn:aws:iam::999999999999:role/batch")
    queue("invalid", "role")
    add("invalid")
    environment("tiny", maxvCpus=1)
    queue("max", "tiny")
    add("max", vcpus=2)
    add("array", where="max", vcpus=3, arrayProperties={"size": 3}, state="PENDING")
    add("behind", where="max")
    environment("c5", instanceTypes=["c5.large", "c5.xlarge"])
    for name, asked in {"gpu": {"gpus": 1}, "memory": {"memory": 8192}, "vcpus": {"vcpus": 8}}.items():
        queue(name, "c5")
        add(name, **asked)
    # The stack's rules say what comes of these.
    for name, state in {"capacity": "RUNNABLE", "image": "FAILED", "role": "FAILED"}.items():
        queue(name, good)
        add(name, state)
    queue("closed", good)
    add("closed")
    queue("deleted", good)
    add("deleted", "FAILED")
    # Nothing is wrong with these.
    queue("starts", "off", good)
    add("starts")
    environment("one", maxvCpus=1)
    queue("full", "one")
    add("runs", "RUNNING", where="full")
    add("full")
    add("next", where="full")
    add("dependent", "PENDING", where="full", dependsOn=[{"jobId": jobs["full"]}])
    add("done", "SUCCEEDED", where=good, command=("true",))
    add("pulls", "STARTING", where=good)

    for name in ("deleted", "closed"):
        wait_for(name, lambda name=name: status(jobs[name]) == "RUNNABLE")
        batch.update_job_queue(jobQueue=name, state="DISABLED")
    batch.delete_job_queue(jobQueue="deleted")
    for name, state in expected.items():
        wait_for("%s to be %s" % (name, state), lambda name=name, state=state: status(jobs[name]) == state)
    json.dump(jobs, sys.stdout)


if __name__ == "__main__":
    main()
