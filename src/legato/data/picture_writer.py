"""The picture writer: many pictures into the store, decoded side by side, in order, with what was skipped and changed counted.

Covered: folders, Parquet columns of pictures, and arrays to be resized, which differ only in where a picture's bytes
come from. Not covered: finding those bytes, labels.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, nullcontext, suppress
from dataclasses import replace

import numpy as np

from legato.data import at_once, memo, store
from legato.data.at_once import Items, Unfit
from legato.data.dataset import Content
from legato.data.decoders import MANY, Item, Results, Run
from legato.data.fingerprint import Later, fingerprint
from legato.data.options import DataOptions
from legato.data.parallel import ordered
from legato.data.picture_rows import PictureRows, WrittenPictures, check_same
from legato.data.pictures import Header, PictureForm, Unreadable, decode, depth, pillow_warnings, read_header
from legato.data.writer import Writer
from legato.progress import progress


def opened_pictures(
    items: Items,
    total: Callable[[], int],
    options: DataOptions,
    name: str,
    digest: Later | str,
    picture: str,
    key: Callable[[DataOptions, str], str],
    finish: Callable[[Writer, WrittenPictures], None],
    *,
    sample: Items | None = None,
    keep_rows: bool = True,
) -> tuple[Content, DataOptions]:
    """The entry of a source's pictures, and the options with the window that was found. Raises `Mistake`.

    `digest` is the hash of its files, `picture` which of its pictures are meant; `key(options, digest)` names the entry,
    `finish` writes what belongs to the rows; `sample` are items from all over the source.
    """
    later = None if isinstance(digest, str) else digest
    if later and later.known is None and (total() < MANY or store.holds_as_many(total())):
        later.result()  # it may be known in another place, and to hash it takes a tenth of the time that decoding takes

    def hashed() -> str:
        return digest if isinstance(digest, str) else digest.result()

    def looked(options: DataOptions) -> DataOptions:
        return with_window(items, total(), options, name, f"{hashed()}-{picture}")

    def build(writer: Writer, options: DataOptions, *, apart: bool = True) -> None:
        finish(writer, write_pictures(writer, items, total(), options, name, apart=apart))

    first = later is not None and later.known is None
    known = recalled_window(options, None if first else f"{hashed()}-{picture}")
    if (first or known is None) and total() >= MANY:
        found = options

        def build_whole(writer: Writer) -> str:
            nonlocal found
            try:
                with later.beside() if later else nullcontext():
                    read = at_once.write(writer, items, sample or items, total(), options, name)
            except Unfit:
                found = looked(options)
                if not store.holds(key(found, hashed())):
                    build(writer, found, apart=found.window != options.window)
            else:
                found = options if options.window is not None else remembered_window(options, f"{hashed()}-{picture}", None)
                finish(writer, read.written)
            return key(found, hashed())

        # by what the files are known by: the hash may be known when a build is gone on with
        purpose = key(options, later.files.signature if later else hashed())
        purpose = fingerprint("pictures at once", purpose, {"strict": options.strict})
        return store.built(purpose, build_whole, keep_rows=keep_rows), found
    told = known or looked(options)
    return store.entry(key(told, hashed()), lambda writer: build(writer, told), keep_rows=keep_rows), told


def recalled_window(options: DataOptions, digest: str | None) -> DataOptions | None:
    """The options with the window of a source of this hash, where it is told or remembered."""
    if options.window is not None:
        return options
    known = None if digest is None else memo.recall(f"window-{digest}")
    return None if known is None else replace(options, window=known["window"])


def with_window(items: Items, total: int, options: DataOptions, name: str, digest: str) -> DataOptions:
    """The options with the values that deep pictures of this source have from black to white, if there are any.

    The range is that of the bits that the largest value over the whole source needs, 8, 10, 12, 14 or 16; where values are
    negative or need more, it is theirs. (A 12-bit picture in a 16-bit file would else be nearly black.)
    """
    known = recalled_window(options, digest)
    if known is not None:  # all pictures are decoded for it: once, while none is touched
        return known
    with pillow_warnings(), progress(f"looking at {name}", total, unit="pictures") as bar:
        found = []
        for done, pair in enumerate(ordered(lambda item: depth(item[1]), items(), _weight), 1):
            bar(done)
            found += [] if pair is None else [pair]
    return remembered_window(options, digest, _window(found))


def remembered_window(options: DataOptions, digest: str, window: str | None) -> DataOptions:
    """The options with a window that was found, which is kept for the next opening."""
    memo.remember(f"window-{digest}", {"window": window})
    return replace(options, window=window)


def _window(found: list[tuple[int, int]]) -> str | None:
    if not found:
        return None
    low, high = min(low for low, _ in found), max(high for _, high in found)
    bits = next((bits for bits in (8, 10, 12, 14, 16) if high < 2**bits), None)
    return f"0,{2**bits - 1}" if low >= 0 and bits is not None else f"{low},{max(high, low + 1)}"


def write_pictures(
    writer: Writer,
    items: Items,
    total: int,
    options: DataOptions,
    name: str,
    channels: int | None = None,
    *,
    apart: bool = True,
) -> WrittenPictures:
    """Appends every readable picture; `channels` is what auto means, if the source knows. Raises `Mistake`.

    Many encoded pictures are looked at and decoded in one pass, where they are as they seem to be; `apart` says that this was
    tried.
    """
    many = channels is None and total >= MANY
    if many and apart:
        with suppress(Unfit):
            return at_once.write(writer, items, items, total, options, name).written
    with pillow_warnings():
        wanted = channels if options.channels == "auto" else options.channels
        if wanted is None or options.size is None:  # where both are known, no look at all of them is needed
            grey = _look(items, total, options, name)
            wanted = wanted or (1 if grey else 3)
        form = at_once.form_of(options, wanted)
        rows = PictureRows(writer, total, form, name, way="after a look", strict=options.strict)
        with progress(f"decoding {name}", total, start=rows.done, unit="pictures") as bar:
            found = at_once.decoded(items, form, rows, at_once.USUAL) if many else in_threads(items, form)
            with closing(found):
                for results in found:
                    rows.add(results)
                    bar(rows.done)
        return rows.finish()


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
                check_same(name, first, (id, header.size))
    return grey


def in_threads(items: Items, form: PictureForm) -> Generator[Results, None, None]:
    """The results of items in their order, by threads: no process need be started."""

    def attempt(item: Item) -> Results:
        id, payload = item
        try:
            picture = decode(payload, form)
        except Unreadable as error:
            # Only its words: what was raised holds the frames that hold the picture's bytes.
            return Results([Run([id], None, False, (), str(error), None)])
        return Results([Run([id], None, False, picture.remarks, "", picture.pixels[None])])

    return ordered(attempt, items(), _weight)


def _weight(item: Item) -> int:
    """Bytes that an item holds in memory: none where it is a path, or a place in a file."""
    payload = item[1]
    return len(payload) if isinstance(payload, bytes) else payload.nbytes if isinstance(payload, np.ndarray) else 0
