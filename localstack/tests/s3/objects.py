"""Buckets and objects: what is put is what comes back."""

import datetime
import email.utils
import hashlib
import io
import os

from client import BUCKET, client, refused, same

s3 = client()

# Buckets.
s3.create_bucket(Bucket="another-one")
refused("BucketAlreadyOwnedByYou", 409, s3.create_bucket, Bucket="another-one")
refused("InvalidBucketName", 400, s3.create_bucket, Bucket="a..b")
same([bucket["Name"] for bucket in s3.list_buckets()["Buckets"]], ["another-one", BUCKET])
same(s3.head_bucket(Bucket="another-one")["BucketRegion"], "us-east-1")
same(s3.get_bucket_location(Bucket="another-one")["LocationConstraint"], None)
s3.create_bucket(Bucket="up-north", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
same(s3.get_bucket_location(Bucket="up-north")["LocationConstraint"], "eu-north-1")
s3.put_object(Bucket="another-one", Key="x", Body=b"")
refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket="another-one")
s3.delete_object(Bucket="another-one", Key="x")
s3.delete_bucket(Bucket="another-one")
s3.delete_bucket(Bucket="up-north")
refused("404", 404, s3.head_bucket, Bucket="another-one")
refused("NoSuchBucket", 404, s3.delete_bucket, Bucket="another-one")
refused("NoSuchBucket", 404, s3.put_object, Bucket="another-one", Key="x", Body=b"x")
refused("NoSuchBucket", 404, s3.get_object, Bucket="another-one", Key="x")
refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket="another-one")
refused("NoSuchBucket", 404, s3.delete_objects, Bucket="another-one", Delete={"Objects": [{"Key": "x"}]})
assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)
refused("NotImplemented", 501, s3.get_bucket_lifecycle_configuration, Bucket=BUCKET)

# Bodies of all sizes: in the index, in a file at once, in a file piece by piece.
for size in (0, 1, 512, 513, 65536, 300_000, 3_000_000):
    body = os.urandom(size)
    put = s3.put_object(Bucket=BUCKET, Key="body", Body=body)
    same(put["ETag"], '"%s"' % hashlib.md5(body).hexdigest())
    same(put["ServerSideEncryption"], "AES256")
    got = s3.get_object(Bucket=BUCKET, Key="body")
    same(got["Body"].read(), body)
    same(got["ContentLength"], size)
    same(got["ContentType"], "binary/octet-stream")
    same(s3.head_object(Bucket=BUCKET, Key="body")["ContentLength"], size)

# A reader keeps what it has begun to read.
old = os.urandom(8_000_000)
s3.put_object(Bucket=BUCKET, Key="body", Body=old)
reading = s3.get_object(Bucket=BUCKET, Key="body")["Body"]
head = reading.read(10)
s3.put_object(Bucket=BUCKET, Key="body", Body=b"new")
same(head + reading.read(), old)
same(s3.get_object(Bucket=BUCKET, Key="body")["Body"].read(), b"new")

# What is said about an object.
said = dict(
    ContentType="text/plain; charset=utf-8",
    ContentEncoding="gzip",
    ContentLanguage="de",
    ContentDisposition='attachment; filename="x"',
    CacheControl="max-age=60",
    Metadata={"metaflow": "yes", "empty": ""},
    StorageClass="STANDARD_IA",
    Expires=datetime.datetime(2031, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc),
)
s3.put_object(Bucket=BUCKET, Key="said", Body=b"1234567890", **said)
for answer in (s3.get_object(Bucket=BUCKET, Key="said"), s3.head_object(Bucket=BUCKET, Key="said")):
    for name, value in said.items():
        same(answer[name], value)
