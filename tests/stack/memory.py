"""Prints what the jobs of the stack's queue whose names contain a text ask for, in MiB and in the order in which they came."""

import json
import os
import sys

import boto3

STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")


def memory(job):
    return [int(one["value"]) for one in job["container"]["resourceRequirements"] if one["type"] == "MEMORY"]


def main():
    batch = boto3.client("batch")
    pages = batch.get_paginator("list_jobs")
    found = []
    for state in STATES:
        for page in pages.paginate(jobQueue=os.environ["METAFLOW_BATCH_JOB_QUEUE"], jobStatus=state):
            found += [job["jobId"] for job in page["jobSummaryList"] if sys.argv[1] in job["jobName"]]
    jobs = batch.describe_jobs(jobs=found)["jobs"] if found else []
    json.dump([memory(job)[0] for job in sorted(jobs, key=lambda job: job["createdAt"])], sys.stdout)


if __name__ == "__main__":
    main()
