"""IDX sources: a file of images with its labels beside it, a folder with a training and a test pair, embedded MNIST.

Covered: plain files, read where they lie, and gzipped ones, unpacked once into the store. Not covered: the format (`idx`).
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np

from legato.data import arrays, store
from legato.data.dataset import Content
from legato.data.fingerprint import digest_files, fingerprint
from legato.data.idx import header, is_packed, read_array, read_map
from legato.data.labels import check_length, encode
from legato.data.options import DataOptions
from legato.data.rows import RowNumbers
from legato.data.splits import TEST, TRAIN
from legato.data.writer import Writer
from legato.errors import Mistake

IMAGES = re.compile(r"(?P<name>.*?)(?P<part>train|t10k|test)-images[-.]idx\d+-ubyte(\.gz)?")
Pair = tuple[Path, Path | None]  # images, and labels where a file of them lies beside


def open_mnist(options: DataOptions) -> Content:
    """MNIST: rows 0 to 59,999 are the training file, 60,000 to 69,999 the test file, as published."""
    folder = resources.files("legato.data") / "mnist"
    with ExitStack() as stack:
        names = [f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]
        # a package may be installed as an archive
        files = [stack.enter_context(resources.as_file(folder / name)) for name in names]
        return open_pairs({"train": (files[0], files[1]), "test": (files[2], files[3])}, "mnist", options)


def open_idx(path: Path, options: DataOptions) -> Content:
    """One file of images or vectors; labels from the file beside it unless others are given. Raises `Mistake`."""
    labels = None if options.labels else labels_beside(path)
    if is_packed(path):
        return open_pairs({"": (path, labels)}, str(path), options)
    digest = _digest({"": (path, labels)})
    content = arrays.content(read_map(path, lambda: path), str(path), digest, options)
    if labels is None:
        return content
    check_length(header(labels)[1][:1], len(content.rows), str(path))  # before a file of any size is read
    codes, names = encode(read_array(labels), str(labels))
    return replace(content, labels=codes, label_names=names)


def open_pairs(pairs: dict[str, Pair], name: str, options: DataOptions) -> Content:
    """The rows of each pair in turn, in the store; ids are the part's name and the number within it."""
    key = fingerprint("idx", _digest(pairs), options.arrays())
    return store.entry(key, lambda writer: _build(writer, pairs, name, options))


def _build(writer: Writer, pairs: dict[str, Pair], name: str, options: DataOptions) -> None:
    maps = [read_map(images, partial(writer.scratch, f"images-{part}"), writer.reserve) for part, (images, _) in pairs.items()]
    parts = [arrays.as_rows(values, options.layout, name) for values in maps]
    kind, notes = arrays.build(writer, parts, name, options)
    prefixes = [(f"{part}-" if part else "", range(len(rows))) for part, rows in zip(pairs, parts, strict=True)]
    labels, label_names = _labels(pairs, parts, name)
    codes = [np.full(len(rows), TEST if part == "test" else TRAIN, np.uint8) for part, rows in zip(pairs, parts, strict=True)]
    own = np.concatenate(codes) if len(parts) > 1 else None
    writer.finish(kind, RowNumbers(prefixes), labels=labels, label_names=label_names, own=own, notes=notes)


def _labels(pairs: dict[str, Pair], parts: list[np.ndarray], name: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    files = [labels for _, labels in pairs.values()]
    if None in files:
        return None, ()
    found = [file for file in files if file is not None]
    for file, rows in zip(found, parts, strict=True):
        check_length(header(file)[1][:1], len(rows), name)
    return encode(np.concatenate([read_array(file) for file in found]), name)


def _digest(pairs: dict[str, Pair]) -> str:
    # Named by their role, so that a renamed copy has the same fingerprint.
    roles = {f"{part}-images": images for part, (images, _) in pairs.items()}
    roles |= {f"{part}-labels": labels for part, (_, labels) in pairs.items() if labels is not None}
    return digest_files(sorted(roles), lambda role: str(roles[role]))


def labels_beside(path: Path) -> Path | None:
    """The label file of an image file: `images-idx3` read as `labels-idx1`, gzipped or not."""
    name = re.sub(r"images([-.])idx\d+", r"labels\1idx1", path.name)
    if name == path.name:
        return None
    bare = name.removesuffix(".gz")
    places = [path.with_name(each) for each in (name, bare, f"{bare}.gz")]
    return next((place for place in places if place.is_file()), None)


def pairs_in(folder: Path) -> dict[str, Pair] | None:
    """The training and test pair of a folder, or None. Raises `Mistake` where there are several data sets in it."""
    found: dict[str, dict[str, Path]] = {}
    # names first: of a million pictures, making and sorting paths would take 20 seconds
    names = sorted(name for name in os.listdir(folder) if IMAGES.fullmatch(name))
    for path in (folder / name for name in names):
        if (match := IMAGES.fullmatch(path.name)) and path.is_file():
            part = "train" if match["part"] == "train" else "test"
            found.setdefault(match["name"], {}).setdefault(part, path)  # the first in order: a plain file before its .gz
    complete = [parts for parts in found.values() if len(parts) == 2]
    if len(complete) > 1:
        files = ", ".join(f"`{parts['train'].name}`" for parts in complete)
        raise Mistake(f"`{folder}` holds several IDX data sets: name one of their files, {files}")
    if not complete:
        return None
    return {part: (complete[0][part], labels_beside(complete[0][part])) for part in ("train", "test")}
