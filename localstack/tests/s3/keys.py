"""Keys are exact: no two become one, none becomes another."""

from client import BUCKET, client, refused, same

s3 = client()
keys = [
    "x",
    "x/y",
    "x/",
    "x//",
    "x//y",
    "/",
    "/x",
    "a//b",
    "a/../b",
    "b",
    "a/./b",
    "a/b",
    "..",
    "pl+us",
    "pl us",
    "pct%41",
    "pctA",
    "am&p;<>\"'",
    "ünïcödé/文件/🙂",
    "u\u0308nicode",
    "tab\tline\nreturn\rbell\x07",
    "~tilde*star(paren)'!,;:@=$?#[]{}|\\^`",
    "k" * 1024,
    "d/" + "c" * 300 + "/e",
    " leading and trailing ",
    "CON",
    "case",
    "CASE",
]
for key in keys:
    s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode(), Metadata={"n": "1"})
for key in keys:
    same(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read(), key.encode())
    same(s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"], len(key.encode()))
expected = sorted(keys, key=str.encode)
same([one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]], expected)
same([one["Key"] for one in s3.list_objects(Bucket=BUCKET)["Contents"]], expected)
for key in keys:
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=key)["Contents"]
    same(found[0]["Key"], key)
    s3.copy_object(Bucket=BUCKET, Key="copy of", CopySource={"Bucket": BUCKET, "Key": key})
    same(s3.get_object(Bucket=BUCKET, Key="copy of")["Body"].read(), key.encode())
s3.delete_object(Bucket=BUCKET, Key="copy of")
refused("KeyTooLongError", 400, s3.put_object, Bucket=BUCKET, Key="k" * 1025, Body=b"")
refused("KeyTooLongError", 400, s3.put_object, Bucket=BUCKET, Key="ü" * 513, Body=b"")

# XML cannot carry all keys, so the first ones go by name.
for key in keys:
    if "\x07" in key or "\r" in key:
        s3.delete_object(Bucket=BUCKET, Key=key)
rest = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
gone = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in rest]})
same([one["Key"] for one in gone["Deleted"]], rest)
same(s3.list_objects_v2(Bucket=BUCKET)["KeyCount"], 0)
