"""Prints the jobs of the stack's queue whose names contain a text, as JSON: name to status."""

import json
import os
import sys

import boto3

STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")


def main():
    batch = boto3.client("batch")
    pages = batch.get_paginator("list_jobs")
    found = {}
    for state in STATES:
        for page in pages.paginate(jobQueue=os.environ["METAFLOW_BATCH_JOB_QUEUE"], jobStatus=state):
            found.update((job["jobName"], job["status"]) for job in page["jobSummaryList"])
    json.dump({name: status for name, status in found.items() if sys.argv[1] in name}, sys.stdout)


if __name__ == "__main__":
    main()
