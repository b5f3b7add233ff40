"""A folder of pictures: every picture below it, in the order of its relative path, which is its id.

Covered: sub-folders as labels, train/test sub-folders as splits. Not covered: archives; a folder's own order.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from legato.data import store
from legato.data.dataset import Content
from legato.data.fingerprint import digest_files, fingerprint
from legato.data.labels import encode
from legato.data.options import DataOptions
from legato.data.parts import Arrangement, arrange
from legato.data.picture_writer import Item, with_window, write_pictures
from legato.data.pictures import SUFFIXES, looks_like_picture
from legato.data.writer import Writer
from legato.errors import Mistake


def open_folder(path: Path, below: tuple[list[str], list[str]], options: DataOptions) -> Content:
    """The pictures `below` a folder. Raises `Mistake` where there are none, or they cannot become rows of one shape."""
    names, others = below
    if not names:
        raise Mistake(_no_pictures(path, others))
    lie = arrange(names)
    digest = digest_files(lie.names, lambda name: os.path.join(path, name))
    # what was always told so keeps its fingerprint
    told = {} if lie.usual else {"level": lie.level, "parts": lie.own is not None}
    options = with_window(lambda: _items(path, lie.names), len(lie.names), options, str(path), digest)
    key = fingerprint("folder", digest, {**told, **options.pictures()})
    content = store.entry(key, lambda writer: _build(writer, path, lie, options))
    return replace(content, window=options.window, notes=(*content.notes, *_left_out(lie.left), *_said(others)))


def pictures_below(path: Path) -> tuple[list[str], list[str]]:
    """The sorted relative paths (with `/`) of all pictures, and of other files."""
    found = list(_files(path, "", set()))
    # A line break would make two names of one.
    names = sorted(name for name in found if "\n" not in name and looks_like_picture(os.path.join(path, name)))
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


def _items(path: Path, names: Sequence[str]) -> Iterator[Item]:
    return ((name, os.path.join(path, name)) for name in names)


def _build(writer: Writer, path: Path, lie: Arrangement, options: DataOptions) -> None:
    names = lie.names
    written = write_pictures(writer, lambda: _items(path, lie.names), len(names), options, str(path))
    own = None if lie.own is None else np.array(lie.own, np.uint8)
    if written.positions is not None:  # what was skipped keeps neither its name nor its part
        names = [names[position] for position in written.positions]
        own = None if own is None else own[written.positions]
    classes = _classes([printable(name) for name in names], lie.level)
    labels, label_names = (None, ()) if classes is None else encode(classes, str(path))
    writer.finish(
        "bytes",
        [printable(name) for name in names],
        labels=labels,
        label_names=label_names,
        own=own,
        positions=written.positions,
        problems=written.problems,
        notes=written.notes,
    )


def printable(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8 as \\xff, so that it can be shown and written wherever an id can."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _classes(names: Sequence[str], level: int) -> list[str] | None:
    """The folder of each picture `level` folders down ("" where it lies above); None where nobody has any."""
    split = [name.split("/", level + 1) for name in names]
    classes = [parts[level] if len(parts) > level + 1 else "" for parts in split]
    return classes if any(classes) else None


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
