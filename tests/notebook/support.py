"""Folders to run flows in by Metaflow's Runner, and what it has left behind there.

The tests are run by `ferroflow -m unittest`, so that the flows that a Runner starts are Ferroflow's.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

import boto3

HERE = os.path.dirname(os.path.abspath(__file__))
DEADLINE_S = 120
# States of jobs.
TERMINAL = {"SUCCEEDED", "FAILED"}

# All processes that a test starts have this variable, with a value of the test's own, for their children have it, too.
MARK = "FERROFLOW_TEST_MARK"


class FolderCase(unittest.TestCase):
    """Each test has a folder, which is where it works, and leaves no process behind."""

    # Of the datastore.
    root = ".metaflow"

    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="ferroflow-notebook-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        os.mkdir("shared")
        self.shared = os.path.join(self.folder, "shared")
        os.environ[MARK] = self.mark = uuid.uuid4().hex
        self.addCleanup(os.environ.pop, MARK)
        self.addCleanup(self.kill_what_is_left)

    def copy(self, name, folder="notebook/flows"):
        """Brings a flow of the tests into the folder, and returns its path."""
        path = os.path.join(self.folder, name)
        shutil.copy(os.path.join(os.path.dirname(HERE), folder, name), path)
        return path

    def program(self, text):
        """A program in the folder that does what `text` says."""
        path = os.path.join(self.folder, "program.py")
        with open(path, "w") as f:
            f.write(text)
        return path

    def start(self, text, *args):
        """Starts such a program in a process group of its own, as a shell does."""
        process = subprocess.Popen(
            [sys.executable, self.program(text), *args],
            stdin=subprocess.DEVNULL,
            stdout=open("out.txt", "w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Whoever runs the tests in the background has made them ignore SIGINT.
            preexec_fn=_listen_to_interrupts,
        )
        self.addCleanup(process.wait)
        return process

    def output(self):
        """What the program has said until now."""
        with open("out.txt") as f:
            return f.read()

    def wait_for(self, what, condition):
        limit = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > limit:
                said = self.output() if os.path.exists("out.txt") else ""
                self.fail("gave up waiting for %s\n%s\n%s" % (what, said, self.left_over()))
            time.sleep(0.02)

    def wait_for_tasks(self):
        """Until both tasks of counts.py wait."""
        there = [os.path.join(self.shared, "task-%d" % i) for i in (0, 1)]
        self.wait_for("both tasks to wait", lambda: all(map(os.path.exists, there)))

    def left_over(self):
        """The command lines of the processes that the test has started and that run still."""
        mark = ("%s=%s" % (MARK, self.mark)).encode()
        found = {}
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                try:
                    with open("/proc/%s/environ" % name, "rb") as f:
                        ours = mark in f.read().split(b"\0")
                    with open("/proc/%s/cmdline" % name, "rb") as f:
                        command = f.read()
                except OSError:
                    continue
                if ours and command:  # without one it is a zombie
                    found[int(name)] = command.replace(b"\0", b" ").decode()
        return found

    def assert_nothing_left(self):
        """Nothing stays for longer than an ending takes."""
        self.wait_for("all processes to end", lambda: not self.left_over())

    def kill_what_is_left(self):
        for pid in self.left_over():
            try:
                os.kill(pid, 9)
            except OSError:
                pass

    def assert_ferroflows(self, pathspec):
        """A record of the run is in the datastore, which only Ferroflow writes."""
        record = os.path.join(self.root, ".ferroflow", pathspec, "run.json")
        self.assertTrue(os.path.exists(record), record)


class BatchCase(FolderCase):
    def assert_ferroflows(self, pathspec):
        bucket, _, prefix = os.environ["METAFLOW_DATASTORE_SYSROOT_S3"][len("s3://") :].partition("/")
        key = "%s/.ferroflow/%s/run.json" % (prefix, pathspec)
        boto3.client("s3").head_object(Bucket=bucket, Key=key)

    def jobs(self, run):
        """The states of a run's jobs."""
        batch, queue = boto3.client("batch"), os.environ["METAFLOW_BATCH_JOB_QUEUE"]
        filters = [{"name": "JOB_NAME", "values": ["*"]}]
        pages = batch.get_paginator("list_jobs").paginate(jobQueue=queue, filters=filters)
        found = [job for page in pages for job in page["jobSummaryList"]]
        return {job["jobId"]: job["status"] for job in found if "-%s-" % run in job["jobName"]}

    def the_run(self, flow):
        (run,) = (name for name in os.listdir(os.path.join(".metaflow", flow)) if name.isdigit())
        return run

    def assert_no_job_left(self, run, jobs):
        self.wait_for("all jobs to end", lambda: set(self.jobs(run).values()) <= TERMINAL)
        states = self.jobs(run)
        self.assertEqual(len(states), jobs, states)
        self.assert_nothing_left()
        return set(states.values())


def _listen_to_interrupts():
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)
