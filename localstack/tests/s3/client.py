"""What the scripts have in common. Settings come from the environment."""

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = "default"


def client(retries=1, **arguments):
    options = dict(retries={"total_max_attempts": retries}, s3={"addressing_style": "path"}, max_pool_connections=100)
    options.update(arguments.pop("options", {}))
    return boto3.client("s3", config=Config(**options), **arguments)


def refused(code, status, call, *args, **kwargs):
    """The call must fail with this code and HTTP status; gives the answer."""
    try:
        call(*args, **kwargs)
    except ClientError as error:
        answer = error.response
        found = answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
        assert found == (code, status), f"{found} and not {(code, status)}: {answer['Error']}"
        return answer
    raise AssertionError(f"{call.__name__} succeeded and should have been refused as {code}")


def same(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"
