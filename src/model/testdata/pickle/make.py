"""Makes the pickles in this folder, one per value and protocol, by CPython 3.11 and metaflow 2.19.39.

Their values are written out in src/model/pickle/tests.rs.
"""

import collections
import pathlib
import pickle

from metaflow.flowspec import ParallelUBF
from metaflow.tuple_util import ForeachFrame

shared_list = ["s"]
shared_text = "shared text"
cyclic = []
cyclic.append(cyclic)

VALUES = {
    "scalars": [None, True, False, 0, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**31]
    + [-(2**63), 2**63 - 1, 2**63, -(2**63) - 1, 2**100, 1.5, float("-inf"), "", "grüße", "x" * 300],
    "containers": {
        "list": [1, [2, []]],
        "tuple": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "dict": {},
        "nested": {"k": ("v",)},
    },
    "bytes": [b"", b"\x00\xff", b"y" * 300, bytearray(b"ab")],
    "sets": [set(), {7}, frozenset(["z"])],
    "transition": (["work"], "xs"),
    "shared": [shared_list, shared_list, shared_text, shared_text],
    "ordered": collections.OrderedDict([("a", 1), ("b", 2)]),
    "cyclic": cyclic,
    "foreach_stack": [ForeachFrame("work", "xs", 3, 1, "b")],
    "parallel_ubf": ParallelUBF(4),
}

for name, value in VALUES.items():
    for protocol in (2, 3, 4, 5):
        path = pathlib.Path(__file__).with_name(f"{name}.{protocol}.pkl")
        path.write_bytes(pickle.dumps(value, protocol))
