"""Tensors on disk: safetensors files that carry a checksum, verified whenever one is read. Nothing is ever unpickled.

The checksum is BLAKE2b of the header (names, types, shapes, as sorted JSON) and of all the bytes after it, kept in the header's
own `__metadata__`: one file, still plain safetensors. It tells damage, not who wrote the file: whoever can change a file can
change its checksum too. Covered: files of any origin, refused in one line. Not covered: what tensors mean.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypedDict

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from legato.errors import Mistake
from legato.files import opened, parse, whole_file
from legato.schema import Within, fault

log = logging.getLogger(__name__)
LENGTH = struct.Struct("<Q")  # of the header, at the file's start: little-endian on any machine, as the format says
MOST_HEADER = 100_000_000  # bytes: safetensors' own limit
CHECKSUM, METADATA = "checksum", "__metadata__"
AGAIN = "restore it, train the run again, or --resume it"
Header = dict[str, Any]


class Entry(TypedDict):
    """The entry of one tensor in the header."""

    dtype: str
    shape: Annotated[list[Annotated[int, Within(0, 2**53)]], Within(0, 64)]
    data_offsets: Annotated[list[Annotated[int, Within(0, 2**60)]], Within(2, 2)]


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors to a safetensors file with its checksum, whole or not at all; returns the bytes written."""
    content = encoded(tensors)
    with whole_file(path) as file:
        file.write(content)
    return content


def encoded(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as the bytes of a safetensors file with its checksum."""
    plain = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})  # safetensors takes no views
    start = LENGTH.size + LENGTH.unpack_from(plain)[0]
    header, data = json.loads(plain[LENGTH.size : start]), memoryview(plain)[start:]  # a view: weights are not copied once more
    text = json.dumps({METADATA: {CHECKSUM: _checksum(header, data)}, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data lie aligned
    return b"".join((LENGTH.pack(len(text)), text, data))


def read_tensors(path: Path, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Tensors from a safetensors file: with the names and shapes of `like`, looked at before any are read.

    Raises `Mistake` where the file is missing, none, of another model, or not what was written. A file without a checksum,
    from before they were kept, is read, and that is logged.
    """
    _refuse_missing(path)
    with opened(path) as file:
        return _decoded(file, os.fstat(file.fileno()).st_size, path, like)


def read_plain(path: Path, remedy: str) -> dict[str, Tensor]:
    """Tensors from a safetensors file that another program wrote, without a checksum. Raises `Mistake` where it is none."""
    if not os.path.lexists(path):
        raise Mistake(f"`{path}` is missing: {remedy}")
    with opened(path) as file:
        _header(file, os.fstat(file.fileno()).st_size, path, remedy)
        file.seek(0)
        content = file.read()
    try:
        return load(content)
    except SafetensorError as error:
        raise _broken(path, str(error), remedy) from None


def decoded(content: bytes, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The inverse of `encoded`, with the same refusals as `read_tensors`."""
    return _decoded(BytesIO(content), len(content), Path("the pickled state"), like)


def _decoded(file: BinaryIO, size: int, path: Path, like: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    header, start = _header(file, size, path)
    _refuse_unlike(path, header, like)
    file.seek(0)
    content = file.read()
    expected, data = _said(header, path), memoryview(content)[start:]
    if expected is not None and _checksum(header, data) != expected:
        raise _broken(path, "its checksum says that it is not what was written")
    try:
        return load(content)
    except SafetensorError as error:
        raise _broken(path, str(error)) from None


def check_fits(path: Path, like: Mapping[str, Tensor]) -> None:
    """Looks at the names and shapes alone. Raises `Mistake` where they are others, or the file is missing or none."""
    _refuse_missing(path)
    with opened(path) as file:
        _refuse_unlike(path, _header(file, os.fstat(file.fileno()).st_size, path)[0], like)


def _refuse_missing(path: Path) -> None:
    if not os.path.lexists(path):
        raise Mistake(f"`{path}` is missing: train the run (further) first")


def _refuse_unlike(path: Path, header: Header, like: Mapping[str, Tensor] | None) -> None:
    if like is not None and (why := _unlike(header, like)):
        raise Mistake(f"`{path}` does not fit the recipe that lies beside it: {why}")


def _header(file: BinaryIO, size: int, path: Path, remedy: str = AGAIN) -> tuple[Header, int]:
    """The header and where the data start. Raises `Mistake` where the file's size is not what the header comes to."""
    lead = file.read(LENGTH.size)
    length = LENGTH.unpack(lead)[0] if len(lead) == LENGTH.size else size
    if length > min(MOST_HEADER, size - LENGTH.size):  # before so much is read: a damaged length may be any
        raise _broken(path, "it has no header", remedy)
    try:
        header = parse(file.read(length), "its header")
    except Mistake as error:
        raise _broken(path, str(error).partition(";")[0], remedy) from None
    why = fault(dict[str, Any], header) or fault(dict[str, Entry], {name: header[name] for name in header if name != METADATA})
    ends = [0] if why else [entry["data_offsets"][1] for name, entry in header.items() if name != METADATA]
    if why or LENGTH.size + length + max(ends, default=0) != size:
        raise _broken(path, why or "it was cut short, or something was added to it", remedy)
    return header, LENGTH.size + length


def _said(header: Header, path: Path) -> str | None:
    """The checksum that a file carries; None, logged, for one from before there were any. It leaves the header."""
    if METADATA not in header:
        _log_lacking(path.parent)
        return None
    metadata = header.pop(METADATA)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(CHECKSUM), str):
        raise _broken(path, "its header has lost the checksum")
    return str(metadata[CHECKSUM])


def _unlike(header: Header, like: Mapping[str, Tensor]) -> str | None:
    names = header.keys() - {METADATA}
    for name in sorted(like.keys() ^ names):
        return f"`{name}` is {'not in it' if name in like else 'no part of the model'}"
    for name, tensor in like.items():
        shape, real = tuple(header[name]["shape"]), header[name]["dtype"].startswith(("F", "BF"))
        if shape != tuple(tensor.shape):
            return f"`{name}` has the shape {shape}, expected {tuple(tensor.shape)}"
        if real != tensor.is_floating_point():
            return f"`{name}` holds {header[name]['dtype']}, expected {tensor.dtype}"
    return None


def _checksum(header: Header, data: memoryview) -> str:
    digest = hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16)
    digest.update(data)
    return digest.hexdigest()


def _broken(path: Path, why: str, remedy: str = AGAIN) -> Mistake:
    return Mistake(f"`{path}` is no whole safetensors file ({why}): {remedy}")


@cache  # each folder is told of once
def _log_lacking(folder: Path) -> None:
    log.warning("`%s` holds weights without a checksum, from before they carried one: damage would not be noticed", folder)
