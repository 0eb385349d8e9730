"""What is there before a restart is there after it."""

import sys

from client import BUCKET, client, refused, same

s3 = client()
MIB = 1024 * 1024
five = bytes(range(256)) * (5 * MIB // 256)

if sys.argv[1] == "before":
    s3.create_bucket(Bucket="mine")
    s3.create_bucket(Bucket="gone")
    s3.delete_bucket(Bucket="gone")
    for number in range(20):
        s3.put_object(Bucket=BUCKET, Key="often", Body=b"%d" % number * 400)
    s3.put_object(Bucket=BUCKET, Key="small", Body=b"small", Metadata={"n": "1"}, ContentType="a/b", Tagging="t=u")
    s3.put_object(Bucket="mine", Key="gone", Body=b"x")
    s3.delete_object(Bucket="mine", Key="gone")
    s3.copy_object(Bucket="mine", Key="copy", CopySource=f"{BUCKET}/often")
    s3.put_object(Bucket="mine", Key="a/../ü", Body=five)
    for key in ("done", "open", "aborted"):
        upload = dict(Bucket=BUCKET, Key=key, UploadId=s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"])
        part = s3.upload_part(**upload, PartNumber=1, Body=five)
        if key == "done":
            parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
            s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        if key == "aborted":
            s3.abort_multipart_upload(**upload)
else:
    same([bucket["Name"] for bucket in s3.list_buckets()["Buckets"]], [BUCKET, "mine"])
    same([one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]], ["done", "often", "small"])
    same([one["Key"] for one in s3.list_objects_v2(Bucket="mine")["Contents"]], ["a/../ü", "copy"])
    same(s3.get_object(Bucket=BUCKET, Key="often")["Body"].read(), b"19" * 400)
    same(s3.get_object(Bucket="mine", Key="copy")["Body"].read(), b"19" * 400)
    small = s3.get_object(Bucket=BUCKET, Key="small")
    same((small["Body"].read(), small["Metadata"], small["ContentType"], small["TagCount"]), (b"small", {"n": "1"}, "a/b", 1))
    assert s3.get_object(Bucket="mine", Key="a/../ü")["Body"].read() == five
    assert s3.get_object(Bucket=BUCKET, Key="done")["Body"].read() == five
    # The upload goes on where it was.
    found = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    same([one["Key"] for one in found], ["open"])
    upload = dict(Bucket=BUCKET, Key="open", UploadId=found[0]["UploadId"])
    first = s3.list_parts(**upload)["Parts"][0]["ETag"]
    second = s3.upload_part(**upload, PartNumber=2, Body=b"end")["ETag"]
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=BUCKET, Key="open")["Body"].read() == five + b"end"
    refused("PreconditionFailed", 412, s3.put_object, Bucket=BUCKET, Key="small", Body=b"", IfNoneMatch="*")
    for bucket in (BUCKET, "mine"):
        for one in s3.list_objects_v2(Bucket=bucket)["Contents"]:
            s3.delete_object(Bucket=bucket, Key=one["Key"])
