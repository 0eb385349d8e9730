"""Content-MD5, x-amz-checksum-* and x-amz-content-sha256."""

import base64
import hashlib
import os
import urllib.request
import zlib

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session

from client import BUCKET, client, refused, same

s3 = client()
plain = client(options=dict(request_checksum_calculation="when_required"))
at = dict(Bucket=BUCKET, Key="sum")
MIB = 1024 * 1024


def b64(data):
    return base64.b64encode(data).decode()


def crc32(data):
    return b64(zlib.crc32(data).to_bytes(4, "big"))


for size in (10, 100_000):
    body = os.urandom(size)
    sums = {
        "ChecksumCRC32": crc32(body),
        "ChecksumSHA1": b64(hashlib.sha1(body).digest()),
        "ChecksumSHA256": b64(hashlib.sha256(body).digest()),
    }
    for name, value in sums.items():
        put = s3.put_object(**at, Body=body, **{name: value})
        same((put[name], put["ChecksumType"]), (value, "FULL_OBJECT"))
        same(s3.head_object(**at, ChecksumMode="ENABLED")[name], value)
        got = s3.get_object(**at, ChecksumMode="ENABLED")
        same((got[name], got["Body"].read()), (value, body))
        assert name not in plain.head_object(**at)
        refused("BadDigest", 400, s3.put_object, **at, Body=body + b"x", **{name: value})
    md5 = b64(hashlib.md5(body).digest())
    plain.put_object(**at, Body=body, ContentMD5=md5)
    refused("BadDigest", 400, plain.put_object, **at, Body=body + b"x", ContentMD5=md5)
    refused("InvalidDigest", 400, plain.put_object, **at, Body=body, ContentMD5="no digest")
    same(s3.get_object(**at)["Body"].read(), body)

# By default boto3 sends a CRC-32, and without one S3 keeps a CRC-64 of its own.
same(s3.put_object(**at, Body=b"123456789")["ChecksumCRC32"], crc32(b"123456789"))
same(plain.put_object(**at, Body=b"123456789")["ChecksumCRC64NVME"], b64(0xAE8B14860A799888.to_bytes(8, "big")))
for algorithm in ("CRC32", "SHA1", "SHA256"):
    put = s3.put_object(**at, Body=b"data", ChecksumAlgorithm=algorithm)
    same(s3.head_object(**at, ChecksumMode="ENABLED")["Checksum" + algorithm], put["Checksum" + algorithm])
copy = s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/sum", ChecksumAlgorithm="SHA1")
same(copy["CopyObjectResult"]["ChecksumSHA1"], b64(hashlib.sha1(b"data").digest()))
refused("InvalidRequest", 400, plain.put_object, **at, Body=b"x", ChecksumCRC32="AAAAAA==", ChecksumSHA1="AAAA")

# Of parts.
five, last = os.urandom(5 * MIB), b"last"
for algorithm, kind in (("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), (None, None)):
    asked = {} if algorithm is None else dict(ChecksumAlgorithm=algorithm, ChecksumType=kind)
    by = plain if algorithm is None else s3
    upload = dict(**at, UploadId=by.create_multipart_upload(**at, **asked)["UploadId"])
    name = f"Checksum{algorithm or 'CRC64NVME'}"
    parts = []
    for number, body in ((1, five), (2, last)):
        more = {} if algorithm is None else dict(ChecksumAlgorithm=algorithm)
        part = by.upload_part(**upload, PartNumber=number, Body=body, **more)
        parts.append({"PartNumber": number, "ETag": part["ETag"], name: part[name]})
    same([one[name] for one in by.list_parts(**upload)["Parts"]], [one[name] for one in parts])
    done = by.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    head = by.head_object(**at, ChecksumMode="ENABLED")
    same((done["ChecksumType"], done[name]), (kind or "FULL_OBJECT", head[name]))
    if kind == "COMPOSITE":
        assert done[name].endswith("-2")
    elif algorithm == "CRC32":
        same(done[name], crc32(five + last))
    assert s3.get_object(**at, ChecksumMode="ENABLED")["Body"].read() == five + last
upload = dict(**at, UploadId=s3.create_multipart_upload(**at, ChecksumAlgorithm="SHA256")["UploadId"])
refused("InvalidRequest", 400, s3.upload_part, **upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA1")
refused("InvalidRequest", 400, s3.create_multipart_upload, **at, ChecksumAlgorithm="SHA1", ChecksumType="FULL_OBJECT")


# A body that is not the one that was signed.
def signed(method, path, body, headers, sent):
    session = Session()
    request = AWSRequest(method, s3.meta.endpoint_url + path, headers=headers, data=body)
    if "x-amz-trailer" in headers:
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    S3SigV4Auth(session.get_credentials(), "s3", "us-east-1").add_auth(request)
    prepared = request.prepare()
    call = urllib.request.Request(prepared.url, data=sent, headers=dict(prepared.headers), method=method)
    try:
        return urllib.request.urlopen(call).status, b""
    except urllib.error.HTTPError as error:
        return error.code, error.read()


same(signed("PUT", f"/{BUCKET}/signed", b"right", {}, b"right")[0], 200)
status, text = signed("PUT", f"/{BUCKET}/signed", b"right", {}, b"wrong")
assert status == 400 and b"XAmzContentSHA256Mismatch" in text, (status, text)
same(s3.get_object(Bucket=BUCKET, Key="signed")["Body"].read(), b"right")


# Framed as aws-chunked, with the checksum behind the body.
def chunked(value):
    framed = b"4\r\nda\r\n\r\n0\r\nx-amz-checksum-crc32:" + value.encode() + b"\r\n\r\n"
    headers = {
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-decoded-content-length": "4",
        "content-encoding": "gzip,aws-chunked",
    }
    return signed("PUT", f"/{BUCKET}/framed", framed, headers, framed)


same(chunked(crc32(b"da\r\n"))[0], 200)
got = s3.get_object(Bucket=BUCKET, Key="framed", ChecksumMode="ENABLED")
same((got["Body"].read(), got["ContentEncoding"], got["ChecksumCRC32"]), (b"da\r\n", "gzip", crc32(b"da\r\n")))
status, text = chunked(crc32(b"other"))
assert status == 400 and b"BadDigest" in text, (status, text)
