"""Uploads in parts."""

import hashlib
import io
import os

from boto3.s3.transfer import TransferConfig

from client import BUCKET, client, refused, same

s3 = client()
MIB = 1024 * 1024

# boto3's own manager: 20 MiB both ways.
body = os.urandom(20 * MIB)
transfer = TransferConfig(multipart_threshold=6 * MIB, multipart_chunksize=6 * MIB)
s3.upload_fileobj(io.BytesIO(body), BUCKET, "managed", Config=transfer, ExtraArgs={"Metadata": {"a": "b"}})
into = io.BytesIO()
s3.download_fileobj(BUCKET, "managed", into, Config=transfer)
assert into.getvalue() == body
assert s3.get_object(Bucket=BUCKET, Key="managed")["Body"].read() == body
head = s3.head_object(Bucket=BUCKET, Key="managed")
digests = b"".join(hashlib.md5(body[at : at + 6 * MIB]).digest() for at in range(0, len(body), 6 * MIB))
same(head["ETag"], f'"{hashlib.md5(digests).hexdigest()}-4"')
same((head["Metadata"], head["ContentLength"]), ({"a": "b"}, len(body)))
part = s3.get_object(Bucket=BUCKET, Key="managed", PartNumber=4)
same((part["PartsCount"], part["Body"].read(), part["ContentRange"]), (4, body[18 * MIB :], f"bytes {18 * MIB}-{20 * MIB - 1}/{20 * MIB}"))
refused("416", 416, s3.head_object, Bucket=BUCKET, Key="managed", PartNumber=5)
middle = s3.get_object(Bucket=BUCKET, Key="managed", Range=f"bytes={6 * MIB - 5}-{12 * MIB + 5}")["Body"].read()
assert middle == body[6 * MIB - 5 : 12 * MIB + 6]

# A copy of it is in one piece.
copy = s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/managed")
same(copy["CopyObjectResult"]["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
assert s3.get_object(Bucket=BUCKET, Key="copy")["Body"].read() == body

# By hand.
at = dict(Bucket=BUCKET, Key="by/hand")
upload = s3.create_multipart_upload(**at, Metadata={"n": "1"}, ContentType="a/b")["UploadId"]
refused("NoSuchKey", 404, s3.get_object, **at)
up = dict(**at, UploadId=upload)
five = os.urandom(5 * MIB)
tags = {}
for number in (7, 3, 9):
    tags[number] = s3.upload_part(**up, PartNumber=number, Body=five if number < 9 else b"last")["ETag"]
tags[3] = s3.upload_part(**up, PartNumber=3, Body=five[::-1])["ETag"]
copied = s3.upload_part_copy(**up, PartNumber=8, CopySource=f"{BUCKET}/managed", CopySourceRange=f"bytes=0-{5 * MIB}")
tags[8] = copied["CopyPartResult"]["ETag"]
listed = s3.list_parts(**up, MaxParts=2)
same([(one["PartNumber"], one["Size"]) for one in listed["Parts"]], [(3, 5 * MIB), (7, 5 * MIB)])
same((listed["IsTruncated"], listed["NextPartNumberMarker"]), (True, 7))
listed = s3.list_parts(**up, PartNumberMarker=7)
same([(one["PartNumber"], one["ETag"]) for one in listed["Parts"]], [(8, tags[8]), (9, tags[9])])
refused("InvalidArgument", 400, s3.upload_part, **up, PartNumber=0, Body=b"")
refused("InvalidArgument", 400, s3.upload_part, **up, PartNumber=10001, Body=b"")
refused("InvalidArgument", 400, s3.upload_part_copy, **up, PartNumber=1, CopySource=f"{BUCKET}/managed", CopySourceRange=f"bytes=0-{20 * MIB}")
refused("NoSuchUpload", 404, s3.upload_part, **at, UploadId="none", PartNumber=1, Body=b"")
refused("NoSuchUpload", 404, s3.list_parts, Bucket=BUCKET, Key="other", UploadId=upload)


def complete(*parts, **more):
    parts = [{"PartNumber": number, "ETag": tags.get(number, '"x"')} for number in parts]
    return s3.complete_multipart_upload(**up, MultipartUpload={"Parts": parts}, **more)


refused("InvalidPartOrder", 400, complete, 7, 3)
refused("InvalidPartOrder", 400, complete, 3, 3)
refused("InvalidPart", 400, complete, 1, 3)
refused("MalformedXML", 400, complete)
tags[9], right = '"0"', tags[9]
refused("InvalidPart", 400, complete, 3, 9)
tags[9] = right
tags[10] = s3.upload_part(**up, PartNumber=10, Body=b"more")["ETag"]
refused("EntityTooSmall", 400, complete, 3, 9, 10)
refused("InvalidRequest", 400, complete, 3, 7, 8, 9, MpuObjectSize=1)
done = complete(3, 7, 8, 9)
same(complete(3, 7, 8, 9)["ETag"], done["ETag"])  # the first answer may have been lost
whole = five[::-1] + five + body[: 5 * MIB + 1] + b"last"
got = s3.get_object(**at)
same((got["Metadata"], got["ContentType"], got["ETag"]), ({"n": "1"}, "a/b", done["ETag"]))
assert got["Body"].read() == whole
refused("NoSuchUpload", 404, s3.list_parts, **up)

# Uploads that are on their way.
uploads = {}
for key in ("u/1", "u/1", "u/2", "u/x/3", "v"):
    uploads.setdefault(key, []).append(s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"])
found = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
same([one["Key"] for one in found], ["u/1", "u/1", "u/2", "u/x/3", "v"])
same({one["UploadId"] for one in found[:2]}, set(uploads["u/1"]))
pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 1})
same([one["UploadId"] for page in pages for one in page["Uploads"]], [one["UploadId"] for one in found])
rolled = s3.list_multipart_uploads(Bucket=BUCKET, Prefix="u/", Delimiter="/")
same(([one["Key"] for one in rolled["Uploads"]], rolled["CommonPrefixes"]), (["u/1", "u/1", "u/2"], [{"Prefix": "u/x/"}]))
s3.upload_part(Bucket=BUCKET, Key="v", UploadId=uploads["v"][0], PartNumber=1, Body=b"x" * 1000)
for key, ids in uploads.items():
    for upload in ids:
        s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
refused("NoSuchUpload", 404, s3.abort_multipart_upload, Bucket=BUCKET, Key="v", UploadId=uploads["v"][0])
for key in ("managed", "copy", "by/hand"):
    s3.delete_object(Bucket=BUCKET, Key=key)
