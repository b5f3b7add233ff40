"""The name of a source in the store: a hash of its bytes and of how they are prepared.

Covered: hashing files in parallel, and a memo so that an unchanged folder is not read again at each open.
Not covered: where a source lies. A copy in another place has the same fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np

from legato.data import memo
from legato.data.parallel import ordered

VERSION = 1  # of everything between a source's bytes and the stored rows; raise it when either changes
UNREADABLE = b"unreadable"
RACY = 2.0  # seconds: a file younger than this may change again without its time stamp changing


def fingerprint(reader: str, content: str, preparation: dict[str, object]) -> str:
    """40 hex digits for content prepared in one way by one reader."""
    # in order: two dictionaries of the same options are one
    said = json.dumps([VERSION, reader, content, preparation], sort_keys=True)
    return hashlib.blake2b(said.encode(), digest_size=20).hexdigest()


def digest_array(array: np.ndarray) -> str:
    """Hash of an array's shape, type and values, in blocks (a hash of the whole would copy what is not contiguous)."""
    total = hashlib.blake2b(f"{array.shape} {array.dtype.str}".encode(), digest_size=20)
    # 16 MB at a time: one copy of a block, where a copy of the whole might not fit
    step = max(1, 2**24 // max(1, array[:1].nbytes)) if array.ndim else 1
    for start in range(0, len(array), step):
        total.update(np.ascontiguousarray(array[start : start + step]).view(np.uint8).data)
    return total.hexdigest()


class Digest:
    """The hash of many files, from the name and the hash of each in turn."""

    def __init__(self) -> None:
        self._total = hashlib.blake2b(digest_size=20)

    def add(self, names: Iterable[str], digests: Iterable[bytes]) -> None:
        """The next files."""
        # The names are hashed too: labels come from them, and a renamed folder is another source.
        pairs = zip(names, digests, strict=True)
        while some := list(islice(pairs, 64)):
            # names are bytes, and need not be UTF-8
            self._total.update(b"".join(b"%b\0%b" % (name.encode(errors="surrogateescape"), digest) for name, digest in some))

    def hexdigest(self) -> str:
        """The hash so far."""
        return self._total.hexdigest()


@dataclass(frozen=True)
class Untouched:
    """Files as they lie, found before any byte is read: a change meanwhile gives another signature next time."""

    signature: str
    newest: float  # seconds

    @property
    def digest(self) -> str | None:
        """Their hash, where it is remembered."""
        known = memo.recall(self.signature)
        return None if known is None else str(known["content"])

    def remember(self, digest: str) -> None:
        """Keeps their hash until one of them is touched."""
        if time.time() - self.newest > RACY:  # else a change in the same tick would go unnoticed for ever
            memo.remember(self.signature, {"content": digest})


def untouched(names: Sequence[str], path: Callable[[str], str]) -> Untouched:
    """The files `names`, found at `path(name)`."""
    return Untouched(*_signature(names, path))


def digest_files(names: Sequence[str], path: Callable[[str], str]) -> str:
    """Hash of the names and bytes of files, found at `path(name)`; remembered while none of them is touched."""
    files = untouched(names, path)
    return files.digest or digest_read(names, path, files)


def digest_read(names: Sequence[str], path: Callable[[str], str], files: Untouched) -> str:
    """Hash of the names and bytes of files, all of them read."""
    total = Digest()
    total.add(names, ordered(lambda name: digest_file(path(name)), names))
    files.remember(total.hexdigest())
    return total.hexdigest()


class Later:
    """The hash of files, which may be worked out beside other work; `known` where it is remembered."""

    def __init__(self, names: Sequence[str], path: Callable[[str], str]) -> None:
        self._names, self._path = names, path
        self.files = untouched(names, path)
        self.known = self.files.digest
        self._stopped = threading.Event()
        self._found: Future[str] | None = None

    def result(self) -> str:
        """The hash, as soon as it is there."""
        if self.known is None:
            self.known = self._found.result() if self._found else digest_read(self._names, self._path, self.files)
        return self.known

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Works it out while the block goes on. Whoever leaves that by an error does not wait for it."""
        if self.known is not None:
            yield
            return
        with ThreadPoolExecutor(1) as pool:
            self._found = pool.submit(self._read)
            try:
                yield
                self.result()
            finally:
                self._found = None
                self._stopped.set()

    def _read(self) -> str:
        total = Digest()
        total.add(self._names, (self._digest(self._path(name)) for name in self._names))
        self.files.remember(total.hexdigest())
        return total.hexdigest()

    def _digest(self, path: str) -> bytes:
        """As `digest_file`, a megabyte at a time: a file may have gigabytes, and nobody may ask any more."""
        total = hashlib.blake2b(digest_size=20)
        try:
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    if self._stopped.is_set():
                        raise InterruptedError
                    total.update(block)
        except InterruptedError:
            raise
        except OSError:
            return UNREADABLE
        return total.digest()


def digest_bytes(content: bytes) -> bytes:
    """Hash of one file that was read."""
    return hashlib.blake2b(content, digest_size=20).digest()


def _signature(names: Sequence[str], path: Callable[[str], str]) -> tuple[str, float]:
    """Hash of where the files lie, their sizes and times; and the newest time, in seconds."""
    total, newest = hashlib.blake2b(digest_size=20), 0
    known: dict[str, str] = {}
    for name in names:
        place = _absolute(path(name), known)
        try:
            stat = os.stat(place)
        except OSError:  # gone or forbidden: it will be reported when it is read
            continue
        # The change time too: a copy that keeps the modification time would otherwise pass for the old file.
        newest = max(newest, stat.st_mtime_ns, stat.st_ctime_ns)
        said = f"{name}\0{place}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\n"
        total.update(said.encode(errors="surrogateescape"))
    return total.hexdigest(), newest / 1e9


def _absolute(place: str, known: dict[str, str]) -> str:
    """`os.path.abspath`, asked once for each folder: of a million files it would take seconds."""
    folder, _, last = place.rpartition("/")
    if len(folder) < 2 or last in ("", ".", ".."):
        return os.path.abspath(place)
    if folder not in known:
        known[folder] = os.path.join(os.path.abspath(folder), "")
    return f"{known[folder]}{last}"


def digest_file(path: str) -> bytes:
    """Hash of one file."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).digest()
    except OSError:
        # A digest all the same: once the file can be read its digest is another, and the entry is built anew.
        return UNREADABLE
