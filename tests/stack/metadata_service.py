"""A metadata service for tests: what Metaflow's Client and tasks ask of one, in memory, with numbers for ids as upstream's
service gives them. Prints its port, and lives as long as its standard input.

    python metadata_service.py
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Lock()
FLOWS = {}
NEXT = {"run_number": 1, "task_id": 1}


class Known:
    """An object, and the ones below it: `below["runs"]["1"]`."""

    def __init__(self, fields, given):
        common = {"ts_epoch": int(time.time() * 1000), "tags": [], "system_tags": [], "user_name": None}
        given = {name: given[name] for name in ("tags", "system_tags", "user_name") if given.get(name)}
        self.fields = {**common, **given, **fields}
        self.below = {"runs": {}, "steps": {}, "tasks": {}}
        self.metadata = []
        self.artifacts = []


def find(words):
    """The object at `flows/F/runs/1/…`; KeyError where there is none."""
    below, found = {"flows": FLOWS}, None
    for kind, name in zip(words[::2], words[1::2]):
        found = below[kind][name]
        below = found.below
    return found


def create(words, given):
    """What `flows/F`, `…/run`, `…/step` and `…/task` make."""
    if len(words) == 2:
        if words[1] in FLOWS:
            return 409, {}
        return 200, FLOWS.setdefault(words[1], Known({"flow_id": words[1]}, given)).fields
    kind = words[-1]
    if kind == "step":
        parent, name = find(words[:-3]), words[-2]
        key, number = "step_name", name
    else:
        parent = find(words[:-1])
        key = {"run": "run_number", "task": "task_id"}[kind]
        number = given.get(key) or NEXT[key]
        NEXT[key] += 1
        name = str(number)
    if name in parent.below[kind + "s"]:
        return 409, {}
    inherited = {name: parent.fields[name] for name in ("flow_id", "run_number", "step_name") if name in parent.fields}
    made = parent.below[kind + "s"][name] = Known({**inherited, key: number}, given)
    return 200, made.fields


def latest(artifacts):
    """Those of the highest attempt."""
    attempt = max((one["attempt_id"] for one in artifacts), default=0)
    return [one for one in artifacts if one["attempt_id"] == attempt]


def get(words):
    if words[-1] in ("flows", "runs", "steps", "tasks"):
        there = FLOWS if len(words) == 1 else find(words[:-1]).below[words[-1]]
        return [one.fields for one in there.values()]
    if words[-1] == "metadata":
        return find(words[:-1]).metadata[::-1]
    if words[-1] == "artifacts":
        attempt = int(words[-2]) if words[-3] == "attempt" else None
        artifacts = find(words[:8]).artifacts
        return latest(artifacts) if attempt is None else [one for one in artifacts if one["attempt_id"] == attempt]
    if len(words) > 8 and words[8] == "artifacts":
        attempt = int(words[11]) if len(words) > 11 else None
        named = [one for one in find(words[:8]).artifacts if one["name"] == words[9]]
        named = latest(named) if attempt is None else [one for one in named if one["attempt_id"] == attempt]
        return named[0]
    return find(words).fields


def post(words, given):
    kind = words[-1]
    if kind == "heartbeat":
        return 200, json.dumps({"wait_time_in_seconds": 10})
    if kind in ("metadata", "artifact"):
        task = find(words[:-1])
        where = {name: task.fields[name] for name in ("flow_id", "run_number", "step_name", "task_id")}
        into = task.metadata if kind == "metadata" else task.artifacts
        for item in given:
            now = int(time.time() * 1000)
            item = {"tags": [], "system_tags": [], **item, **where, "ts_epoch": now, "id": len(into)}
            if kind == "artifact":
                item["attempt_id"] = int(item.get("attempt_id", 0))
            elif not isinstance(item.get("value"), str):
                item["value"] = json.dumps(item.get("value"))
            into.append(item)
        return 200, {kind + "s_created": len(given)}
    return create(words, given)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        body = json.dumps(body).encode("utf-8")
        self.send_response(status)
        self.send_header("METADATA_SERVICE_VERSION", "2.5.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do(self, act):
        words = self.path.split("?")[0].strip("/").split("/")
        if words == ["ping"]:
            return self.answer(200, "pong")
        try:
            with LOCK:
                status, body = act(words)
        except (KeyError, IndexError):
            status, body = 404, {}
        return self.answer(status, body)

    def do_GET(self):
        self.do(lambda words: (200, get(words)))

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        given = json.loads(self.rfile.read(length) or b"{}")
        self.do(lambda words: post(words, given))

    def log_message(self, *_):
        pass


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
