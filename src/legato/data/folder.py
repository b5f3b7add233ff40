"""A folder of pictures: every picture below it, in the order of its relative path, which is its id.

Covered: sub-folders as labels, train/test sub-folders as splits. Not covered: archives; a folder's own order.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from legato.data import at_once, store
from legato.data.dataset import Content
from legato.data.decoders import MANY, Item, begun
from legato.data.fingerprint import digest_read, fingerprint, untouched
from legato.data.labels import encode
from legato.data.options import DataOptions
from legato.data.parts import Arrangement, arrange
from legato.data.picture_rows import WrittenPictures
from legato.data.picture_writer import recalled_window, remembered_window, with_window, write_pictures
from legato.data.pictures import SUFFIXES, Payload, looks_like_picture
from legato.data.streamed import Places, runs, streamed
from legato.data.writer import Writer
from legato.errors import Mistake
from legato.types import Rows

USUAL = (".png", ".jpg", ".jpeg")  # told without taking a name apart, which of a million takes seconds


def open_folder(path: Path, below: tuple[list[str], list[str]], options: DataOptions) -> Content:
    """The pictures `below` a folder. Raises `Mistake` where there are none, or they cannot become rows of one shape."""
    names, others = below
    if not names:
        raise Mistake(_no_pictures(path, others))
    lie = arrange(names)
    # Where an entry is of as many, it may be of these: touched, copied, or as they were.
    first = len(lie.names) >= MANY and not store.holds_as_many(len(lie.names))
    folder = Pictures(path, lie)
    with begun() if first else nullcontext():
        content, options = folder.opened(options, first=first)
    if options.stream:
        content = replace(content, rows=streamed(content, folder.places(content), options, str(path)), by_key=True)
    return replace(content, window=options.window, notes=(*content.notes, *_left_out(lie.left), *_said(others)))


class Pictures:
    """The pictures of a folder as they lie."""

    def __init__(self, path: Path, lie: Arrangement) -> None:
        self.path, self.lie = path, lie
        self._root = os.path.join(path, "")
        self._files = untouched(lie.names, self._place)

    def opened(self, options: DataOptions, *, first: bool) -> tuple[Content, DataOptions]:
        """The rows, and the options with the window that was found; `first`: for the first time. Raises `Mistake`."""
        digest, many = self._files.digest, len(self.lie.names) >= MANY
        if digest is None and many and not first:  # to hash them takes a tenth of the time that decoding takes
            digest = digest_read(self.lie.names, self._place, self._files)
        known = recalled_window(options, digest)
        if many and (digest is None or known is None):
            return self._named_after(options, digest)
        digest = digest or digest_read(self.lie.names, self._place, self._files)
        options = known or with_window(self._items, len(self.lie.names), options, str(self.path), digest)
        key, keep = self._key(digest, options), not options.stream
        return store.entry(key, lambda writer: self._build(writer, options), keep_rows=keep), options

    def _named_after(self, options: DataOptions, digest: str | None) -> tuple[Content, DataOptions]:
        """The rows of a first opening: what they are called is known once all pictures are read, and so they are read once."""
        names, found = self.lie.names, options

        def build(writer: Writer) -> str:
            nonlocal found, digest
            every = max(1, len(names) // at_once.SAMPLE)
            sample = partial(self._items, slice(None, None, every))
            try:
                hashed = None if digest else names
                read = at_once.write(writer, self._items, sample, len(names), options, str(self.path), hashed)
            except at_once.Unfit:
                digest = digest or digest_read(names, self._place, self._files)
                found = with_window(self._items, len(names), options, str(self.path), digest)
                key = self._key(digest, found)
                if not store.holds(key):
                    self._build(writer, found, apart=found.window != options.window)
                return key
            if digest is None:
                digest = read.digest or ""
                self._files.remember(digest)
            found = options if options.window is not None else remembered_window(options, digest, None)
            self._finish(writer, read.written)
            return self._key(digest, found)

        purpose = {**self._told(options), **options.pictures(), "strict": options.strict}
        key = fingerprint("folder at once", self._files.signature, purpose)
        content = store.built(key, build, keep_rows=not options.stream)
        return content, found

    def _key(self, digest: str, options: DataOptions) -> str:
        return fingerprint("folder", digest, {**self._told(options), **options.pictures()})

    def _told(self, options: DataOptions) -> dict[str, object]:
        # what was always told so keeps its fingerprint
        told: dict[str, object] = {} if self.lie.usual else {"level": self.lie.level, "parts": self.lie.own is not None}
        return {**told, "streamed": True} if options.stream else told

    def places(self, content: Content) -> Places:
        """Where the files of the rows lie."""
        names = self.lie.names
        kept = names if content.positions is None else [names[position] for position in content.positions]
        return _Files(self._root, kept)

    def _place(self, name: str) -> str:
        return f"{self._root}{name}"  # what `os.path.join` says, in a tenth of its time

    def _items(self, some: slice = slice(None)) -> Iterator[Item]:
        root = self._root  # as `_place` does, without its call
        return ((name, f"{root}{name}") for name in islice(self.lie.names, some.start, some.stop, some.step))

    def _build(self, writer: Writer, options: DataOptions, *, apart: bool = True) -> None:
        names = self.lie.names
        self._finish(writer, write_pictures(writer, self._items, len(names), options, str(self.path), apart=apart))

    def _finish(self, writer: Writer, written: WrittenPictures) -> None:
        names, positions = self.lie.names, written.positions
        own = None if self.lie.own is None else np.array(self.lie.own, np.uint8)
        if positions is not None:  # what was skipped keeps neither its name nor its part
            names = [names[position] for position in positions]
            own = None if own is None else own[positions]
        ids = [printable(name) for name in names]
        classes = _classes(ids, self.lie.level)
        labels, label_names = (None, ()) if classes is None else encode(classes, str(self.path))
        writer.finish(
            "bytes",
            ids,
            labels=labels,
            label_names=label_names,
            own=own,
            positions=positions,
            problems=written.problems,
            notes=written.notes,
        )


class _Files:
    """Pictures that are files of their own: any of them is read at once."""

    weight = 0.0

    def __init__(self, root: str, names: Sequence[str]) -> None:
        self.root, self.names, self.runs = root, names, runs([0], len(names))

    def payloads(self, numbers: Rows, buffer: int) -> Iterator[Payload]:
        """Paths."""
        return (f"{self.root}{self.names[number]}" for number in numbers.tolist())


def pictures_below(path: Path) -> tuple[list[str], list[str]]:
    """The sorted relative paths (with `/`) of all pictures, and of other files."""
    found = list(_files(path, "", set()))
    # A line break would make two names of one.
    root = os.path.join(path, "")
    names = sorted(name for name in found if "\n" not in name and (name.endswith(USUAL) or looks_like_picture(f"{root}{name}")))
    if len(names) == len(found):
        return names, []
    known = set(names)
    return names, [name for name in found if name not in known]


def _files(path: Path, below: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Files below a folder, hidden ones left out. Links are followed, each folder once, so that no link goes in circles."""
    try:
        stat = os.stat(os.path.join(path, below))
        # Sorted: a system lists files in any order, and a row's number must not depend on the disk that the folder lies on.
        entries = sorted(os.scandir(os.path.join(path, below)), key=lambda entry: entry.name)
    except OSError as error:
        raise Mistake(f"the folder `{path / below}` cannot be read: {error.strerror}; allow it or move it away") from error
    if (stat.st_dev, stat.st_ino) in seen:
        return
    seen.add((stat.st_dev, stat.st_ino))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(path, f"{below}{entry.name}/", seen)
        elif entry.is_file():
            yield f"{below}{entry.name}"


