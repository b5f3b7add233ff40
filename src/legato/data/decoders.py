"""Decoders: processes that decode pictures (`decoding_process`), a chunk each at a time, with results in order.

Threads would hold each other up: half of the time that a small picture takes is Python's. The processes import neither a
person's script nor torch, are started as modules of their own, and end with this process however that ends.

Covered: a bounded number of pictures under way; a picture that ends its decoder, which becomes a problem while all others are
kept. Not covered: what becomes of the pixels (`picture_rows`).
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import queue
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from threading import BoundedSemaphore
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import numpy as np

from legato.data.decoding_process import HEAD
from legato.data.fingerprint import digest_file
from legato.data.journal import Ended
from legato.data.parallel import ordered, workers
from legato.data.pictures import Header, Payload, PictureForm, Piece

# Pictures from which on processes are worth their start, 0.15 seconds each: so many small ones take 0.7 seconds of one core.
MANY = 4_000
EACH = 64  # pictures of a chunk: what a question costs is little beside them
PIXELS = 2**20  # bytes of a chunk's pixels: three chunks for each process are held

OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
PIPE = 2**20  # bytes of a pipe, where the system allows it: who hands over encoded pictures need not wait for their reader

Item = tuple[str, Payload]  # an id, and where its picture is


class Run(NamedTuple):
    """Pictures in a row that are alike: the header's facts, remarks, pixels (B, C, H, W) or why there are none."""

    ids: Sequence[str]
    header: Header | None
    ranged: bool
    remarks: tuple[str, ...]
    reason: str
    pixels: np.ndarray | None


class Results(NamedTuple):
    """Some pictures, and the hash of each one's file if it was asked for."""

    runs: list[Run]
    digests: str = ""  # in hexadecimal, words apart

    @property
    def number(self) -> int:
        """How many pictures."""
        return sum(len(run.ids) for run in self.runs)


class Died(Exception):
    """A decoder ended while it was asked; the argument is its exit code."""


