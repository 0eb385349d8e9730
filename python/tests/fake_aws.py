"""S3 and AWS Batch as far as Metaflow's client needs them. Batch remembers what was submitted and refuses it."""

import hashlib
import json
import re
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class FakeAws:
    """Answers on a free port until `close`."""

    def __init__(self):
        self.objects = {}
        self.jobs = []
        self.requests = []
        self.roles = []  # the forms by which AWS STS was asked for roles
        self.sandboxes = []  # the headers by which the sandbox was asked for keys
        handler = type("Handler", (_Handler,), {"aws": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = "http://127.0.0.1:%d" % self._server.server_port

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def environment(self):
        """What sends an AWS client here and nowhere else."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_SESSION_TOKEN": None,
            "AWS_PROFILE": None,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_REGION": None,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_ENDPOINT_URL_BATCH": self.url,
            "METAFLOW_S3_ENDPOINT_URL": self.url,
            "METAFLOW_DATASTORE_SYSROOT_S3": "s3://bucket/some/prefix",
        }


class _Handler(BaseHTTPRequestHandler):
    aws = None
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_args):
        pass

    def reply(self, status, body=b"", **headers):
        self.aws.requests.append((self.command, self.path))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def key(self):
        """Of an S3 request, as `bucket/key`."""
        return unquote(urlsplit(self.path).path).lstrip("/")

    def body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return _unchunked(data) if "aws-chunked" in self.headers.get("Content-Encoding", "") else data

    def do_PUT(self):
        data = self.body()
        metadata = {k: v for k, v in self.headers.items() if k.lower().startswith("x-amz-meta-")}
        self.aws.objects[self.key()] = (data, metadata)
        self.reply(200, ETag=_etag(data))

    def do_DELETE(self):
        self.aws.objects.pop(self.key(), None)
        self.reply(204)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if self.path == "/auth/token":
            return self.keys_of_sandbox()
        if "list-type" in self.path:
            return self.list_objects()
        if self.key() not in self.aws.objects:
            return self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        data, metadata = self.aws.objects[self.key()]
        headers = {k.replace("-", "_"): v for k, v in metadata.items()}
        headers.update(ETag=_etag(data), Last_Modified=formatdate(usegmt=True), Content_Type="binary/octet-stream")
        ranged = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range") or "")
        if ranged:
            first, last = int(ranged.group(1)), int(ranged.group(2) or len(data) - 1)
            headers["Content_Range"] = "bytes %d-%d/%d" % (first, min(last, len(data) - 1), len(data))
            return self.reply(206, data[first : last + 1], **headers)
        return self.reply(200, data, **headers)

    def list_objects(self):
        query = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        bucket, prefix, delimiter = self.key().strip("/"), query.get("prefix", ""), query.get("delimiter")
        entries, folders = [], set()
        for name, (data, _) in sorted(self.aws.objects.items()):
            key = name.partition("/")[2]
            if not name.startswith(bucket + "/") or not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                entries.append("<Contents><Key>%s</Key><Size>%d</Size></Contents>" % (escape(key), len(data)))
        entries += ["<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>" % escape(f) for f in sorted(folders)]
        xml = "<ListBucketResult><IsTruncated>false</IsTruncated>%s</ListBucketResult>" % "".join(entries)
        self.reply(200, xml.encode(), Content_Type="application/xml")

    def keys_of_sandbox(self):
        self.aws.sandboxes.append(dict(self.headers.items()))
        keys = {"aws_access_key_id": "AKSAND-%d" % len(self.aws.sandboxes), "aws_secret_access_key": "s"}
        self.reply(200, json.dumps(dict(keys, aws_session_token="t")).encode(), Content_Type="application/json")

    def assume_role(self, form):
        self.aws.roles.append({k: v[0] for k, v in parse_qs(form).items()})
        xml = (
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKROLE-%d</AccessKeyId><SecretAccessKey>s"
            "</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>"
            "</AssumeRoleResult></AssumeRoleResponse>" % len(self.aws.roles)
        )
        self.reply(200, xml.encode(), Content_Type="text/xml")

    def do_POST(self):
        body = self.body()
        if self.path == "/" and b"Action=AssumeRole" in body:
            return self.assume_role(body.decode())
        question = json.loads(body or b"{}")
        name = self.path.rsplit("/", 1)[-1]
        if name == "submitjob":
            self.aws.jobs.append(question)
        answer = _BATCH.get(name)
        if answer is None:
            return self.reply(400, b'{"message": "no"}', x_amzn_ErrorType="ClientException")
        return self.reply(200, json.dumps(answer).encode(), Content_Type="application/json")


_BATCH = {
    "describejobqueues": {
        "jobQueues": [
            {
                "jobQueueName": "queue",
                "state": "ENABLED",
                "status": "VALID",
                "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "environment"}],
            }
        ]
    },
    "describecomputeenvironments": {"computeEnvironments": [{"computeResources": {"type": "EC2"}}]},
    "describejobdefinitions": {"jobDefinitions": []},
    "registerjobdefinition": {"jobDefinitionName": "d", "jobDefinitionArn": "arn:d", "revision": 1},
}


def _etag(data):
    return '"%s"' % hashlib.md5(data).hexdigest()


def _unchunked(data):
    """The content of the `aws-chunked` encoding."""
    content = b""
    while data:
        head, _, data = data.partition(b"\r\n")
        size = int(head.split(b";")[0] or b"0", 16)
        if size == 0:
            break
        content, data = content + data[:size], data[size + 2 :]
    return content