refused("MetadataTooLarge", 400, s3.put_object, Bucket=BUCKET, Key="m", Body=b"", Metadata={"a": "x" * 2100})
refused("AccessControlListNotSupported", 400, s3.put_object, Bucket=BUCKET, Key="m", Body=b"", ACL="public-read")
s3.put_object(Bucket=BUCKET, Key="m", Body=b"", ACL="bucket-owner-full-control")
kms = s3.put_object(Bucket=BUCKET, Key="m", Body=b"", ServerSideEncryption="aws:kms", SSEKMSKeyId="k")
same((kms["ServerSideEncryption"], kms["SSEKMSKeyId"]), ("aws:kms", "k"))
s3.delete_object(Bucket=BUCKET, Key="m")
other = s3.get_object(Bucket=BUCKET, Key="said", ResponseContentType="a/b", ResponseCacheControl="no-store")
same((other["ContentType"], other["CacheControl"]), ("a/b", "no-store"))
refused("AccessDenied", 403, s3.get_object, Bucket=BUCKET, Key="said", ExpectedBucketOwner="000000000000")
s3.get_object(Bucket=BUCKET, Key="said", ExpectedBucketOwner="123456789012")

# Ranges.
def ranged(text):
    answer = s3.get_object(Bucket=BUCKET, Key="said", Range=text)
    same(answer["ResponseMetadata"]["HTTPStatusCode"], 206)
    return answer["Body"].read(), answer["ContentRange"]

same(ranged("bytes=2-4"), (b"345", "bytes 2-4/10"))
same(ranged("bytes=7-"), (b"890", "bytes 7-9/10"))
same(ranged("bytes=-2"), (b"90", "bytes 8-9/10"))
same(ranged("bytes=8-99"), (b"90", "bytes 8-9/10"))
same(ranged("bytes=-99"), (b"1234567890", "bytes 0-9/10"))
head = s3.head_object(Bucket=BUCKET, Key="said", Range="bytes=0-0")
same((head["ContentLength"], head["ResponseMetadata"]["HTTPStatusCode"]), (1, 206))
answer = refused("InvalidRange", 416, s3.get_object, Bucket=BUCKET, Key="said", Range="bytes=10-")
same(answer["ResponseMetadata"]["HTTPHeaders"]["content-range"], "bytes */10")
s3.put_object(Bucket=BUCKET, Key="empty", Body=b"")
refused("InvalidRange", 416, s3.get_object, Bucket=BUCKET, Key="empty", Range="bytes=0-")
refused("InvalidRange", 416, s3.get_object, Bucket=BUCKET, Key="empty", Range="bytes=-1")
big = os.urandom(2_000_000)
s3.put_object(Bucket=BUCKET, Key="big", Body=big)
same(s3.get_object(Bucket=BUCKET, Key="big", Range="bytes=999-1500000")["Body"].read(), big[999:1500001])

# Conditions of reads.
head = s3.head_object(Bucket=BUCKET, Key="said")
etag, modified = head["ETag"], head["LastModified"]
later, earlier = modified + datetime.timedelta(seconds=5), modified - datetime.timedelta(seconds=5)
for call in (s3.get_object, s3.head_object):
    at = dict(Bucket=BUCKET, Key="said")
    code = "PreconditionFailed" if call == s3.get_object else "412"
    call(**at, IfMatch=etag)
    call(**at, IfMatch=etag, IfUnmodifiedSince=earlier)
    call(**at, IfNoneMatch='"other"', IfModifiedSince=later)
    call(**at, IfModifiedSince=earlier)
    call(**at, IfUnmodifiedSince=modified)
    refused(code, 412, call, **at, IfMatch='"other"')
    refused(code, 412, call, **at, IfUnmodifiedSince=earlier)
    refused("304", 304, call, **at, IfNoneMatch=etag)
    refused("304", 304, call, **at, IfModifiedSince=modified)
assert abs((datetime.datetime.now(datetime.timezone.utc) - modified).total_seconds()) < 100
# By one clock: containers take the age of a lease from one answer.
for answer in (head, s3.get_object(Bucket=BUCKET, Key="said")):
    date = email.utils.parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert 0 <= (date - answer["LastModified"]).total_seconds() < 100, (date, answer["LastModified"])

