"""Arrays as rows: which axis is what, which kind of values, and whether they can be read where they lie.

Covered: vectors (N, D), sequences (N, T, 1), grey pictures (N, H, W), pictures (N, H, W, C) or (N, C, H, W), any number type.
Not covered: opening files (`npz`, `idx`); they hand memory maps to `content` or `build`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from legato.data import memo, store
from legato.data.dataset import Content
from legato.data.fingerprint import fingerprint
from legato.data.options import DataOptions, Layout, Values
from legato.data.picture_rows import check_sides
from legato.data.picture_writer import write_pictures
from legato.data.rows import RowNumbers, blocks
from legato.data.writer import Writer
from legato.errors import Mistake
from legato.progress import progress
from legato.setting import Kind
from legato.types import Shape

SURVEY = "survey-2"  # the edition of the rule below, so that no memo of an older one is believed
MOST = {"binary": 1, "bytes": 255, "counts": 10**9}  # of counts: below, doubles hold log P to 10⁻⁵ nats
TAKES = {"binary": "0 and 1", "bytes": "whole numbers from 0 to 255", "counts": "whole numbers from 0 to a thousand million"}
EXACT = 2**24  # whole numbers up to here are float32 without loss
FEW = 4  # an axis of so few is the channels', whatever the others are: no picture is so narrow
SHAPES = "(N, D) vectors, (N, H, W) grey pictures, (N, H, W, C) or (N, C, H, W) pictures"


def as_rows(array: np.ndarray, layout: Layout, name: str) -> np.ndarray:
    """A view (N, D) or (N, C, H, W) of an array. Raises `Mistake` on other shapes and types."""
    if array.dtype.kind not in "biuf":
        raise Mistake(f"`{name}` holds {array.dtype} values: rows must be numbers (booleans, integers or floats)")
    if array.ndim not in (2, 3, 4):
        raise Mistake(f"`{name}` has the shape {array.shape}: expected {SHAPES}")
    if 0 in array.shape:
        raise Mistake(f"`{name}` has the shape {array.shape} and so no values: expected {SHAPES}")
    if array.ndim == 2:
        return array
    if array.ndim == 3 and 1 in array.shape[1:]:  # a sequence (N, T, 1) is a row of T numbers, no picture of width 1
        return array.reshape(len(array), -1)
    if array.ndim == 3:
        return array[:, None]
    return array.transpose(0, 3, 1, 2) if channels_last(array.shape, layout, name) else array


def channels_last(shape: Shape, layout: Layout, name: str) -> bool:
    """Told by an axis of at most `FEW`, else by the two sides that are equal. Raises `Mistake` where neither tells."""
    _, first, second, third = shape
    if layout != "auto":
        return layout == "NHWC"
    if first <= FEW or third <= FEW:
        return first > FEW
    if (first == second) != (second == third):
        return first == second
    raise Mistake(
        f"`{name}` has the shape {shape}, and it cannot be told which axis holds the channels: say --layout NHWC "
        f"({third} channels, last) or --layout NCHW ({first} channels, second)"
    )


def settled(options: DataOptions, shape: Shape, name: str) -> DataOptions:
    """The options with the layout that equal sides tell, so that it is part of the fingerprint. Raises `Mistake`.

    (Up to the first edition many channels were always taken to be second: what it stored under `auto` is so.)
    """
    many = len(shape) == 4 and 0 not in shape and shape[3] > FEW and channels_last(shape, options.layout, name)
    return replace(options, layout="NHWC") if many else options


def survey(parts: Sequence[np.ndarray], name: str, values: Values = "auto") -> tuple[Kind, np.dtype]:
    """The kind of values and the dtype they are kept in. Raises `Mistake` on NaN and infinity.

    What is only 0 and 1 is binary. Whole numbers of a byte are grey levels in pictures; in a table they are numbers like any
    other, so that a column has the same model whether it was stored as integers or as floats. `values` says otherwise.
    """
    low, high, whole = _range(parts, name)
    dtype = np.result_type(*parts)
    kind = _kind(parts[0].ndim, dtype, (low, high), whole) if values == "auto" else values
    if values == "counts" and parts[0].ndim > 2:
        raise Mistake(f"`{name}` holds pictures, and --values counts takes the rows of a table, (N, D): leave it out")
    if values in MOST and not (whole and low >= 0 and high <= MOST[values]):
        raise Mistake(
            f"`{name}` holds values from {low:g} to {high:g}{'' if whole else ', not all whole'}: --values {values} takes "
            f"{TAKES[values]}; leave it out, or give --values reals"
        )
    return kind, _kept(kind, dtype, parts[0].ndim, max(-low, high))


def _kind(ndim: int, dtype: np.dtype, extremes: tuple[float, float], whole: bool) -> Kind:
    low, high = extremes
    if whole and low >= 0 and high <= 1:
        return "binary"
    return "bytes" if ndim > 2 and dtype.kind in "iu" and low >= 0 and high <= 255 else "reals"


def _kept(kind: Kind, dtype: np.dtype, ndim: int, largest: float) -> np.dtype:
    """Digits are kept: a table's integers as they are, a picture's as floats only where those hold every one."""
    if dtype.kind == "b":
        return dtype
    if dtype.kind == "f":
        return (
            # Wider floats differ from machine to machine: stored rows must not.
            np.dtype(np.uint8) if kind == "bytes" else np.dtype(np.float64) if dtype.itemsize > 8 else dtype.newbyteorder("=")
        )
    if kind in ("binary", "bytes"):
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if ndim > 2 and largest <= EXACT else dtype.newbyteorder("=")  # torch knows no other order


def _range(parts: Sequence[np.ndarray], name: str) -> tuple[float, float, bool]:
    """Smallest and largest value, 0 among them, and whether all are whole. Raises `Mistake` on NaN and infinity."""
    low, high, whole, row, bad, first = 0.0, 0.0, True, 0, 0, -1
    bytes_only = np.result_type(*parts) == np.uint8
    for block in (block for part in parts for block in blocks(part)):
        gone = _no_numbers(block)
        bad, first = bad + int(gone.sum()), row + _first_row(gone) if first < 0 and gone.any() else first
        if not bad:  # NaN has no order: after the first, only how many there are is asked
            low, high = min(low, block.min().item()), max(high, block.max().item())
            # `x % 1 == 0` takes ten times as long
            whole = whole and (block.dtype.kind != "f" or bool((np.trunc(block) == block).all()))
        if bytes_only and high > 1:  # nothing further can change the answer
            return 0, 255, True
        row += len(block)
    if bad:
        raise Mistake(
            f"`{name}` holds {bad} values that are NaN or infinite{_wider(parts)}, first in row {first}: fill them in or leave "
            "the rows out"
        )
    return low, high, whole


def _wider(parts: Sequence[np.ndarray]) -> str:
    return " or beyond what 64 bits hold" if any(part.dtype.itemsize > 8 for part in parts) else ""


def _no_numbers(block: np.ndarray) -> np.ndarray:
    """Places where values are NaN, infinite, or beyond what 64 bits hold: wider floats are kept as such."""
    with np.errstate(over="ignore"):
        finite: np.ndarray = np.isfinite(block.astype(np.float64) if block.dtype.itemsize > 8 else block)
    return ~finite


def _first_row(gone: np.ndarray) -> int:
    return int(np.flatnonzero(gone.reshape(len(gone), -1).any(axis=1))[0])


def content(array: np.ndarray, name: str, digest: str, options: DataOptions) -> Content:
    """An array's rows: read in place where they lie as needed, else converted once into the store."""
    rows = as_rows(array, options.layout, name)
    options = settled(options, array.shape, name)
    key = fingerprint("array", digest, options.arrays())
    if pictured(rows, options):
        return store.entry(key, lambda writer: _finish(writer, rows, name, options))
    check_shape(rows, name)
    known = memo.recall(f"{SURVEY}-{key}")  # a pass over all values, spared where they are untouched
    kind, dtype = (known["kind"], np.dtype(known["dtype"])) if known else survey([rows], name, options.values)
    memo.remember(f"{SURVEY}-{key}", {"kind": kind, "dtype": dtype.str})
    if rows.dtype != dtype or not rows.flags.c_contiguous:
        return store.entry(key, lambda writer: _finish(writer, rows, name, options))
    seen = rows.view()
    seen.flags.writeable = False  # nothing of ours may change a user's array
    return Content(rows=seen, kind=kind, ids=RowNumbers([("", range(len(rows)))]), fingerprint=key)


