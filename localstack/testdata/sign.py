"""Writes botocore_signatures.json: requests as botocore signs them, at a fixed time. Run with boto3 installed."""

import datetime
import json
import os
from unittest import mock

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 1, 31, 12, 0, 0)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = "http://127.0.0.1:4573"


class Clock(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW

    @classmethod
    def now(cls, tz=None):
        return NOW.replace(tzinfo=tz)


def signed(name, service, method, path, body="", headers=(), token=None, expires=None):
    credentials = Credentials("AKIDEXAMPLE", SECRET, token)
    request = AWSRequest(method, HOST + path, dict(headers), body.encode())
    if expires:
        auth = botocore.auth.SigV4QueryAuth(credentials, service, "us-east-1", expires=expires)
    else:
        auth = botocore.auth.SigV4Auth(credentials, service, "us-east-1")
    auth.add_auth(request)
    prepared = request.prepare()
    wire = {"host": "127.0.0.1:4573", **{k.lower(): _text(v) for k, v in prepared.headers.items()}}
    return {
        "name": name,
        "method": method,
        "uri": prepared.url[len(HOST) :],
        "headers": sorted(wire.items()),
        "body": body,
    }


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


CASES = [
    ("batch submit_job", "batch", "POST", "/v1/submitjob", '{"jobName": "é"}', [("Content-Type", "application/json")]),
    ("batch token", "batch", "POST", "/v1/describejobs", "{}", [], "tok/en+="),
    ("batch tags", "batch", "GET", "/v1/tags/arn%3Aaws%3Abatch%3Aus-east-1%3A0%3Ajob-queue%2Fa~b"),
    ("batch untag", "batch", "DELETE", "/v1/tags/arn%3Aaws%3Abatch?tagKeys=b%20c&tagKeys=a%2Bb&tagKeys="),
    (
        "logs get_log_events",
        "logs",
        "POST",
        "/",
        "{}",
        [("X-Amz-Target", "Logs_20140328.GetLogEvents"), ("Content-Type", "application/x-amz-json-1.1"), ("X-Odd", " a   b ")],
    ),
    ("sts presigned", "sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", [], None, 60),
    ("sts presigned token", "sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", [], "tok/en+=", 60),
]

target = os.path.join(os.path.dirname(os.path.abspath(__file__)), "botocore_signatures.json")
with mock.patch("datetime.datetime", Clock), mock.patch("botocore.auth.get_current_datetime", lambda: NOW, create=True):
    made = [signed(*case) for case in CASES]
with open(target, "w") as f:
    json.dump(made, f, indent=1, ensure_ascii=False)
    f.write("\n")
