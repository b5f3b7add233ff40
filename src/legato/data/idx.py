"""IDX files, the format MNIST came in: a header of sizes, then the values, big-endian; gzipped or not.

Covered: reading all six value types as memory maps. Not covered: which files belong together (`pairs`); writing.
"""

from __future__ import annotations

import gzip
import math
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
HEADER = 4 + 4 * 255  # one byte counts the axes, so that no header is longer
MOST_AXES = 8


def read_map(path: Path, scratch: Callable[[], Path], reserve: Callable[[int], None] = lambda size: None) -> np.ndarray:
    """The values of an IDX file, memory-mapped; one that is gzipped is first written out to `scratch()`, as much as it says.

    `reserve` is asked for the bytes of that. Raises `Mistake` where the file is cut short, too long, empty, or no IDX file.
    """
    dtype, shape = header(path)
    start, wanted = 4 + 4 * len(shape), dtype.itemsize * math.prod(shape)
    packed = is_packed(path)
    if packed:
        reserve(start + wanted)
    plain = _unpacked(path, scratch(), start + wanted) if packed else path
    held = plain.stat().st_size - start
    if held != wanted:
        how, more = ("shorter", "") if held < wanted else ("longer", " or more" if packed else "")
        raise Mistake(
            f"`{path}` is {how} than its header says: {held}{more} bytes of values where "
            f"the shape {shape} takes {wanted}; fetch the file again"
        )
    # The map of no bytes is an error in itself; an empty array lets the shape be refused with a sentence.
    return np.memmap(plain, dtype, "r", offset=start, shape=shape) if wanted else np.empty(shape, dtype)


def read_array(path: Path) -> np.ndarray:
    """The values of a small IDX file, such as labels, in memory. (How many they are, its `header` says.)"""
    with tempfile.TemporaryDirectory() as folder:
        return np.array(read_map(path, lambda: Path(folder) / "values"))  # a copy, for the file goes


def header(path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    """The type and shape that a file, gzipped or not, says it holds. Raises `Mistake`."""
    if not is_packed(path):
        with open(path, "rb") as file:
            return _header(file.read(HEADER), path)
    with gzip.open(path, "rb") as packed:
        return _header(_next_block(packed, HEADER, path), path)


def is_packed(path: Path) -> bool:
    """True for a file that starts as gzip files do."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def is_idx(path: Path) -> bool:
    """True for a file, gzipped or not, that starts as IDX files do; a broken gzip file passes, and is refused on reading."""
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
    if start[3] > MOST_AXES:
        raise Mistake(f"`{path}` says that it has {start[3]} axes: rows have at most 4; fetch the file again")
    return np.dtype(TYPES[start[2]]), struct.unpack(f">{start[3]}I", start[4 : 4 + 4 * start[3]])


def _unpacked(path: Path, target: Path, size: int) -> Path:
    """Writes out what the header says and one byte more: enough to see that there is more, however much more there is."""
    with writing(target.parent):
        plain = open(target, "wb")  # noqa: SIM115 (what fails in reading must not be told as a full disk)
    with plain, gzip.open(path, "rb") as packed:
        left = size + 1
        while left and (block := _next_block(packed, min(left, 2**20), path)):
            with writing(target.parent):
                plain.write(block)
            left -= len(block)
    return target


def _next_block(packed: gzip.GzipFile, size: int, path: Path) -> bytes:
    try:
        return packed.read(size)
    except BROKEN as error:
        raise Mistake(f"`{path}` is a broken gzip file ({error}): fetch the file again") from error
