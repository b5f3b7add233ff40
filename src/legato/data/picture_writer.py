"""The picture writer: many pictures into the store, decoded in threads, in order, with what was skipped and changed counted.

Covered: folders, Parquet columns of pictures, and arrays to be resized, which differ only in where a picture's bytes
come from. Not covered: finding those bytes, labels.
"""

from __future__ import annotations

import warnings
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from legato.data import memo
from legato.data.dataset import Problem
from legato.data.options import LARGEST, SMALLEST, WHOLE, DataOptions, window_of
from legato.data.parallel import ordered
from legato.data.pictures import Header, Payload, Picture, PictureForm, Unreadable, decode, depth, read_header
from legato.data.writer import Writer
from legato.errors import Mistake
from legato.progress import progress

Item = tuple[str, Payload]  # an id, and where its picture is
# a function, for pictures are gone through twice: sizes are refused before anything is decoded
Items = Callable[[], Iterable[Item]]

PHRASES = {
    "turned": "{} turned upright as their EXIF orientation says",
    "transparent": "{} had transparency: laid on {background}",
    "deep": "{} with more than 8 bits per channel: reduced to 8",
    "CMYK": "{} in CMYK: converted to RGB",
    "bilevel": "{} with 1 bit per pixel: widened to 0 and 255",
    "animated": "{} with several frames: the first was taken",
    "greyed": "{} in colour: turned grey",
}


WINDOWED = "{} with more than 8 bits per channel: {low} to {high}, the range of all of them, became 0 to 255"
FEW_LEVELS = 32  # of 256: 12 bits in a window of 16 leave 16 of them


@dataclass(frozen=True)
class WrittenPictures:
    """The pictures that were written: positions (N,) of the kept items, or None where nothing was skipped."""

    positions: np.ndarray | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def check_sides(height: int, width: int, name: str) -> None:
    """Raises `Mistake` where a picture's sides are not what the networks take."""
    if not (SMALLEST <= height <= LARGEST and SMALLEST <= width <= LARGEST):
        raise Mistake(
            f"pictures of `{name}` are {width}×{height} pixels: sides must be from {SMALLEST} to {LARGEST}, so resize "
            f"them with --size N, such as --size {min(LARGEST, max(SMALLEST, 64))}"
        )


def with_window(items: Items, total: int, options: DataOptions, name: str, digest: str) -> DataOptions:
    """The options with the values that deep pictures of this source have from black to white, if there are any.

    The range is that of the bits that the largest value over the whole source needs, 8, 10, 12, 14 or 16; where values are
    negative or need more, it is theirs. (A 12-bit picture in a 16-bit file would else be nearly black.)
    """
    if options.window is not None:
        return options
    known = memo.recall(f"window-{digest}")  # all pictures are decoded for it: once, while none is touched
    if known is None:
        with _pillow_warnings(), progress(f"looking at {name}", total, unit="pictures") as bar:
            found = []
            for done, pair in enumerate(ordered(lambda item: depth(item[1]), items(), _weight), 1):
                bar(done)
                found += [] if pair is None else [pair]
        known = {"window": _window(found)}
        memo.remember(f"window-{digest}", known)
    return replace(options, window=known["window"])


def _window(found: list[tuple[int, int]]) -> str | None:
    if not found:
        return None
    low, high = min(low for low, _ in found), max(high for _, high in found)
    bits = next((bits for bits in (8, 10, 12, 14, 16) if high < 2**bits), None)
    return f"0,{2**bits - 1}" if low >= 0 and bits is not None else f"{low},{max(high, low + 1)}"


def write_pictures(
    writer: Writer, items: Items, total: int, options: DataOptions, name: str, channels: int | None = None
) -> WrittenPictures:
    """Appends every readable picture; `channels` is what auto means, if the source knows. Raises `Mistake`."""
    with _pillow_warnings():
        wanted = channels if options.channels == "auto" else options.channels
        if wanted is None or options.size is None:  # where both are known, no look at all of them is needed
            grey = _look(items, total, options, name)
            wanted = wanted or (1 if grey else 3)
        window = None if options.window is None or options.window == WHOLE else window_of(options.window)
        form = PictureForm(wanted, options.size, options.crop, options.background, window)
        return _write(writer, items, total, form, options, name)