# Copies.
copy = s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "said"})
same(copy["CopyObjectResult"]["ETag"], etag)
got = s3.get_object(Bucket=BUCKET, Key="copy")
same((got["Metadata"], got["ContentType"], got["Body"].read()), (said["Metadata"], said["ContentType"], b"1234567890"))
assert "StorageClass" not in got
s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/big", MetadataDirective="REPLACE", Metadata={"n": "1"})
s3.delete_object(Bucket=BUCKET, Key="big")
got = s3.get_object(Bucket=BUCKET, Key="copy")
same((got["Metadata"], got["Body"].read()), ({"n": "1"}, big))
itself = dict(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "copy"})
refused("InvalidRequest", 400, s3.copy_object, **itself)
s3.copy_object(**itself, MetadataDirective="REPLACE", Metadata={"n": "2"}, ContentType="a/b")
got = s3.get_object(Bucket=BUCKET, Key="copy")
same((got["Metadata"], got["ContentType"], got["Body"].read()), ({"n": "2"}, "a/b", big))
refused("NoSuchKey", 404, s3.copy_object, Bucket=BUCKET, Key="y", CopySource=f"{BUCKET}/nothing")
refused("NoSuchBucket", 404, s3.copy_object, Bucket=BUCKET, Key="y", CopySource="not-there/nothing")
source = dict(Bucket=BUCKET, Key="y", CopySource=f"{BUCKET}/said")
refused("PreconditionFailed", 412, s3.copy_object, **source, CopySourceIfMatch='"other"')
refused("PreconditionFailed", 412, s3.copy_object, **source, CopySourceIfNoneMatch=etag)
refused("PreconditionFailed", 412, s3.copy_object, **source, CopySourceIfModifiedSince=later - datetime.timedelta(seconds=5))
s3.copy_object(**source, CopySourceIfMatch=etag)

# Tags.
s3.put_object(Bucket=BUCKET, Key="tagged", Body=os.urandom(1000), Tagging="a=1&b%20c=d")
tags = [{"Key": "a", "Value": "1"}, {"Key": "b c", "Value": "d"}]
same(s3.get_object_tagging(Bucket=BUCKET, Key="tagged")["TagSet"], tags)
same(s3.get_object(Bucket=BUCKET, Key="tagged")["TagCount"], 2)
s3.copy_object(Bucket=BUCKET, Key="tagged-copy", CopySource=f"{BUCKET}/tagged")
same(s3.get_object_tagging(Bucket=BUCKET, Key="tagged-copy")["TagSet"], tags)
s3.put_object_tagging(Bucket=BUCKET, Key="tagged", Tagging={"TagSet": tags[:1]})
same(s3.get_object_tagging(Bucket=BUCKET, Key="tagged")["TagSet"], tags[:1])
s3.delete_object_tagging(Bucket=BUCKET, Key="tagged")
same(s3.get_object_tagging(Bucket=BUCKET, Key="tagged")["TagSet"], [])
same(len(s3.get_object(Bucket=BUCKET, Key="tagged")["Body"].read()), 1000)
refused("InvalidTag", 400, s3.put_object_tagging, Bucket=BUCKET, Key="tagged", Tagging={"TagSet": tags[:1] * 2})
refused("NoSuchKey", 404, s3.get_object_tagging, Bucket=BUCKET, Key="nothing")

# What is not there.
refused("NoSuchKey", 404, s3.get_object, Bucket=BUCKET, Key="nothing")
refused("404", 404, s3.head_object, Bucket=BUCKET, Key="nothing")
refused("InvalidArgument", 400, s3.get_object, Bucket=BUCKET, Key="said", VersionId="v1")
refused("NotImplemented", 501, s3.get_object_acl, Bucket=BUCKET, Key="said")

# A body that is a stream, and its transfer through boto3's own manager.
s3.upload_fileobj(io.BytesIO(big), BUCKET, "stream", ExtraArgs={"Metadata": {"a": "b"}})
into = io.BytesIO()
s3.download_fileobj(BUCKET, "stream", into)
same(into.getvalue(), big)

# Deleting.
same(s3.delete_object(Bucket=BUCKET, Key="nothing")["ResponseMetadata"]["HTTPStatusCode"], 204)
keys = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
gone = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys + ["nothing"]]})
same(sorted(one["Key"] for one in gone["Deleted"]), sorted(keys + ["nothing"]))
assert "Errors" not in gone
same(s3.list_objects_v2(Bucket=BUCKET)["KeyCount"], 0)
quiet = s3.delete_objects(Bucket=BUCKET, Delete={"Quiet": True, "Objects": [{"Key": "nothing"}]})
assert "Deleted" not in quiet
many = [{"Key": str(number)} for number in range(1001)]
refused("MalformedXML", 400, s3.delete_objects, Bucket=BUCKET, Delete={"Objects": many})
