"""A metadata service in memory, each of whose answers takes a while, as over a network.

    python benches/metadata_service.py [--latency-ms 30] [--port 0]

Prints its URL, and serves until its standard input ends. It answers what Metaflow's service provider and its Client ask
(metaflow/plugins/metadata_providers/service.py): flows, runs, steps, tasks, their metadata, artifacts, heartbeats and tags are
kept, and can be read. At its end it prints a line of JSON: `requests`, how many there were of each kind, that is the method and
the path without names; `at_once`, how many were open at the same time at most; `tasks`, how many of each step have metadata.
"""

import argparse
import collections
import contextlib
import http.server
import itertools
import json
import re
import sys
import threading
import time
import urllib.parse

VERSION = "2.5.1"
# What POST makes, by the last word of its path, and the name of its id.
IDS = {"run": "run_number", "step": "step_name", "task": "task_id"}
LISTS = ("flows", "runs", "steps", "tasks")


class Store:
    """Objects by their paths: `flows/F/runs/R/steps/S/tasks/T`."""

    def __init__(self):
        self.lock = threading.Lock()
        self._requests = collections.Counter()
        self._open = self._at_once = 0
        self._objects = {}
        self._children = collections.defaultdict(list)
        self._facts = collections.defaultdict(list)
        self._numbers = {"run": itertools.count(1), "task": itertools.count(1), "metadata": itertools.count(1)}

    @contextlib.contextmanager
    def request(self, method, path):
        """Counts a request while it is open."""
        words = path.split("/")
        kind = "%s %s" % (method, "/".join(words[::2]) if words[0] == "flows" else words[0])
        with self.lock:
            self._requests[kind] += 1
            self._open += 1
            self._at_once = max(self._at_once, self._open)
        try:
            yield
        finally:
            with self.lock:
                self._open -= 1

    def report(self):
        with self.lock:
            paths = [path.split("/") for path, facts in self._facts.items() if path.endswith("/metadata") and facts]
            tasks = collections.Counter(parts[5] for parts in paths)
            return {"requests": self._requests, "at_once": self._at_once, "tasks": tasks}

    def get(self, path):
        """An object, or those of a list; None if there is none."""
        parts = path.split("/")
        if len(parts) % 2 == 0:
            return self._objects.get(path)
        if parts[-1] in LISTS:
            return [self._objects[child] for child in self._children[path]]
        if parts[-1] == "metadata":
            return list(reversed(self._facts[path]))
        if parts[-1] == "artifacts" and "attempt" in parts:
            task, _, attempt = path[: -len("/artifacts")].rpartition("/attempt/")
            return [one for one in self._facts[task + "/artifacts"] if one["attempt_id"] == int(attempt)]
        return self._latest_artifacts(path) if parts[-1] == "artifacts" else None

    def artifact(self, path):
        """`…/artifacts/NAME`, maybe with `/attempt/N`."""
        task, name, attempt = re.fullmatch(r"(.*/artifacts)/([^/]+)(?:/attempt/(\d+))?", path).groups()
        there = [one for one in self._facts[task] if one["name"] == name]
        there = [one for one in there if attempt is None or one["attempt_id"] == int(attempt)]
        return max(there, key=lambda one: one["attempt_id"], default=None)

    def _latest_artifacts(self, path):
        latest = max((one["attempt_id"] for one in self._facts[path]), default=0)
        return [one for one in self._facts[path] if one["attempt_id"] == latest]

    def make_flow(self, path, body):
        return self._add(path, {"flow_id": path.split("/")[1], **_of_user(body)})

    def make(self, path, body):
        """What a POST to `path` makes: an object, or 404 without its parent, or 409 if it is there."""
        folder, _, kind = path.rpartition("/")
        if kind == "step":
            parent, _, own = folder.rpartition("/steps/")
        else:
            parent, own = folder, body.get(IDS[kind]) or next(self._numbers[kind])
        path = "%s/%ss/%s" % (parent, kind, own)
        if parent not in self._objects or path in self._objects:
            return 409 if path in self._objects else 404
        ids = dict(zip(["flow_id", *IDS.values()], path.split("/")[1::2]))
        beats = {} if kind == "step" else {"last_heartbeat_ts": int(time.time())}
        return self._add(path, {**ids, IDS[kind]: own, **_of_user(body), **beats})

    def _add(self, path, thing):
        self._objects[path] = thing
        self._children[path.rpartition("/")[0]].append(path)
        return thing

    def note(self, path, items):
        """Metadata or artifacts of a task."""
        for item in items:
            item = dict(item, ts_epoch=_now())
            if path.endswith("/metadata"):
                self._facts[path].append(dict(item, id=next(self._numbers["metadata"]), value=str(item.get("value"))))
            else:
                self._facts[path + "s"].append(item)
        return len(items)

    def beat(self, path):
        thing = self._objects.get(path)
        if thing is not None:
            thing["last_heartbeat_ts"] = int(time.time())
        return thing

    def tag(self, path, body):
        run = self._objects.get(path)
        if run is not None:
            left = set(run["tags"]) - set(body.get("tags_to_remove") or ())
            run["tags"] = sorted(left | set(body.get("tags_to_add") or ()))
        return run and {"tags": run["tags"]}


def _of_user(body):
    lists = {name: list(body.get(name) or ()) for name in ("tags", "system_tags")}
    return {"user_name": body.get("user_name"), "ts_epoch": _now(), **lists}


def _now():
    return int(1000 * time.time())


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection. An answer leaves in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        path = self._path()
        if path == "ping":
            return self._after_a_while(lambda store: "pong")
        if "/artifacts/" in path:
            return self._after_a_while(lambda store: store.artifact(path))
        return self._after_a_while(lambda store: store.get(path))

    def do_POST(self):
        path, body = self._path(), self._body()
        last = path.rpartition("/")[2]
        if last == "heartbeat":
            wait = json.dumps({"wait_time_in_seconds": 10})
            return self._after_a_while(lambda store: store.beat(path[: -len("/heartbeat")]) and wait)
        if last in ("metadata", "artifact"):
            made = "artifacts_created" if last == "artifact" else "metadata_created"
            return self._after_a_while(lambda store: {made: store.note(path, body)})
        if re.fullmatch("flows/[^/]+", path):
            return self._after_a_while(lambda store: 409 if store.get(path) else store.make_flow(path, body))
        return self._after_a_while(lambda store: store.make(path, body) if last in IDS else None)

    def do_PATCH(self):
        path, body = self._path(), self._body()
        return self._after_a_while(lambda store: store.tag(path[: -len("/tag/mutate")], body))

    def _path(self):
        return urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/")

    def _body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")

    def _after_a_while(self, act):
        store = self.server.store
        with store.request(self.command, self._path()):
            time.sleep(self.server.latency)
            with store.lock:
                result = act(store)
                # Encoded here, since others change what is listed.
                status = 404 if result is None else result if isinstance(result, int) else 200
                data = json.dumps({} if status != 200 else result).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("METADATA_SERVICE_VERSION", VERSION)
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_):
        """Says nothing."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--latency-ms", type=float, default=30, help="how long each answer takes")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), Handler)
    server.store, server.latency = Store(), options.latency_ms / 1000
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("http://127.0.0.1:%d" % server.server_address[1], flush=True)
    sys.stdin.read()
    print(json.dumps(server.store.report()), flush=True)


if __name__ == "__main__":
    main()