def _look(items: Items, total: int, options: DataOptions, name: str) -> bool:
    """True where all are grey; mixed and impossible sizes are refused here, before anything is decoded for minutes."""

    def look(item: Item) -> tuple[str, Header | None]:
        try:
            return item[0], read_header(item[1], options.background)
        except Unreadable:  # reported when it is decoded
            return item[0], None

    grey, first = True, None
    with progress(f"looking at {name}", total, unit="pictures") as bar:
        for done, (id, header) in enumerate(ordered(look, items(), _weight), 1):
            bar(done)
            if header is None:
                continue
            grey = grey and header.grey
            first = first or (id, header.size)
            if options.size is None:
                _check_same(name, first, (id, header.size))
    return grey


def _check_same(name: str, first: tuple[str, tuple[int, int]], other: tuple[str, tuple[int, int]]) -> None:
    (one, (w1, h1)), (two, (w2, h2)) = first, other
    if (w1, h1) != (w2, h2):
        raise Mistake(
            f"pictures of `{name}` differ in size: `{one}` has {w1}×{h1} pixels, `{two}` has {w2}×{h2}; "
            f"bring them to one size with --size N, such as --size {_suggested(min(w1, h1, w2, h2))}"
        )
    check_sides(h1, w1, name)


def _suggested(side: int) -> int:
    """The power of two at or below a side, within what is usual."""
    return min(128, max(16, 1 << (max(side, 1).bit_length() - 1)))


def _write(writer: Writer, items: Items, total: int, form: PictureForm, options: DataOptions, name: str) -> WrittenPictures:
    def attempt(item: Item) -> tuple[str, Picture | Unreadable]:
        try:
            return item[0], decode(item[1], form)
        except Unreadable as error:
            # A new one: that which was raised holds the frames that hold the picture's bytes.
            return item[0], Unreadable(str(error))

    counts: Counter[str] = Counter()
    problems: list[Problem] = []
    kept, first, levels = array("q"), None, np.zeros(256, bool)  # 8 bytes a row, where a list of numbers takes 36
    with progress(f"decoding {name}", total, unit="pictures") as bar:
        for position, (id, result) in enumerate(ordered(attempt, items(), _weight)):
            bar(position + 1)
            if isinstance(result, Unreadable):
                problems.append(Problem(id, str(result)))
                if options.strict:
                    raise problems[0].mistake()
                continue
            _, height, width = result.pixels.shape
            if first is None:
                first = (id, (width, height))
                # At the first picture: now the size of all is known, and nothing has been decoded for nothing.
                writer.reserve(result.pixels.nbytes * total)
            _check_same(name, first, (id, (width, height)))  # of the pixels: a header may lie
            writer.append(result.pixels[None])
            kept.append(position)
            counts.update(result.remarks)
            if "deep" in result.remarks:
                levels[np.unique(result.pixels)] = True
    if not kept:
        raise _nothing_left(name, problems)
    positions = np.array(kept, np.int64) if problems else None
    return WrittenPictures(positions, tuple(problems), (*_said(counts, form), *_few(levels)))


def _weight(item: Item) -> int:
    """Bytes that an item holds in memory: none where it is a path."""
    payload = item[1]
    return len(payload) if isinstance(payload, bytes) else 0 if isinstance(payload, str) else payload.nbytes


def _nothing_left(name: str, problems: list[Problem]) -> Mistake:
    some = "; ".join(f"`{problem.id}`: {problem.reason}" for problem in problems[:3])
    return Mistake(f"none of the {len(problems)} pictures of `{name}` can be read ({some}): expected readable pictures")


def _said(counts: Counter[str], form: PictureForm) -> Iterator[str]:
    low, high = form.window or (0, 0)
    for word, usual in PHRASES.items():
        phrase = WINDOWED if word == "deep" and form.window else usual
        if count := counts[word]:
            yield phrase.format(f"{count} picture{'s' if count > 1 else ''}", background=form.background, low=low, high=high)


def _few(levels: np.ndarray) -> Iterator[str]:
    count = int(levels.sum())
    if 1 < count < FEW_LEVELS:
        yield (
            f"only {count} of 256 grey levels are left of pictures with more than 8 bits per channel: say which values matter "
            "by --window LOW,HIGH"
        )


@contextmanager
def _pillow_warnings() -> Iterator[None]:
    """Pillow warns of odd tags, which we pass over, and of large pictures, which are problems.

    Set here, in one thread, because warning filters belong to the process: threads that set them race.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
