"""Errors that were asked for."""

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from client import BUCKET, client, refused, same

s3 = client()
put = lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 1000)
put.__name__ = "put_object"
refused("SlowDown", 503, put, "refused")
refused("404", 404, s3.head_object, Bucket=BUCKET, Key="refused")
put("refused")
refused("InternalError", 500, put, "done")
same(s3.head_object(Bucket=BUCKET, Key="done")["ContentLength"], 1000)
try:
    put("lost")
except (ConnectionClosedError, ReadTimeoutError):
    pass
else:
    raise AssertionError("the reply was not lost")
same(s3.head_object(Bucket=BUCKET, Key="lost")["ContentLength"], 1000)
refused("OurOwnException", 429, s3.list_objects_v2, Bucket=BUCKET)
s3.list_objects_v2(Bucket=BUCKET)
refused("ConditionalRequestConflict", 409, put, "at-once")
put("at-once")
get = lambda: s3.get_object(Bucket=BUCKET, Key="done")
get.__name__ = "get_object"
refused("ExpiredToken", 400, get)
refused("RequestTimeTooSkewed", 403, get)
try:
    get()
except (ConnectionClosedError, ReadTimeoutError):
    pass
else:
    raise AssertionError("there was an answer")
same(len(get()["Body"].read()), 1000)
