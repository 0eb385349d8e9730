"""Upstream's tutorials that need neither network nor Kubernetes, by both launchers, and `--with batch`.

They draw at random and go through sets in any order, so what is compared is sorted.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

from metaflow import Run, Runner, default_metadata, metadata
from support import FolderCase

HELLO, PLAYLIST = "00-helloworld/helloworld.py", "01-playlist/playlist.py"
# A job for each of its 22 genres takes a minute, so that is for FERROFLOW_TEST_BATCH=all.
STATISTICS = "02-statistics/stats.py"
# Reads the last run of the one before, by the Client, which in a job needs a metadata service.
REDUX = "03-playlist-redux/playlist.py"

HERE = (HELLO, PLAYLIST, STATISTICS, REDUX)
ON_BATCH = HERE[: 3 if os.environ.get("FERROFLOW_TEST_BATCH") == "all" else 2]
SERVICE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../benches/metadata_service.py")


class Tutorials(FolderCase):
    def setUp(self):
        super().setUp()
        os.environ["PYTHONHASHSEED"] = "0"
        self.addCleanup(os.environ.pop, "PYTHONHASHSEED")
        subprocess.run(["metaflow", "tutorials", "pull"], check=True, stdout=subprocess.DEVNULL)

    def run_all(self, episodes, side, wish, **options):
        """What tasks left and said in each episode, in a folder of the side's own."""
        os.mkdir(side)
        seen = {episode: self.run_one(episode, side, {"FERROFLOW": wish}, **options) for episode in episodes}
        self.assert_nothing_left()
        return seen

    def run_one(self, episode, side, environment, **options):
        flow = os.path.join(self.folder, "metaflow-tutorials", episode)
        with Runner(flow, show_output=False, env=environment, cwd=side, **options) as runner:
            done = runner.run()
            self.assertEqual(done.status, "successful", done.stdout + done.stderr)
            # At once: the Client knows one folder of local metadata at a time.
            return artifacts(Run(done.run.pathspec)), said(done.stdout)

    def metadata_service(self):
        """Starts one, and gives its URL."""
        command = [sys.executable, SERVICE, "--latency-ms", "0"]
        service = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(service.communicate)
        return service.stdout.readline().strip()

    def test_both_launchers_here_and_on_batch(self):
        upstream = self.run_all(HERE, "upstream", "off", datastore="local")
        ferroflow = self.run_all(HERE, "ferroflow", "require", datastore="local")
        for episode in HERE:
            self.assertEqual(upstream[episode], ferroflow[episode])
        on_batch = self.run_all(ON_BATCH, "batch", "require", decospecs=["batch"])
        for episode in ON_BATCH:
            (left, lines), (on_s3, from_jobs) = upstream[episode], on_batch[episode]
            self.assertEqual(left, on_s3)
            self.assertEqual(words(lines), words(from_jobs))
        self.assertEqual(self.redux_on_batch(), (upstream[REDUX][0], words(upstream[REDUX][1])))

    def redux_on_batch(self):
        """What its tasks left and said, whose input is a run on this machine."""
        os.mkdir("service")
        url = self.metadata_service()
        # The tasks of a Runner's run are sought where this process has its metadata.
        metadata(url)
        self.addCleanup(default_metadata)
        environment = {"METAFLOW_SERVICE_URL": url, "FERROFLOW": "require"}
        self.run_one(STATISTICS, "service", environment, datastore="s3", metadata="service")
        left, lines = self.run_one(REDUX, "service", environment, metadata="service", decospecs=["batch"])
        return left, words(lines)


def artifacts(run):
    """What the tasks have left."""
    tasks = [task for step in run for task in step]
    return sorted(repr((task.parent.id, sorted((a.id, in_order(a.id, a.data)) for a in task))) for task in tasks)


def in_order(name, value):
    if name in ("movies", "playlist"):  # shuffled
        return sorted(value)
    return None if name == "bonus" else value


def said(text):
    """The lines without what differs between runs, sorted."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"^\d{4}-\S+ \S+ |\d{16}|/\d+ \(pid \d+\)|%s/\S+" % re.escape(tempfile.gettempdir()), "", line)
        if not re.search("Creating local datastore|Pick", line):
            lines.append(line)
    return sorted(lines)


def words(lines):
    """What users have printed."""
    launchers = re.compile(r"Task |Workflow|Done!|Foreach|Setting up|Downloading|Code package|Using ")
    return sorted(re.sub(r"^(\[[^]]*\] )+", "", line) for line in lines if not launchers.search(line))


if __name__ == "__main__":
    unittest.main()