def printable(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8 as \\xff, so that it can be shown and written wherever an id can."""
    if name.isascii():  # as almost all are, and one text for both is half of the memory
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _classes(names: Sequence[str], level: int) -> list[str] | None:
    """The folder of each picture `level` folders down ("" where it lies above); None where nobody has any."""
    known: dict[str, str] = {}  # one text for each class, not for each picture
    split = (name.split("/", level + 1) for name in names)
    classes = [known.setdefault(one, one) for one in (parts[level] if len(parts) > level + 1 else "" for parts in split)]
    return classes if any(known) else None


def _left_out(left: Counter[str] | None) -> list[str]:
    if not left:
        return []
    folders = ", ".join(f"`{name}` ({count})" for name, count in sorted(left.items())[:5])
    count = sum(left.values())
    return [f"{count} picture{'s' if count > 1 else ''} beside the training and test folders left out: {folders}"]


def _said(others: list[str]) -> list[str]:
    count = len(others)
    suffixes = {os.path.splitext(name)[1].lower() for name in others}
    kinds = ", ".join(sorted(suffix or "no suffix" for suffix in suffixes)[:5])
    return [f"{count} other file{'s' if count > 1 else ''} passed over ({kinds})"] if count else []


def _no_pictures(path: Path, others: list[str]) -> str:
    held = f"only {'; '.join(_said(others))}" if others else "no files"
    return f"`{path}` holds no pictures, {held}: expected {', '.join(sorted(SUFFIXES))} files in it or below it"
