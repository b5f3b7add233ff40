"""Pictures in one pass: each is read once, hashed, its header's facts noted, and decoded in the form that all seem to take.

A look at some headers says what all are: grey or not, of one size, none with a range of its own. Almost always that holds.
Where one picture says otherwise, what was written is dropped and the source is gone through in passes of their own, which tell
what is wrong (`picture_writer`). Rows come out the same either way.

Covered: the pass, and going on with one that was ended. Not covered: names, labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from legato.data.decoders import Decoders, Item, Results
from legato.data.fingerprint import Digest
from legato.data.options import LARGEST, SMALLEST, WHOLE, DataOptions, window_of
from legato.data.picture_rows import PictureRows, Size, WrittenPictures, channels_marked
from legato.data.pictures import Header, PictureForm, Unreadable, look, pillow_warnings
from legato.data.writer import Writer
from legato.progress import progress

SAMPLE = 256  # headers by which all are judged
USUAL = (128, 128)  # a guess of a picture's size, where none is known: by it so many are decoded at a time
WAY, DIGESTS = "at once", "digests"  # the note of the files' hashes so far, in hexadecimal

# a function, for pictures may be gone through again
Items = Callable[[], Iterable[Item]]


class Unfit(Exception):
    """The pictures are not all as they seemed, or one is wrong: passes of their own say how."""


class _Coloured(Unfit):
    """The first picture in colour among what seemed to be grey."""


@dataclass(frozen=True)
class Pass:
    """What was written, and the hash of the files if it was asked for."""

    written: WrittenPictures
    digest: str | None


class _Expected(NamedTuple):
    channels: int
    size: Size


def form_of(options: DataOptions, channels: int) -> PictureForm:
    """The form that the options ask for."""
    window = None if options.window is None or options.window == WHOLE else window_of(options.window)
    return PictureForm(channels, options.size, options.crop, options.background, window)


def write(
    writer: Writer,
    items: Items,
    sample: Items,
    total: int,
    options: DataOptions,
    name: str,
    names: Sequence[str] | None = None,
) -> Pass:
    """Appends every readable picture, and hashes the files of these `names`; `sample` are items from all over the source.

    Raises `Unfit`, the writer being empty again, where passes of their own are needed.
    """
    if writer.state is not None and names is not None and writer.journal.noted(DIGESTS).count(b" ") != writer.state["done"]:
        writer.clear()  # of what is there, nobody asked for the hashes
    expected = _expected(writer, sample, options)
    try:
        try:
            return _write(writer, items, total, options, name, names, expected)
        except _Coloured:  # one in colour, and all are: that cannot turn out otherwise
            writer.clear()
            return _write(writer, items, total, options, name, names, expected._replace(channels=3))
    except Unfit:
        writer.clear()
        raise


def decoded(
    items: Items, form: PictureForm, rows: PictureRows, size: Size, *, hashed: bool = False
) -> Generator[Results, None, None]:
    """The results of items that `rows` lack yet; `size` is what their pixels have, about."""
    width, height = rows.first[1] if rows.first else (form.size, form.size) if form.size else size
    with Decoders(form, hashed=hashed) as decoders:
        yield from decoders.results(islice(items(), rows.done, None), form.channels * width * height)


def _expected(writer: Writer, sample: Items, options: DataOptions) -> _Expected:
    """What pictures seem to be, or were up to the mark. Raises `Unfit` where some already differ."""
    if writer.state is not None:
        if writer.state["way"] != WAY:
            raise Unfit("goes on after a look")
        return _Expected(channels_marked(writer.state), USUAL)
    with pillow_warnings():
        found = [_looked_at(item, options) for item in islice(sample(), SAMPLE)]
    facts = _Facts(options, 3, None)
    for header, ranged in found:
        facts.check(header, ranged)
    grey = all(header.grey for header, _ in found if header is not None)
    return _Expected(options.channels if options.channels != "auto" else 1 if grey else 3, facts.first or USUAL)


def _looked_at(item: Item, options: DataOptions) -> tuple[Header | None, bool]:
    try:
        return look(item[1], options.background)
    except Unreadable:
        return None, False


class _Facts:
    """Facts that headers tell, held to what is expected; `first` is the size of the first that has one."""

    def __init__(self, options: DataOptions, channels: int, first: Size | None) -> None:
        self.first = first
        self._window, self._size = options.window, options.size
        self._grey = channels == 1 and options.channels == "auto"
        self._pixels: tuple[int, ...] | None = None

    def check(self, header: Header | None, ranged: bool) -> None:
        """Raises `Unfit`."""
        if ranged and self._window is None:
            raise Unfit("a range of its own")
        if header is None:
            return
        if self._grey and not header.grey:
            raise _Coloured
        if self.first is None:
            self.first = header.size
        if self._size is None and header.size != self.first:
            raise Unfit("another size")

    def check_pixels(self, shape: tuple[int, ...]) -> None:
        """Raises `Unfit`: a header may lie."""
        if self._pixels is None:
            self._pixels = shape
            if not all(SMALLEST <= side <= LARGEST for side in shape[1:]):
                raise Unfit("a size for no network")
        if shape != self._pixels:
            raise Unfit("pixels of another size")


def _write(
    writer: Writer,
    items: Items,
    total: int,
    options: DataOptions,
    name: str,
    names: Sequence[str] | None,
    expected: _Expected,
) -> Pass:
    form = form_of(options, expected.channels)
    rows = PictureRows(writer, total, form, name, way=WAY, strict=False)
    facts = _Facts(options, expected.channels, rows.header)
    digest = None if names is None else _digest_so_far(writer, names)
    if rows.first is not None:
        facts.check_pixels((form.channels, *rows.first[1][::-1]))
    if options.strict and rows.problems:
        raise Unfit("one that could not be read")
    with (
        progress(f"decoding {name}", total, start=rows.done, unit="pictures") as bar,
        closing(decoded(items, form, rows, expected.size, hashed=names is not None)) as found,
    ):
        for results in found:
            for run in results.runs:
                facts.check(run.header, run.ranged)
                if run.pixels is not None:
                    facts.check_pixels(run.pixels.shape[1:])
                elif options.strict:
                    raise Unfit("one that cannot be read")
            if digest is not None and names is not None:
                digest.add(names[rows.done : rows.done + results.number], map(bytes.fromhex, results.digests.split()))
                writer.journal.note(DIGESTS, f"{results.digests} ".encode())
            rows.header = facts.first
            rows.add(results)
            bar(rows.done)
    if rows.done == len(rows.problems):
        raise Unfit("none that can be read")
    return Pass(rows.finish(), digest.hexdigest() if digest else None)


def _digest_so_far(writer: Writer, names: Sequence[str]) -> Digest:
    """The hash of the files up to the mark."""
    digest, noted = Digest(), writer.journal.noted(DIGESTS)
    # one at a time: a list of 10⁶ would take twice what the note does
    words = (bytes.fromhex(word[0].decode()) for word in re.finditer(rb"[0-9a-f]+", noted))
    digest.add(names[: noted.count(b" ")], words)
    return digest
