"""Upstream's listings of S3 without the processes that it starts for each of them: half a second, some ten times a task."""

from urllib.parse import urlparse

from metaflow.plugins.datatools.s3 import s3op
from metaflow.plugins.datatools.s3.s3 import S3


def in_this_process():
    """Has `S3.list_paths`, on which the Client stands, call the code of s3op.py here."""
    upstream = S3._read_many_files
    operations = []

    def read_many_files(self, op, prefixes_and_ranges, **options):
        if op != "list" or options:
            yield from upstream(self, op, prefixes_and_ranges, **options)
            return
        if not operations:
            operations.append(s3op.S3Ops(s3op.S3Config(None, None, None)))
        for prefix, _ in prefixes_and_ranges:
            address = urlparse(prefix, allow_fragments=False)
            url = s3op.S3Url(
                url=prefix, bucket=address.netloc, path=address.path.lstrip("/"), local=None, prefix=prefix
            )
            worked, _, found = operations[0].list_prefix(url, delimiter="/")
            if not worked:
                raise RuntimeError("%s cannot be listed: %s" % (prefix, found))
            for entry, size in found:
                yield entry.prefix, entry.url, "" if size is None else str(size)

    S3._read_many_files = read_many_files
