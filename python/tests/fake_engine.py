#!/usr/bin/env python3
"""An engine for tests: schedules a run, one task at a time, through the flow-host protocol.

It knows nothing of Metaflow but the layout of the local datastore. FAKE_ENGINE_LOG names a file that gets every message
as a line of JSON; FAKE_ENGINE holds words that make it misbehave:

  hang-at-start   never asks for anything
  exit-at-start   ends with status 3 before it asks for anything
  die-at=STEP     kills itself instead of running STEP
  wait-at=STEP    waits for a `signal` message instead of running STEP, then finishes as interrupted
  ask-after-term  sends the host a SIGTERM after its first question, asks once more, and finishes as interrupted
  many-inputs     makes a question with 40,000 input paths before the run, and logs the answer
  finish=JSON     ends with this outcome instead of running anything
  trampolines     starts the command line of upstream's trampoline too, before a container
  credentials=X   asks for credentials of service X before anything else
  questions       asks what is in the file FAKE_ENGINE_QUESTIONS (a list in JSON) instead of running anything
"""

import gzip
import hashlib
import io
import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections import defaultdict

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import container


class Link:
    def __init__(self, fd):
        self.sock = socket.socket(fileno=fd)
        self.file = self.sock.makefile("rb")
        path = os.environ.get("FAKE_ENGINE_LOG")
        self.log = open(path, "w") if path else None
        self.ids = 0

    def write(self, message):
        body = json.dumps(message).encode()
        self.record("engine", message)
        self.sock.sendall(struct.pack(">I", len(body)) + body)

    def read(self):
        head = self.file.read(4)
        if len(head) < 4:
            sys.exit(1)
        message = json.loads(self.file.read(struct.unpack(">I", head)[0]))
        self.record("host", message)
        return message

    def record(self, who, message):
        if self.log:
            print(json.dumps({"from": who, "message": message}), file=self.log, flush=True)

    def ask(self, **question):
        self.ids += 1
        self.write(dict({"type": "prepare"}, id=self.ids, **question))
        while True:
            answer = self.read()
            if answer.get("id") == self.ids:
                return answer

    def ask_for_credentials(self, service):
        self.ids += 1
        self.write({"type": "credentials", "id": self.ids, "service": service})
        assert self.read()["id"] == self.ids

    def finish(self, **outcome):
        self.write({"type": "finish", "outcome": outcome})
        self.file.read()
        sys.exit(0)


class Run:
    def __init__(self, link, plan, words):
        self.link, self.plan, self.words = link, plan, words
        self.nodes = {node["name"]: node for node in plan["graph"]["nodes"]}
        self.queue = [(plan["graph"]["start"], None, [plan["params"]], ())]
        self.arrived = defaultdict(list)
        self.keys = 0
        self.end_reached = False

    def go(self):
        while self.queue:
            step, index, inputs, frames = self.queue.pop(0)
            path = self.run_task(step, index, inputs)
            if path is not None:
                self.follow(step, path, frames)
        self.link.finish(kind="done" if self.end_reached else "end_not_reached")

    def run_task(self, step, index, inputs):
        self.keys += 1
        retry = self.plan["steps"][step]["retry"]
        for attempt in range(retry["user"] + retry["error"] + 1):
            answer = self.link.ask(
                task=self.keys, step=step, attempt=attempt, split_index=index, input_paths=inputs,
                max_user_code_retries=retry["user"],
            )
            if answer["type"] == "refused":
                print("Workflow failed.", flush=True)
                self.link.finish(kind="host_error", id=answer["id"])
            self.misbehave(step)
            status = self.start(answer)
            if status in (0, 202):
                break
        self.link.write({"type": "release", "task": self.keys})
        if status == 0:
            return "%s/%s/%s/%d" % (self.plan["run"], step, answer["task_id"], attempt)
        if status != 202:
            print("Workflow failed.", flush=True)
            self.link.finish(kind="task_failed", task=self.keys, step=step, task_id=answer["task_id"], message="")

    def start(self, answer):
        if answer["place"]["kind"] != "batch":
            return start(answer)
        self.start_trampoline(answer)
        return container.run(answer["place"], self.plan["s3"]["endpoint"])

    def start_trampoline(self, answer):
        if "trampolines" in self.words:
            status = start(answer, stderr=subprocess.DEVNULL)
            assert status in (1, 202), status  # the fake AWS Batch takes no job

    def ask_only(self, questions):
        for key, question in enumerate(questions):
            defaults = {"task": key, "attempt": 0, "split_index": None, "max_user_code_retries": 0}
            answer = self.link.ask(**dict(defaults, **question))
            if answer["type"] == "refused":
                self.link.finish(kind="host_error", id=answer["id"])
            self.start_trampoline(answer)
        self.link.finish(kind="end_not_reached")

    def misbehave(self, step):
        if "die-at=" + step in self.words:
            os.kill(os.getpid(), signal.SIGKILL)
        if "wait-at=" + step in self.words:
            print("waiting", flush=True)
            message = self.link.read()
            print("Workflow interrupted.", flush=True)
            self.link.finish(kind="interrupted", signo=message["signo"])

    def follow(self, step, path, frames):
        artifacts = self.artifacts(path)
        path = path.rsplit("/", 1)[0]
        node = self.nodes[step]
        if node["kind"] == "end":
            self.end_reached = True
            return
        for follower in artifacts("_transition")[0]:
            if self.nodes[follower]["kind"] == "join":
                self.join(follower, path, frames)
            elif node["kind"] == "foreach":
                size = artifacts("_foreach_num_splits")
                self.queue += [(follower, i, [path], frames + ((i, size),)) for i in range(size)]
            else:
                self.queue.append((follower, None, [path], frames))

    def join(self, step, path, frames):
        split = self.nodes[self.nodes[step]["split_parents"][-1]]
        outer, wanted = frames, len(split["next"])
        if split["kind"] == "foreach":
            outer, wanted = frames[:-1], frames[-1][1]
        arrived = self.arrived[step, outer]
        arrived.append(path)
        if len(arrived) == wanted:
            self.queue.append((step, None, arrived, outer))

    def artifacts(self, path):
        run, step, task, attempt = path.split("/")
        keys = json.loads(self.read("/".join([run, step, task, attempt + ".data.json"])))["objects"]

        def load(name):
            return pickle.loads(gzip.decompress(self.read("data/%s/%s" % (keys[name][:2], keys[name]))))

        return load

    def read(self, name):
        store = self.plan["datastore"]
        path = "%s/%s/%s" % (store["root"], self.plan["flow"], name)
        if store["kind"] == "s3":
            return urllib.request.urlopen(path.replace("s3://", self.plan["s3"]["endpoint"] + "/")).read()
        with open(path, "rb") as f:
            return f.read()


