"""The process that decodes pictures: a chunk of files or of encoded pictures in, facts as JSON and bare pixels out.

    python -m legato.data.decoding_process FILE

A question is two lengths, JSON and bytes: the form that pictures take, whether they are hashed, and paths (of a part of a file
with its place and length), or the lengths of pictures that follow as bytes. An answer is JSON alone, and the length of the
pixels, which lie in FILE: the number of an open one, without a name, that both sides map. Through a pipe they would be copied
twice, and each wait for the other. Nothing is unpickled on either side. The process ends when stdin does, which the kernel
closes however its parent ends.

Covered: each file is read once, hashed and decoded. Not covered: who asks (`decoders`). No torch, no Arrow: it starts in 0.2
seconds.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import struct
import sys
from contextlib import suppress
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np

from legato.data.fingerprint import UNREADABLE, digest_bytes, digest_file
from legato.data.pictures import Examined, Payload, PictureForm, Piece, examine, pillow_warnings

HEAD = struct.Struct("<QQ")  # the lengths of the JSON and of the bytes
LARGE = 2**24  # bytes of a file that is not held in memory whole: it is hashed and decoded as it lies


class Hold:
    """A file that is mapped, and made longer as needed."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._map = mmap.mmap(number, os.fstat(number).st_size)

    def put(self, pixels: np.ndarray, at: int) -> None:
        """Pixels in C order, whatever order Pillow has them in, so many bytes from the start."""
        if at + pixels.nbytes > len(self._map):
            size = max(at + pixels.nbytes, 2 * len(self._map))
            self._map.close()
            os.ftruncate(self._number, size)
            self._map = mmap.mmap(self._number, size)
        np.ndarray(pixels.shape, np.uint8, self._map, at)[...] = pixels


def answer(question: dict[str, Any], content: memoryview, hold: Hold) -> tuple[list[Any], int]:
    """What is known of the pictures, and how many bytes of pixels were put into `hold`.

    Of pictures in a row that are alike, how many they are and what they are: small ones are soon decoded, and to say of each
    what was said of the one before would take a tenth of that. Then the hashes, each in hexadecimal.
    """
    form, at = PictureForm(*question["form"]), 0
    runs: list[list[Any]] = []
    digests: list[str] = []
    for payload in map(_place, question["paths"]) if question["paths"] else _cut(content, question["lengths"]):
        digest, found = _read(payload, form, question["hashed"])
        shape = None
        if found.picture is not None:
            pixels = found.picture.pixels
            hold.put(pixels, at)
            shape, at = pixels.shape, at + pixels.nbytes
        facts = (found.header, found.ranged, found.picture and found.picture.remarks, found.reason, shape)
        if runs and runs[-1][1] == facts:
            runs[-1][0] += 1
        else:
            runs.append([1, facts])
        digests.append(digest.hex())
    return [runs, " ".join(digests)], at


def _place(said: Any) -> Payload:
    """A file's path, or where a picture lies in one."""
    return said if isinstance(said, str) else Piece(*said)


def _cut(content: memoryview, lengths: list[int]) -> list[Payload]:
    ends = np.cumsum([0, *lengths]).tolist()
    return [bytes(content[start:end]) for start, end in pairwise(ends)]


def _read(payload: Payload, form: PictureForm, hashed: bool) -> tuple[bytes, Examined]:
    """The hash of a file, empty where none is asked for, and what is in it."""
    if not isinstance(payload, str):
        return b"", examine(payload, form)
    try:
        content = _whole(payload)
    except OSError:
        return UNREADABLE if hashed else b"", examine(payload, form)
    if content is None:
        return digest_file(payload) if hashed else b"", examine(payload, form)
    found = examine(content, form)
    if found.picture is None:  # a file may be told of in other words than its bytes
        found = examine(payload, form)
    return digest_bytes(content) if hashed else b"", found


def _whole(path: str) -> bytes | None:
    """A file's bytes, or None where they are many. (As `open` reads them it takes twice as long, 4 % of a small picture's.)"""
    handle = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(handle).st_size
        if size > LARGE:
            return None
        content = os.read(handle, size + 1)
        while more := os.read(handle, LARGE) if len(content) != size else b"":  # a read may end early, and a file may grow
            content += more
        return content
    finally:
        os.close(handle)


def serve(source: BinaryIO, output: BinaryIO, hold: Hold) -> None:
    """Answers until nobody asks."""
    while len(head := source.read(HEAD.size)) == HEAD.size:
        length, size = HEAD.unpack(head)
        question, content = source.read(length), source.read(size)
        if len(question) < length or len(content) < size:  # who asked has gone
            return
        known, filled = answer(json.loads(question), memoryview(content), hold)
        said = json.dumps(known).encode()
        output.write(HEAD.pack(len(said), filled) + said)
        output.flush()


def main(number: int) -> None:
    """Serves on copies of stdin and stdout: what others print goes where nobody reads it as an answer."""
    # To end by a signal is nothing unusual: no file of a core.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with pillow_warnings():
        serve(source, output, Hold(number))


if __name__ == "__main__":
    with suppress(BrokenPipeError, KeyboardInterrupt):
        main(int(sys.argv[1]))
    os._exit(0)  # what was half sent is of no use
