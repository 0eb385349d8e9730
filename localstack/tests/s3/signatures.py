"""Who may call."""

import urllib.error
import urllib.request

from client import BUCKET, client, refused, same

s3 = client()
s3.put_object(Bucket=BUCKET, Key="a b/ü+c", Body=b"body")
wrong = client(aws_access_key_id="AKIDTEST", aws_secret_access_key="wrong")
refused("SignatureDoesNotMatch", 403, wrong.get_object, Bucket=BUCKET, Key="a b/ü+c")
refused("SignatureDoesNotMatch", 403, wrong.put_object, Bucket=BUCKET, Key="mine", Body=b"x")
refused("404", 404, s3.head_object, Bucket=BUCKET, Key="mine")
refused("NotSignedUp", 403, client(aws_access_key_id="AKIDOTHER", aws_secret_access_key="x").list_buckets)


def fetch(url, method="GET", data=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


for options in (dict(signature_version="s3v4"), dict(signature_version="s3")):
    signer = client(options=options)
    url = signer.generate_presigned_url("get_object", Params=dict(Bucket=BUCKET, Key="a b/ü+c"))
    same(fetch(url), (200, b"body"))
    same(fetch(url.replace("a%20b", "b%20b"))[0], 403)
url = s3.generate_presigned_url("get_object", Params=dict(Bucket=BUCKET, Key="a b/ü+c", ResponseContentType="x/y"))
with urllib.request.urlopen(url) as answer:
    same(answer.headers["Content-Type"], "x/y")
url = client(options=dict(signature_version="s3v4")).generate_presigned_url(
    "put_object", Params=dict(Bucket=BUCKET, Key="presigned")
)
same(fetch(url, "PUT", b"from outside")[0], 200)
same(s3.get_object(Bucket=BUCKET, Key="presigned")["Body"].read(), b"from outside")
same(fetch(url.replace("presigned", "elsewhere"), "PUT", b"x")[0], 403)
for path, method in (("/", "GET"), (f"/{BUCKET}", "GET"), (f"/{BUCKET}/presigned", "GET"), (f"/{BUCKET}/x", "PUT")):
    status, text = fetch(s3.meta.endpoint_url + path, method, b"x" if method == "PUT" else None)
    assert status == 403 and b"AccessDenied" in text, (path, status, text)
