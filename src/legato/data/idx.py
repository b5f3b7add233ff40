"""IDX files, the format MNIST came in: a header of sizes, then the values, big-endian; gzipped or not.

Covered: reading all six value types as memory maps. Not covered: which files belong together (`pairs`); writing.
"""

from __future__ import annotations

import gzip
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from legato.data.writer import writing
from legato.errors import Mistake

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
BROKEN = (EOFError, gzip.BadGzipFile, zlib.error)


def read_map(path: Path, scratch: Callable[[], Path]) -> np.ndarray:
    """The values of an IDX file, memory-mapped; one that is gzipped is first written out to `scratch()`.

    Raises `Mistake` where the file is cut short, too long, empty, or no IDX file.
    """
    plain = _unpacked(path, scratch()) if is_packed(path) else path
    with open(plain, "rb") as file:
        dtype, shape = _header(file.read(4 + 4 * 255), path)
    start, wanted = 4 + 4 * len(shape), dtype.itemsize * int(np.prod(shape))
    held = plain.stat().st_size - start
    if held != wanted:
        raise Mistake(
            f"`{path}` is {'shorter' if held < wanted else 'longer'} than its header says: {held} bytes of values where "
            f"the shape {shape} takes {wanted}; fetch the file again"
        )
    # The map of no bytes is an error in itself; an empty array lets the shape be refused with a sentence.
    return np.memmap(plain, dtype, "r", offset=start, shape=shape) if wanted else np.empty(shape, dtype)


def read_array(path: Path) -> np.ndarray:
    """The values of a small IDX file, such as labels, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        return np.array(read_map(path, lambda: Path(folder) / "values"))


def is_packed(path: Path) -> bool:
    """Whether a file starts as gzip files do."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def is_idx(path: Path) -> bool:
    """Whether a file, gzipped or not, starts as IDX files do; a broken gzip file passes, and is refused on reading."""
    packed = is_packed(path)
    try:
        with gzip.open(path, "rb") if packed else open(path, "rb") as file:
            start = file.read(4)
    except BROKEN:
        return True
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in TYPES


def _header(start: bytes, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in TYPES or len(start) < 4 + 4 * start[3]:
        raise Mistake(f"`{path}` is no IDX file, or is cut short within its header: fetch the file again")
    return np.dtype(TYPES[start[2]]), struct.unpack(f">{start[3]}I", start[4 : 4 + 4 * start[3]])


def _unpacked(path: Path, target: Path) -> Path:
    with gzip.open(path, "rb") as packed, writing(target.parent), open(target, "wb") as plain:
        while block := _next_block(packed, path):
            plain.write(block)
    return target


def _next_block(packed: gzip.GzipFile, path: Path) -> bytes:
    try:
        return packed.read(2**20)
    except BROKEN as error:
        raise Mistake(f"`{path}` is a broken gzip file ({error}): fetch the file again") from error
