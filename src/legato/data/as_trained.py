"""A source read as a run read its own: the run's columns by name, its channels and size, its kind of values.

Covered: pictures of other colours, sizes and axis orders; numbers that look like another kind where there are few of them.
Not covered: whether the source is the run's own (`prepared`); pictures in arrays of another height and width, refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from legato.data import arrays, store
from legato.data.dataset import Dataset
from legato.data.fingerprint import fingerprint
from legato.data.options import LARGEST, SMALLEST, Channels, Layout, RunOptions
from legato.data.pictures import SUFFIXES, PictureForm, Unreadable, decode
from legato.data.preparation import Preparation
from legato.data.rows import blocks
from legato.data.shards import is_shard
from legato.data.sources import START, open_source
from legato.data.writer import Writer
from legato.errors import Mistake
from legato.setting import Kind
from legato.types import RowArray, Shape

CHANNELS: dict[int, Channels] = {1: 1, 3: 3, 4: 4}
LAYOUTS: tuple[Layout, ...] = ("NHWC", "NCHW")
RANGES: dict[Kind, str] = {
    "binary": "0 and 1 alone",
    "bytes": "whole numbers from 0 to 255",
    "reals": "real numbers",
    "counts": "whole numbers from 0 on",
}
SOME = 100  # rows by which units are told: all of a large source would take a pass
UNIT, FAR = 1.5, 20  # mean + deviation of what lies in [0, 1] or [-1, 1]; deviations beyond which nothing of it lies


@dataclass(frozen=True)
class Form:
    """A row of a run: (C, H, W) or (D,), and how its values were prepared."""

    shape: Shape
    preparation: Preparation

    @property
    def kind(self) -> Kind:
        """The kind of its values."""
        return self.preparation.kind

    @property
    def is_picture(self) -> bool:
        """True for a picture, False for a row of a table."""
        return len(self.shape) == 3


def open_as_trained(source: Any, form: Form, options: RunOptions) -> Dataset:
    """The source in that form. Raises `Mistake` where its rows are of another shape, or no values of the kind.

    Its fingerprint is that under `options` wherever these suffice, so that a copy of the training source is known by it.
    """
    if _is_picture(source):
        return _one_picture(Path(source).expanduser(), form, options)
    first: Mistake | None = None
    shapes: list[tuple[int, ...]] = []
    for attempt in _attempts(source, form, options):
        if any(sorted(shape) != sorted(form.shape) for shape in shapes) and attempt.layout != options.layout:
            continue  # no order of these axes is the run's
        try:
            dataset = _coloured(_of_kind(open_source(source, attempt), form), form, options)
        except Mistake as mistake:
            first = first or mistake  # the first is told: later attempts were guesses of ours
            continue
        if dataset.shape == form.shape:
            sized = attempt.size == options.size or any(shape[1:] == form.shape[1:] for shape in shapes)
            return dataset if sized else _said_resized(dataset)
        first = first or _another_shape(dataset, form)
        shapes.append(dataset.shape)
    raise first or AssertionError("there is always one attempt")


def _attempts(source: Any, form: Form, options: RunOptions) -> Iterator[RunOptions]:
    """The options as they are, and for pictures what a source might need to come out in the run's form."""
    yield options
    if not form.is_picture:
        return
    named = [options, replace(options, columns=())] if options.columns else [options]  # a lone column may have another name
    yield from named[1:]
    if _holds_files(source):
        yield from (_squared(form, each) for each in named)
        return
    for layout in LAYOUTS:
        yield replace(options, layout=layout)
    plain = replace(options, size=None, channels="auto")
    if plain != options:  # values that look like another kind than the run's are refused as pictures, and are coloured below
        yield plain


def _is_picture(source: Any) -> bool:
    return isinstance(source, str | Path) and Path(source).suffix.lower() in SUFFIXES and Path(source).expanduser().is_file()


def _one_picture(path: Path, form: Form, options: RunOptions) -> Dataset:
    """The source that a single picture is: one row, whose id is the file's name."""
    if not form.is_picture or form.shape[0] not in CHANNELS:
        raise Mistake(f"`{path}` is a picture, and the run's rows have the shape {form.shape}: give data of the same shape")
    squared = _squared(form, options)
    try:
        pixels = decode(str(path), PictureForm(form.shape[0], squared.size, options.crop, options.background)).pixels
    except Unreadable as error:
        raise Mistake(f"`{path}` cannot be read: {error}; give a whole picture") from None
    dataset = _of_kind(open_source(pixels[None], RunOptions(layout="NCHW")), form)
    if dataset.shape != form.shape:
        raise _another_shape(replace(dataset, source=str(path)), form)
    return replace(dataset, source=str(path), ids=[path.name])


