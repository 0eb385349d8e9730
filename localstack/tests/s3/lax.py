"""A store that ignores If-None-Match and If-Match where a rule says so."""

from client import BUCKET, client, refused, same

s3 = client()
for key, is_lax in (("lax", True), ("strict", False)):
    at = dict(Bucket=BUCKET, Key=key)
    s3.put_object(**at, Body=b"1")

    def complete(**condition):
        upload = s3.create_multipart_upload(**at)["UploadId"]
        part = s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"2")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        return s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload=parts, **condition)

    if is_lax:
        s3.put_object(**at, Body=b"2", IfNoneMatch="*")
        same(s3.get_object(**at)["Body"].read(), b"2")
        s3.put_object(**at, Body=b"3", IfMatch="other")
        complete(IfNoneMatch="*")
        same(s3.get_object(**at)["Body"].read(), b"2")
    else:
        refused("PreconditionFailed", 412, s3.put_object, **at, Body=b"2", IfNoneMatch="*")
        refused("PreconditionFailed", 412, s3.put_object, **at, Body=b"2", IfMatch="other")
        refused("PreconditionFailed", 412, complete, IfNoneMatch="*")
        same(s3.get_object(**at)["Body"].read(), b"1")