def _finish(writer: Writer, rows: np.ndarray, name: str, options: DataOptions) -> None:
    kind, notes = build(writer, [rows], name, options)
    writer.finish(kind, RowNumbers([("", range(len(rows)))]), notes=notes)


def pictured(rows: np.ndarray, options: DataOptions) -> bool:
    """True where the options ask for other pictures than the rows already are."""
    if rows.ndim == 2:
        return False  # vectors have no size or channels; a run on another source may have set them
    other_size = options.size is not None and rows.shape[2:] != (options.size, options.size)
    return other_size or options.channels not in ("auto", rows.shape[1])


def check_shape(rows: np.ndarray, name: str) -> None:
    """Raises `Mistake` where rows are pictures that no network takes."""
    if rows.ndim == 4:
        check_sides(rows.shape[2], rows.shape[3], name)


def build(writer: Writer, parts: Sequence[np.ndarray], name: str, options: DataOptions) -> tuple[Kind, tuple[str, ...]]:
    """Writes the rows of all parts, converted or as pictures; their kind, and notes. Raises `Mistake`."""
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise Mistake(f"the parts of `{name}` have rows of different shapes, {sorted(shapes)}: they must have one")
    kind, dtype = survey(parts, name, options.values)
    if pictured(parts[0], options):
        return kind, build_pictures(writer, parts, name, options, kind)
    check_shape(parts[0], name)
    writer.reserve(sum(part.size for part in parts) * dtype.itemsize)
    with progress(f"preparing {name}", sum(map(len, parts)), unit="rows") as bar:
        for block in (block for part in parts for block in blocks(part)):
            writer.append(block.astype(dtype, order="C", copy=False))
            bar(writer.count)
    return kind, ()


def build_pictures(writer: Writer, parts: Sequence[np.ndarray], name: str, options: DataOptions, kind: Kind) -> tuple[str, ...]:
    """Writes the rows of all parts as pictures of the options' size and channels; notes. Raises `Mistake` for other values."""
    channels = parts[0].shape[1]
    if kind != "bytes" or channels not in (1, 3, 4):
        raise Mistake(
            f"`{name}` cannot be resized or recoloured: that takes 8-bit pictures of 1, 3 or 4 channels, and these are "
            f"{kind} of {channels}"
        )
    written = write_pictures(writer, lambda: _items(parts), sum(map(len, parts)), options, name, channels)
    return written.notes


def _items(parts: Sequence[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    row = 0
    for part in parts:
        for picture in part:
            yield str(row), picture.astype(np.uint8, copy=False)
            row += 1