def _holds_files(source: Any) -> bool:
    """True where pictures would be encoded ones, in files or a Parquet column, which come in any size."""
    if not isinstance(source, str | Path):
        return False
    path = Path(source).expanduser()
    if not path.is_file():
        return path.is_dir()
    with suppress(OSError), open(path, "rb") as file:  # what cannot be opened has been told of
        start = file.read(START)
        return start.startswith(b"PAR1") or is_shard(start)
    return False


def _squared(form: Form, options: RunOptions) -> RunOptions:
    channels, height, width = form.shape
    square = height == width and SMALLEST <= height <= LARGEST
    return replace(options, size=height if square else options.size, channels=CHANNELS.get(channels, "auto"))


def _said_resized(dataset: Dataset) -> Dataset:
    _, height, width = dataset.shape
    return replace(dataset, notes=(*dataset.notes, f"pictures of another size: brought to the run's {width}×{height} pixels"))


def _another_shape(dataset: Dataset, form: Form) -> Mistake:
    return Mistake(
        f"the run was trained on shape {form.shape}, `{dataset.source}` has {dataset.shape}: give data of the same shape"
    )


def _of_kind(dataset: Dataset, form: Form) -> Dataset:
    """The rows as values of the run's kind: what few rows look like says nothing of what they are. Raises `Mistake`."""
    kind = form.kind
    if kind == "reals" and form.is_picture:
        _refuse_grey_levels(dataset, form.preparation)
    if kind == "reals" or (dataset.kind in (kind, "binary") and (kind != "bytes" or dataset.rows.dtype == np.uint8)):
        return replace(dataset, kind=kind)
    low, high, whole = _range(dataset.rows)
    if not whole or low < 0 or high > arrays.MOST[kind]:
        raise Mistake(
            f"the run was trained on {kind} ({RANGES[kind]}), `{dataset.source}` holds {dataset.kind} from "
            f"{low:g} to {high:g}{'' if whole else ', not all whole'}: give values of the same kind"
        )
    return replace(dataset, rows=dataset.rows if kind == "counts" else _as_bytes(dataset), kind=kind)


def _refuse_grey_levels(dataset: Dataset, preparation: Preparation) -> None:
    """0 … 255 under a run of pictures in [0, 1] would give numbers, and no sense. Some rows tell, in no time."""
    mean, scale = preparation.shift[0], preparation.scale[0]
    if abs(mean) + scale >= UNIT:
        return
    # Evenly over all rows: the first may be of one class.
    low, high, whole = _range(dataset.rows[:: max(1, len(dataset) // SOME)])
    if whole and low >= 0 and UNIT < high <= 255 and high > mean + FAR * scale:
        raise Mistake(
            f"`{dataset.source}` holds grey levels up to {high:g}, and the run was trained on real numbers around {mean:.3g} ± "
            f"{scale:.3g}: bring them to the run's units, as x / 255"
        )


def _range(rows: RowArray) -> tuple[float, float, bool]:
    """The lowest value, the highest, and whether all are whole."""
    low, high, whole = np.inf, -np.inf, True
    for block in blocks(rows):
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        whole = whole and bool((block == np.floor(block)).all())
    return low, high, whole


def _as_bytes(dataset: Dataset) -> RowArray:
    """Whole numbers of any type as 8 bits, in the store: floats would be taken for prepared pixels."""

    def build(writer: Writer) -> None:
        for block in blocks(dataset.rows):
            writer.append(block.astype(np.uint8))
        writer.finish("bytes", [])

    return store.entry(fingerprint("as bytes", dataset.fingerprint, {}), build).rows


def _coloured(dataset: Dataset, form: Form, options: RunOptions) -> Dataset:
    """Arrays of 8-bit pictures in the run's channels, and in the size that it was told."""
    if not form.is_picture or dataset.shape == form.shape or len(dataset.shape) != 3 or form.kind != "bytes":
        return dataset
    rows = dataset.rows
    if not isinstance(rows, np.ndarray):  # streamed: opened with the run's channels, nothing need be copied
        return dataset
    channels, height, width = form.shape
    fits = dataset.shape[1:] == (height, width) or options.size is not None
    known = dataset.shape[0] in (1, channels) or options.channels == channels  # an array's colours go only where that was said
    if not fits or not known or not {channels, dataset.shape[0]} <= CHANNELS.keys():
        return dataset
    wanted = replace(options, channels=CHANNELS[channels])

    def build(writer: Writer) -> None:
        notes = arrays.build_pictures(writer, [rows], dataset.source, wanted, "bytes")
        writer.finish("bytes", [], notes=notes)

    content = store.entry(fingerprint("in channels", dataset.fingerprint, wanted.pictures()), build)
    return replace(dataset, rows=content.rows, notes=(*dataset.notes, *content.notes))