def start(answer, **kwargs):
    env = dict(os.environ, **answer["env"]["set"])
    for name in answer["env"]["unset"]:
        env.pop(name, None)
    return subprocess.call(answer["argv"], env=env, cwd=answer["cwd"], stdin=subprocess.DEVNULL, **kwargs)


def package():
    """`ferroflow package`: makes an archive of the members listed on standard input, in METAFLOW_HOME."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member in json.load(sys.stdin)["members"]:
            if "path" in member:
                tar.add(member["path"], member["name"], recursive=False)
            else:
                data = bytes.fromhex(member["data"])
                info = tarfile.TarInfo(member["name"])
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    blob = buffer.getvalue()
    path = os.path.join(os.environ["METAFLOW_HOME"], "package.tgz")
    with open(path, "wb") as f:
        f.write(blob)
    sums = {name: hashlib.new(name, blob).hexdigest() for name in ("sha1", "sha256")}
    print(json.dumps(dict(sums, path=path, size=len(blob))))


def main():
    if sys.argv[1:] == ["package"]:
        return package()
    assert sys.argv[1:3] == ["engine", "--fd"], sys.argv
    words = os.environ.get("FAKE_ENGINE", "").split()
    link = Link(int(sys.argv[3]))
    if "exit-at-start" in words:
        sys.exit(3)
    hello, plan = link.read(), link.read()
    assert hello["type"] == "hello" and hello["protocol"] == 5, hello
    assert plan["type"] == "plan" and plan["plan"]["version"] == 1, plan
    plan = plan["plan"]
    if "hang-at-start" in words:
        time.sleep(600)
    for word in words:
        if word.startswith("credentials="):
            link.ask_for_credentials(word[len("credentials=") :])
        if word.startswith("finish="):
            link.finish(**json.loads(word[len("finish=") :]))
    if "many-inputs" in words:
        inputs = ["%s/%s/%d" % (plan["run"], "work", (i * 2654435761) % 10**12) for i in range(40000)]
        answer = link.ask(task=10**6, step=plan["graph"]["end"], attempt=0, split_index=None, input_paths=inputs)
        with open(answer["argv"][answer["argv"].index("--input-paths-filename") + 1]) as f:
            link.record("test", {"type": "inputs", "argv": answer["argv"], "content": f.read()})
        link.write({"type": "release", "task": 10**6})
    if "ask-after-term" in words:
        question = dict(attempt=0, split_index=None, input_paths=[plan["params"]], max_user_code_retries=0)
        link.ask(task=1, step="start", **question)
        os.kill(hello["pid"], signal.SIGTERM)
        assert link.read()["type"] == "signal"
        link.ask(task=2, step="end", **question)
        link.finish(kind="interrupted", signo=signal.SIGTERM)
    run = Run(link, plan, words)
    if "questions" in words:
        with open(os.environ["FAKE_ENGINE_QUESTIONS"]) as f:
            run.ask_only(json.loads(f.read().replace("RUN/", plan["run"] + "/")))
    run.go()


if __name__ == "__main__":
    main()
