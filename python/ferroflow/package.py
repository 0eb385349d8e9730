"""The code package of a run: listed by upstream's own code, made by `ferroflow package`.

metaflow/package/__init__.py decides in a thread what is packed, and `MetaflowPackage._make` puts it together, in memory.
Ours notes the members that upstream's `_make` would put into the archive and lets the binary make it, in a file, or find
that it has made it before. `package.blob` is that file mapped into memory: it has a length and can be hashed, sliced and
written, as upstream's bytearray. A run on this machine alone, in which nobody looks at the package, does not make it.

The extension's hook calls `adopt` for each package before upstream's `__init__`.
"""

import contextlib
import functools
import hashlib
import json
import mmap
import os
import subprocess
import threading

from . import bytecode
from .binary import locate
from .errors import HandBack, describe_status, is_required

# What upstream's methods must mention for our replacements to be met.
_MENTIONS = {
    "_make": "_backend create add_file add_data get_blob",
    "_package_and_upload": "_make _blob _is_package_available",
    "blob_with_timeout": "_blob _create_thread",
}
# How the binary ends after it has said what is wrong: with the files, or with the folders it could write to. Upstream
# needs no folder. (src/model/exit_code.rs)
EXPLAINED, NO_FOLDER = 1, 4


def code(package, url, datastore=None):
    """Where the package was uploaded and what its bytes are: `code` of docs/host-protocol.md; `datastore` is for bytecode."""
    blob = package.blob
    if not isinstance(blob, Archive):
        return {"url": url, "sha256": hashlib.sha256(blob).hexdigest(), "size": len(blob)}
    told = _reference(url, blob.facts)
    pack = functools.partial(_pack, package._ferroflow_binary)
    uploaded = bytecode.upload(blob.modules, pack, Archive.opened, datastore)
    if uploaded:
        told["bytecode"] = _reference(*uploaded)
    return told


def _reference(url, facts):
    return {"url": url, "sha256": facts["sha256"], "size": facts["size"]}


def adopt(package):
    """Makes `package` one of ours if it is the package of `run` and upstream's class is as we know it."""
    upstream = type(package)
    if _command() != "run" or not _is_known(upstream):
        return
    try:
        binary = locate()
    except HandBack:
        return  # the run will say so
    package.__class__ = _class(upstream)
    package._ferroflow_binary = binary
    _stream_uploads()


def _command():
    from metaflow._vendor.click import get_current_context

    context = get_current_context(silent=True)
    return context.info_name if context else None


def _is_known(upstream):
    if upstream.__module__ != "metaflow.package" or not isinstance(vars(upstream).get("blob"), property):
        return False
    for method, mentions in _MENTIONS.items():
        names = getattr(getattr(upstream, method, None), "__code__", None)
        if names is None or not set(mentions.split()).issubset(names.co_names):
            return False
    return True


def _class(upstream):
    class Package(upstream):
        """Upstream's package with the archive made by the binary."""

        def _make(self):
            later = _Later(self, upstream)
            return later if _nobody_asks(self) else later.archive()

        @property
        def _blob(self):
            value = vars(self).get("_blob")
            if isinstance(value, _Later):
                value = vars(self)["_blob"] = value.archive()
            return value

        @_blob.setter
        def _blob(self, value):
            vars(self)["_blob"] = value

    Package.__name__, Package.__qualname__ = upstream.__name__, upstream.__qualname__
    Package.__module__ = upstream.__module__
    return Package


def _nobody_asks(package):
    """Whether all decorators are upstream's, and none of them sends code anywhere.

    Else the package is made at once, so that it has the code with which the run began.
    """
    flow = package._flow
    decorators = [deco for step in flow or () for deco in step.decorators]
    decorators += [deco for decos in getattr(flow, "_flow_decorators", {}).values() for deco in decos]
    return all(type(d).__module__.startswith("metaflow.plugins.") and not hasattr(d, "package_url") for d in decorators)


