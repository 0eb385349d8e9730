"""What an artifact looks like to a comparison: its hash, or where it names its run, its normalised pickle."""

import hashlib
import json
import pickle
import pickletools

SMALL = 2000
# A user's value of this type differs from run to run on purpose.
UNSTORED = b"Unstored"


def view(name, artifact, blob, normalise):
    """`artifact` is the metadata record, `blob` the stored bytes."""
    seen = {"type": artifact.get("content_type"), "name": name}
    if name == "_graph_info":
        return {**seen, "value": json.loads(normalise(json.dumps(pickle.loads(blob))))}
    if UNSTORED in blob:
        return {**seen, "value": "differs on purpose"}
    if normalise.concerns(blob) or name == "_exception" or b"Exception" in blob:
        return {**seen, "pickle": opcodes(blob, normalise)}
    return {**seen, "sha": artifact["sha"], "value": normalise(small_repr(blob))}


def opcodes(blob, normalise):
    """The pickle as a list of texts. Lengths and memo numbers are left out, for they follow from what is normalised."""
    listed = []
    for opcode, argument, _ in pickletools.genops(blob):
        if isinstance(argument, str):
            listed.append("text " + normalise(argument))
        elif isinstance(argument, bytes):
            listed.append("bytes " + hashlib.sha1(argument).hexdigest())
        elif opcode.name in ("FRAME", "MEMOIZE", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT", "PROTO"):
            continue
        else:
            listed.append("%s %s" % (opcode.name, argument))
    return listed


def small_repr(blob):
    try:
        text = repr(pickle.loads(blob))
    except Exception as e:  # A class of the flow file, say: the hash alone is compared.
        return "cannot be loaded here: %s" % type(e).__name__
    return text if len(text) <= SMALL else text[:SMALL] + "…"
