"""Writes under a condition: a check and the write that depends on it are one step."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from botocore.exceptions import ClientError

from client import BUCKET, client, refused, same

s3 = client()
at = dict(Bucket=BUCKET, Key="claim")


def race(count, write):
    """All at once; gives who won, and how the others failed."""
    barrier = Barrier(count)

    def attempt(number):
        barrier.wait()
        try:
            write(number)
            return number
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]

    with ThreadPoolExecutor(count) as pool:
        results = list(pool.map(attempt, range(count)))
    winners = [one for one in results if isinstance(one, int)]
    return winners, {one for one in results if not isinstance(one, int)}


for body in (b"%d", b"%d" + b"x" * 5000):
    winners, failures = race(80, lambda number: s3.put_object(**at, Body=body % number, IfNoneMatch="*"))
    same((len(winners), failures), (1, {("PreconditionFailed", 412)}))
    same(s3.get_object(**at)["Body"].read(), body % winners[0])
    etag = s3.head_object(**at)["ETag"]
    winners, failures = race(80, lambda number: s3.put_object(**at, Body=b"next" + body % number, IfMatch=etag))
    same((len(winners), failures), (1, {("PreconditionFailed", 412)}))
    same(s3.get_object(**at)["Body"].read(), b"next" + body % winners[0])
    s3.delete_object(**at)

# Eighty plain writes of one key: one of them is there in the end, whole.
winners, failures = race(80, lambda number: s3.put_object(**at, Body=b"%d" % number * 3000))
same((len(winners), failures), (80, set()))
body = s3.get_object(**at)["Body"].read()
assert any(body == b"%d" % number * 3000 for number in range(80))

refused("PreconditionFailed", 412, s3.put_object, **at, Body=b"", IfNoneMatch="*")
refused("PreconditionFailed", 412, s3.put_object, **at, Body=b"", IfMatch='"other"')
refused("NoSuchKey", 404, s3.put_object, Bucket=BUCKET, Key="nothing", Body=b"", IfMatch='"other"')
refused("NotImplemented", 501, s3.put_object, **at, Body=b"", IfNoneMatch='"other"')
refused("PreconditionFailed", 412, s3.delete_object, **at, IfMatch='"other"')
s3.delete_object(Bucket=BUCKET, Key="nothing", IfMatch='"other"')
s3.delete_object(**at, IfMatch=s3.head_object(**at)["ETag"])
refused("404", 404, s3.head_object, **at)

# Uploads in parts.
first = s3.create_multipart_upload(**at)["UploadId"]
second = s3.create_multipart_upload(**at)["UploadId"]


def complete(upload, **condition):
    part = s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    return s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload=parts, **condition)


refused("NoSuchKey", 404, complete, first, IfMatch='"other"')
complete(first, IfNoneMatch="*")
refused("PreconditionFailed", 412, complete, second, IfNoneMatch="*")
complete(second, IfMatch=s3.head_object(**at)["ETag"])
