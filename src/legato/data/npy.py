"""One .npy file as a memory map, and what a damaged one or a damaged archive of them is told by.

Covered: every failure of NumPy's and zipfile's readers, as one line. Not covered: which arrays are rows (`numpy_files`).
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np

from legato.errors import Mistake

# What reading broken bytes raises in zipfile, in its four decompressors, and in NumPy, which parses a header as Python.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError, TypeError,
    SyntaxError, TokenError, OverflowError, MemoryError, LookupError, AttributeError,
)  # fmt: skip


def map_npy(path: Path, name: str) -> np.ndarray:
    """The array of a .npy file, mapped. Raises `Mistake` where it is broken, or holds pickled objects."""
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except DAMAGED as error:
        if "bject" in str(error) or "pickle" in str(error):
            why = "it holds pickled Python objects, which are never loaded: save an array of numbers"
        else:
            why = f"it is broken or cut short ({one_line(error)}): write it again"
        raise Mistake(f"`{name}` cannot be read: {why}") from error


def one_line(error: BaseException) -> str:
    """The words of an error, on one line of a length to be read."""
    return " ".join(str(error).split())[:200] or type(error).__name__
