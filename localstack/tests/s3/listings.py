"""ListObjectsV2 and ListObjects: pages, prefixes, delimiters, encoding."""

from concurrent.futures import ThreadPoolExecutor

from client import BUCKET, client, refused, same

s3 = client()
keys = sorted(f"run/{run}/{step}/{task}" for run in (1, 2, 10) for step in ("start", "end") for task in range(180))
with ThreadPoolExecutor(16) as pool:
    list(pool.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b"x"), keys))
for key in ("run", "run/1", "run+ /ä", "runs/z"):
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"y")
everything = sorted(keys + ["run", "run/1", "run+ /ä", "runs/z"], key=str.encode)


def names(pages):
    contents = [one["Key"] for page in pages for one in page.get("Contents", [])]
    prefixes = [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])]
    return contents, prefixes


for operation in ("list_objects_v2", "list_objects"):
    call = getattr(s3, operation)
    pages = lambda **arguments: list(s3.get_paginator(operation).paginate(Bucket=BUCKET, **arguments))
    first = call(Bucket=BUCKET)
    same((len(first["Contents"]), first["IsTruncated"], first["MaxKeys"]), (1000, True, 1000))
    same(names(pages()), (everything, []))
    same(names(pages(PaginationConfig={"PageSize": 7}, Prefix="run/2/")), ([k for k in keys if k.startswith("run/2/")], []))
    for size in (1, 2, 3, 1000):
        page = {"PageSize": size}
        same(names(pages(PaginationConfig=page, Delimiter="/")), (["run"], ["run+ /", "run/", "runs/"]))
        same(names(pages(PaginationConfig=page, Delimiter="/", Prefix="run/")), (["run/1"], ["run/1/", "run/10/", "run/2/"]))
        same(names(pages(PaginationConfig=page, Delimiter="/", Prefix="run/1/")), ([], ["run/1/end/", "run/1/start/"]))
        same(names(pages(PaginationConfig=page, Delimiter="rt/", Prefix="run/1/st")), ([], ["run/1/start/"]))
    same(names(pages(Prefix="nothing/")), ([], []))
    none = call(Bucket=BUCKET, MaxKeys=0)
    same((none["IsTruncated"], none.get("Contents")), (False, None))
    encoded = call(Bucket=BUCKET, EncodingType="url", Prefix="run+ ")
    same(encoded["Contents"][0]["Key"], "run%2B%20/%C3%A4")
    same(encoded["EncodingType"], "url")

one = s3.list_objects_v2(Bucket=BUCKET, Prefix="run/1", MaxKeys=1)["Contents"][0]
same((one["Key"], one["Size"], one["StorageClass"], one["ETag"]), ("run/1", 1, "STANDARD", '"415290769594460e2e485922904f345d"'))
assert "Owner" not in one
assert s3.list_objects_v2(Bucket=BUCKET, MaxKeys=1, FetchOwner=True)["Contents"][0]["Owner"]["ID"]
rest = [key for key in keys if key > "run/2/start/98"]
answer = s3.list_objects_v2(Bucket=BUCKET, StartAfter="run/2/start/98", Prefix="run/")
same((names([answer]), answer["StartAfter"], answer["KeyCount"]), ((rest, []), "run/2/start/98", len(rest)))
same(names([s3.list_objects_v2(Bucket=BUCKET, StartAfter="run/", Delimiter="/")]), ([], ["runs/"]))
same(s3.list_objects(Bucket=BUCKET, Marker="run/2/start/99")["Contents"][0]["Key"], "runs/z")
assert "NextMarker" not in s3.list_objects(Bucket=BUCKET)
refused("InvalidArgument", 400, s3.list_objects_v2, Bucket=BUCKET, ContinuationToken="?")
refused("InvalidArgument", 400, s3.list_objects_v2, Bucket=BUCKET, EncodingType="rot13")
refused("InvalidArgument", 400, s3.list_objects_v2, Bucket=BUCKET, MaxKeys=-1)
