"""A folder of pictures: every picture below it, in the order of its relative path, which is its id.

Covered: sub-folders as labels, train/test sub-folders as splits. Not covered: archives; a folder's own order.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np

from legato.data import store
from legato.data.album import Item, write_pictures
from legato.data.dataset import Content
from legato.data.fingerprint import digest_files, fingerprint
from legato.data.labels import encode
from legato.data.options import DataOptions
from legato.data.pictures import SUFFIXES
from legato.data.splits import TEST, TRAIN, VALIDATION
from legato.data.writer import Writer
from legato.errors import Mistake

PARTS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}


def open_folder(path: Path, options: DataOptions) -> Content:
    """The pictures below a folder. Raises `Mistake` where there are none, or they cannot become rows of one shape."""
    names, others = pictures_below(path)
    if not names:
        raise Mistake(_no_pictures(path, others))
    digest = digest_files(names, lambda name: os.path.join(path, name))
    key = fingerprint("folder", digest, options.pictures())
    content = store.entry(key, lambda writer: _build(writer, path, names, options))
    return replace(content, notes=(*content.notes, *_said(others)))


def pictures_below(path: Path) -> tuple[list[str], Counter[str]]:
    """The sorted relative paths (with `/`) of all pictures, and the count of other files by suffix."""
    names: list[str] = []
    others: Counter[str] = Counter()
    for name in _files(path, "", set()):
        suffix = os.path.splitext(name)[1].lower()
        if suffix in SUFFIXES and "\n" not in name:  # a line break would make two names of one
            names.append(name)
        else:
            others[suffix] += 1
    names.sort()
    return names, others


def _files(path: Path, below: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Files below a folder, hidden ones left out. Links are followed, each folder once, so that no link goes in circles."""
    try:
        stat = os.stat(os.path.join(path, below))
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


def _build(writer: Writer, path: Path, names: Sequence[str], options: DataOptions) -> None:
    def items() -> Iterator[Item]:
        return ((name, os.path.join(path, name)) for name in names)

    album = write_pictures(writer, items, len(names), options, str(path))
    if album.positions is not None:
        kept = np.zeros(len(names), bool)
        kept[album.positions] = True
        names = list(compress(names, kept))
    own, classes = _own_splits(names), _classes(names)
    labels, label_names = (None, ()) if classes is None else encode(classes, str(path))
    writer.finish(
        "bytes",
        names,
        labels=labels,
        label_names=label_names,
        own=own,
        positions=album.positions,
        problems=album.problems,
        notes=album.notes,
    )


def _first_level(names: Sequence[str]) -> set[str]:
    return {name.partition("/")[0].lower() if "/" in name else "" for name in names}


def _are_parts(names: Sequence[str]) -> bool:
    """Whether the first level is splits: only their names, training among them, and at least one other."""
    first = _first_level(names)
    codes = {PARTS.get(name) for name in first}
    return None not in codes and TRAIN in codes and len(codes) > 1


def _own_splits(names: Sequence[str]) -> np.ndarray | None:
    if not _are_parts(names):
        return None
    return np.array([PARTS[name.partition("/")[0].lower()] for name in names], np.uint8)


def _classes(names: Sequence[str]) -> list[str] | None:
    """The sub-folder of each picture ("" at the root), below the split's if there is one; None where nobody has any."""
    level = 1 if _are_parts(names) else 0
    split = [name.split("/", level + 1) for name in names]
    classes = [parts[level] if len(parts) > level + 1 else "" for parts in split]
    return classes if any(classes) else None


def _said(others: Counter[str]) -> list[str]:
    count = sum(others.values())
    kinds = ", ".join(sorted(suffix or "no suffix" for suffix in others)[:5])
    return [f"{count} other file{'s' if count > 1 else ''} passed over ({kinds})"] if count else []


def _no_pictures(path: Path, others: Counter[str]) -> str:
    if others.get(".parquet"):
        return f"`{path}` is a folder with Parquet files and no pictures: name one of the files"
    held = f"only {'; '.join(_said(others))}" if others else "no files"
    return f"`{path}` holds no pictures, {held}: expected {', '.join(sorted(SUFFIXES))} files in it or below it"