class _Later:
    """A list of members, and the archive once somebody wants it."""

    def __init__(self, package, upstream):
        self._lock = threading.Lock()
        self._archive = None
        self._binary = package._ferroflow_binary
        self._upstream = lambda: upstream._make(package)
        self._request, self._libraries = _request(package, upstream)

    def archive(self):
        with self._lock:
            if self._archive is None:
                self._archive = self._make()
            return self._archive

    def _make(self):
        if self._request is None:
            return self._upstream()
        modules = bytecode.dated(self._libraries)
        try:
            made = _pack(self._binary, self._request)
        except OSError as error:
            return self._without_binary(str(error))
        explanation = made.stderr.decode("utf-8", "replace").strip()
        if made.returncode == EXPLAINED and explanation:
            raise _failed(explanation)
        if made.returncode == NO_FOLDER and explanation:
            return self._without_binary(explanation.splitlines()[0])
        if made.returncode != 0:
            return self._without_binary("%s %s" % (self._binary, describe_status(made.returncode)))
        return Archive.opened(json.loads(made.stdout.decode("utf-8")), modules)

    def _without_binary(self, why):
        """With a full disk, say, or a binary of another version."""
        if is_required():
            raise _failed("%s. FERROFLOW=require forbids to let Metaflow make the code package." % why)
        return self._upstream()


def _failed(text):
    from metaflow.exception import MetaflowException

    class PackagingFailed(MetaflowException):
        headline = "The code package could not be made"

    return PackagingFailed(text)


def _pack(binary, request):
    return subprocess.run([binary, "package"], input=request, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _request(package, upstream):
    """What `ferroflow package` reads, or None for packages that it cannot make; and which modules of Metaflow are in it."""
    from metaflow.packaging_sys.tar_backend import TarPackagingBackend

    if package._backend is not TarPackagingBackend:
        return None, []
    recorder = _Recorder()
    upstream._make(_View(package, recorder))
    try:
        return json.dumps({"members": recorder.members}, ensure_ascii=False).encode("utf-8"), bytecode.libraries(recorder.members)
    except UnicodeEncodeError:
        return None, []  # the name of a file is not text


class _View:
    """A package as upstream's `_make` shall see it: with another backend."""

    def __init__(self, package, recorder):
        self._package = package
        self._backend = lambda: recorder

    def __getattr__(self, name):
        return getattr(self._package, name)


class _Recorder:
    """A packaging backend that notes what it is given (names as `TarFile.gettarinfo` makes them)."""

    def __init__(self):
        self.members = []
        self._folder = os.getcwd()

    def create(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        pass

    def add_file(self, filename, arcname=None):
        name = (filename if arcname is None else arcname).lstrip("/")
        self.members.append({"name": name, "path": os.path.join(self._folder, filename)})

    def add_data(self, data, arcname):
        self.members.append({"name": arcname, "data": data.getvalue().hex()})

    def get_blob(self):
        return None


class Archive(mmap.mmap):
    """A finished package: a file, read as it is needed, which stays whole when its name is removed."""

    @classmethod
    def opened(cls, facts, modules=()):
        file = open(facts["path"], "rb")
        self = cls(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.file, self.facts, self.modules = file, facts, modules
        return self

    def save(self, ca_store):
        """As `ContentAddressedStore.save_blobs` saves raw blobs, without having the bytes in memory."""
        store, sha1 = ca_store._storage_impl, self.facts["sha1"]
        path = store.path_join(ca_store._prefix, sha1[:2], sha1)
        if not store.is_file([path])[0]:
            self._verify()
            # S3.put closes it.
            with contextlib.closing(self._reader()) as file:
                store.save_bytes(iter([(path, (file, {"cas_raw": True, "cas_version": 1}))]), overwrite=True, len_hint=1)
        return store.full_uri(path), sha1

    def _reader(self):
        file = os.fdopen(os.dup(self.file.fileno()), "rb")
        file.seek(0)
        return file

    def _verify(self):
        """What is stored under an address stays there, so a damaged file of the cache must not get there."""
        sha1 = hashlib.sha1()
        with self._reader() as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                sha1.update(chunk)
        if sha1.hexdigest() != self.facts["sha1"]:
            with contextlib.suppress(OSError):
                os.unlink(self.facts["path"])
            raise _failed("%s was damaged and has been removed: start the run again." % self.facts["path"])


def _stream_uploads():
    """Lets `FlowDataStore.save_data` upload our archives from their files. All decorators that upload come to it."""
    from metaflow.datastore.flow_datastore import FlowDataStore

    upstream = FlowDataStore.save_data
    if getattr(upstream, "__module__", None) == __name__:
        return

    def save_data(self, data_iter, len_hint=0):
        ca_store = getattr(self, "ca_store", None)
        ours = isinstance(data_iter, list) and len(data_iter) == 1 and isinstance(data_iter[0], Archive)
        if ours and hasattr(ca_store, "_storage_impl") and hasattr(ca_store, "_prefix"):
            return [data_iter[0].save(ca_store)]
        return upstream(self, data_iter, len_hint=len_hint)

    FlowDataStore.save_data = save_data