class Decoder:
    """One process."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[2])  # this very package, whatever else is installed
        self._shared = _unnamed()
        self._shared.truncate(PIXELS)
        self._map: mmap.mmap | None = None
        self._process = subprocess.Popen(
            # -P: what lies in the working folder is taken for no module of ours.
            [sys.executable, "-P", "-m", "legato.data.decoding_process", str(self._shared.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]),
                "OPENBLAS_NUM_THREADS": "1",  # nothing is multiplied, and each thread would hold memory
            },
            pass_fds=[self._shared.fileno()],
            start_new_session=True,  # Ctrl-C is for its parent, whose end closes its pipes
        )
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        with suppress(OSError, AttributeError):  # a person may have used up what the system allows; elsewhere there is none
            fcntl.fcntl(self._input, fcntl.F_SETPIPE_SZ, PIPE)

    def asked(self, question: dict[str, Any], contents: Sequence[bytes]) -> tuple[list[Any], np.ndarray]:
        """The answer to a question. Raises `Died`."""
        said = json.dumps(question).encode()
        try:
            self._input.write(b"".join([HEAD.pack(len(said), sum(map(len, contents))), said, *contents]))
            self._input.flush()
        except BrokenPipeError:
            raise Died(self._process.wait()) from None
        head = self._output.read(HEAD.size)
        if len(head) < HEAD.size:
            raise Died(self._process.wait())
        length, size = HEAD.unpack(head)
        known = self._output.read(length)
        if len(known) < length:
            raise Died(self._process.wait())
        return json.loads(known), self._copied(size)

    def _copied(self, size: int) -> np.ndarray:
        """The pixels of an answer, which the next one overwrites."""
        if not size:
            return np.empty(0, np.uint8)
        if self._map is None or size > len(self._map):
            # all that there is: the next answers may be larger
            self._map = mmap.mmap(self._shared.fileno(), 0, access=mmap.ACCESS_READ)
        return np.array(np.frombuffer(self._map, np.uint8, size))

    def end(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()  # else it would stay a zombie
        for stream in (self._input, self._output, self._shared):
            with suppress(OSError):  # a question that nobody heard
                stream.close()


_begun: list[Decoder] = []


@contextmanager
def begun() -> Iterator[None]:
    """Starts processes for whoever decodes within the block: they import while it is found out what there is to decode."""
    try:
        _begun.extend(Decoder() for _ in range(workers()))
        yield
    finally:
        while _begun:
            _begun.pop().end()


def _started() -> Decoder:
    try:
        return _begun.pop()
    except IndexError:
        return Decoder()


class Decoders:
    """As many as there are cores, started when they are needed, ended with the block."""

    def __init__(self, form: PictureForm, *, hashed: bool = False) -> None:
        self._form, self._hashed = form, hashed
        self._idle: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
        self._free = BoundedSemaphore(workers())  # several may ask for results at a time

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().end()

    def results(self, items: Iterable[Item], size: int) -> Generator[Results, None, None]:
        """The results of items in their order, some at a time; `size` is what the pixels of one take, about."""
        chunks = _chunks(items, max(1, min(EACH, PIXELS // max(1, size))))
        with closing(ordered(self._decoded, chunks, each=1)) as found:
            yield from found

    def _decoded(self, chunk: list[Item]) -> Results:
        try:
            return self._asked(chunk)
        except Died as died:
            if len(chunk) > 1:  # one of them, and the others are well
                each = [self._decoded([item]) for item in chunk]
                return Results([run for one in each for run in one.runs], " ".join(one.digests for one in each))
            return self._guilty(chunk[0], died.args[0])

    def _asked(self, chunk: list[Item]) -> Results:
        paths = [payload for _, payload in chunk if isinstance(payload, str | Piece)]
        contents = [payload for _, payload in chunk if isinstance(payload, bytes)]
        question = {"form": astuple(self._form), "hashed": self._hashed, "paths": paths, "lengths": list(map(len, contents))}
        with self._free:
            try:
                decoder = self._idle.get_nowait()
            except queue.Empty:
                decoder = _started()
            try:
                known, pixels = decoder.asked(question, contents)
            except BaseException:  # also where it is interrupted: what it would say next is of no use
                decoder.end()
                raise
            self._idle.put(decoder)
        return _results(chunk, known, pixels)

    def _guilty(self, item: Item, code: int) -> Results:
        id, payload = item
        if code >= 0 or -code in OUTSIDE:  # not the picture: it may be well, and must not be left out
            how = f"ended with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
            raise Ended(
                f"a process that decodes pictures {how} at `{id}`, from outside or for want of memory: give the command again, "
                "it goes on from there"
            )
        digests = digest_file(payload).hex() if self._hashed and isinstance(payload, str) else ""
        return Results([Run([id], None, False, (), f"its decoder was ended by {signal.Signals(-code).name}", None)], digests)


def _results(chunk: list[Item], known: list[Any], pixels: np.ndarray) -> Results:
    runs, at, first = [], 0, 0
    for count, (header, ranged, remarks, reason, shape) in known[0]:
        block = None
        if shape is not None:
            size = count * shape[0] * shape[1] * shape[2]
            block = pixels[at : at + size].reshape(count, *shape)
            at += size
        facts = None if header is None else Header((header[0][0], header[0][1]), header[1])
        ids = [id for id, _ in chunk[first : first + count]]
        runs.append(Run(ids, facts, ranged, tuple(remarks or ()), reason, block))
        first += count
    return Results(runs, known[1])


def _unnamed() -> IO[bytes]:
    """A file in memory where the system has such, else in its folder for temporary ones."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("legato"), "w+b")
    return tempfile.TemporaryFile()


def _chunks(items: Iterable[Item], most: int) -> Iterator[list[Item]]:
    """Items of one sort, places or bytes, so many at a time, and fewer where their bytes are many."""
    left = iter(items)
    while chunk := list(islice(left, 1)):
        if isinstance(chunk[0][1], str | Piece):
            chunk += islice(left, most - 1)
        held = sum(len(item[1]) for item in chunk if isinstance(item[1], bytes))
        while 0 < held < PIXELS and len(chunk) < most and (item := next(left, None)):
            chunk.append(item)
            held += len(item[1])
        yield chunk
