"""Sources: from what a person names to a `Dataset`, recognised, read, labelled, split.

Covered: `mnist`, `factors`, folders, .npy/.npz, IDX, Parquet, Feather, CSV, and what is in memory; files are told apart by
their first bytes rather than by their names. Not covered: URLs, archives, databases.
"""

from __future__ import annotations

import difflib
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from legato.arguments import checked
from legato.data.dataset import LIKELIHOOD, Content, Dataset
from legato.data.options import HUB, DataOptions, RunOptions
from legato.data.roles import NONE
from legato.data.splits import NAMES, Split, split
from legato.errors import Mistake
from legato.files import told

MNIST, FACTORS = "mnist", "factors"
MNIST_VALIDATION = 5_000
START = 65_536  # bytes by which a file is told: of CSV several lines are needed, and may be long
EXPECTED = (
    "`mnist`, `factors`, a folder of pictures, a .npy, .npz, IDX (gzipped or not), Parquet, Feather, CSV or tar file "
    "(WebDataset), or hub:NAME (Hugging Face)"
)
DEFAULTS = DataOptions()


@told()
@checked
def open_source(source: Any, options: DataOptions = DEFAULTS, labels: Any = None) -> Dataset:
    """Open a source: the first time it is prepared into the store, after that in a moment.

    `source`: a name or path, an array, a list of numbers, a tensor, or a frame with named columns. `labels` (N,): one class for
    each row, in memory; in a file or a column they are named by the options.
    Raises `Mistake` on anything a person can mend.
    """
    if labels is not None and options.labels is not None:
        raise Mistake("labels are given twice, in memory and by name: give one of them")
    if not isinstance(source, str | Path):
        return _given(source, options, labels)
    found = _opened(source, options)
    return found if labels is None else _labelled(found, labels)


def _given(source: Any, options: DataOptions, labels: Any) -> Dataset:
    """Data that lie in memory."""
    from legato.data.in_memory import ACCEPTED, as_array, as_table, digest_table, is_frame, is_hub

    if is_hub(source):
        from legato.data.hub import open_hub

        name = f"array of pictures ({type(source).__name__})"
        found = _finish(name, options, open_hub(source, name, options))
    elif is_frame(source):
        from legato.data.parquet import open_table

        table = as_table(source)
        found = _finish(table.name, options, open_table(table, "frame", digest_table(table), options))
    else:
        array = as_array(source)
        if array is None:
            lazy = ": call its .collect() first" if hasattr(source, "collect") else f": expected {EXPECTED}, or {ACCEPTED}"
            raise Mistake(f"a {type(source).__name__} is no source{lazy}")
        name = f"array of {array.shape}"
        found = _finish(name, options, _from_array(array, name, options))
    return found if labels is None else _labelled(found, labels)


def _labelled(dataset: Dataset, labels: Any) -> Dataset:
    """The data with labels that were given in memory, which a run does not keep."""
    from legato.data.in_memory import as_array, is_frame
    from legato.data.labels import check_length, encode

    name = f"labels of {dataset.source}"
    values = None if isinstance(labels, str) else as_array(labels.to_numpy() if is_frame(labels) else labels, name)
    if values is None:
        raise Mistake(f"a {type(labels).__name__} is no labels: expected one class for each row, in an array or a list")
    check_length(len(values) if values.ndim else 0, len(dataset), dataset.source)
    codes, names = encode(values, dataset.source)
    return replace(dataset, labels=codes, label_names=names)


def _opened(source: str | Path, options: DataOptions) -> Dataset:
    if str(source) == MNIST:
        from legato.data.pairs import open_mnist

        return _finish(MNIST, options, open_mnist(options), likelihood="bernoulli", held=MNIST_VALIDATION)
    if str(source) == FACTORS:
        from legato.data.factors import HELD_OUT, open_factors

        return _finish(FACTORS, options, open_factors(options), held=HELD_OUT)
    _refuse_bytes(str(source))
    if str(source).startswith(HUB):
        from legato.data.hub import open_hub

        return _finish(str(source), options, open_hub(str(source).removeprefix(HUB), str(source), options))
    return _finish(str(source), options, _read(Path(source).expanduser(), options))


def _refuse_bytes(source: str) -> None:
    """A run's JSON and every line that names its source are UTF-8. (Names of files below it are shown with `\\xff`.)"""
    shown = os.fsencode(source).decode("utf-8", "backslashreplace") if "\0" not in source else source
    if shown != source:
        raise Mistake(f"the path `{shown}` is no UTF-8, and a run could not name it: rename it, or make a link to it")


def _from_array(array: np.ndarray, name: str, options: DataOptions) -> Content:
    from legato.data import arrays
    from legato.data.fingerprint import digest_array

    arrays.as_rows(array, options.layout, name)  # refuses what has no bytes to hash, such as objects
    return arrays.content(array, name, digest_array(array), options)


def _read(path: Path, options: DataOptions) -> Content:
    """Hands a path to its reader; readers are imported here, when one is needed."""
    if not _is_file(path):
        from legato.data.folder import open_folder, pictures_below
        from legato.data.pairs import open_pairs, pairs_in

        pairs = pairs_in(path)
        if pairs:
            return open_pairs(pairs, str(path), options)
        below = pictures_below(path)
        if below[0]:  # pictures: what reads tables takes 0.1 seconds to import
            return open_folder(path, below, options)
        from legato.data.file_folder import files_in, open_files

        files = files_in(path, below)
        return open_files(files, path, options) if files else open_folder(path, below, options)
    start = _start(path)
    if start.startswith(b"\x93NUMPY"):
        from legato.data.numpy_files import open_npy

        return open_npy(path, options)
    if start.startswith(b"PK"):
        from legato.data.numpy_files import open_npz

        return open_npz(path, options)
    from legato.data.shards import is_shard, open_shards

    if is_shard(start):
        return open_shards([path], [None], str(path), options)
    from legato.data.file_folder import open_file

    content = open_file(path, start, options)
    if content is not None:
        return content
    from legato.data.idx import is_idx

    if is_idx(path):
        from legato.data.pairs import open_idx

        return open_idx(path, options)
    raise _no_source(path)


def _is_file(path: Path) -> bool:
    """True for a file, False for a folder. Raises `Mistake` on what is neither: a pipe is waited for for ever."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        raise Mistake(f"`{path}` cannot be read: {getattr(error, 'strerror', None) or error}; expected {EXPECTED}") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise Mistake(f"`{path}` is a pipe, a socket or a device, which cannot be read twice: expected {EXPECTED}")
    return stat.S_ISREG(mode)


def _start(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(START)
    except OSError as error:
        raise Mistake(f"`{path}` cannot be read: {error.strerror or error}; allow it or name another source") from error


def _missing(path: Path) -> Mistake:
    # a million names are soon listed, but not soon compared
    beside = [entry.name for entry in path.parent.iterdir()][:10_000] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [MNIST, FACTORS, *beside], n=1, cutoff=0.6)
    found = near and (near[0] if near[0] in (MNIST, FACTORS) else str(path.parent / near[0]))
    hint = f"did you mean `{found}`? " if found else ""
    return Mistake(f"no source is at `{path}`: {hint}expected {EXPECTED}")


def _no_source(path: Path) -> Mistake:
    from legato.data.pictures import looks_like_picture

    if looks_like_picture(str(path)) and path.stat().st_size:
        return Mistake(f"`{path}` is a single picture: name the folder that holds it and at least two others")
    if _start(path).startswith(b"\x1f\x8b") and path.name.lower().endswith((".tar.gz", ".tgz", ".tar.gzip")):
        return Mistake(f"`{path}` is a compressed archive: uncompress it (gunzip); its pictures are compressed already")
    what = "is empty" if path.stat().st_size == 0 else "is of no known kind"
    return Mistake(f"`{path}` {what}: expected {EXPECTED}")


def _finish(
    name: str, options: DataOptions, content: Content, *, likelihood: str | None = None, held: int | None = None
) -> Dataset:
    """Labels from a file, splits, and the likelihood that fits."""
    if options.strict and content.problems:  # the store may know of them from an earlier, lenient opening
        raise content.problems[0].mistake()
    if options.stream and isinstance(content.rows, np.ndarray) and not isinstance(options, RunOptions):
        raise Mistake(f"`{name}` cannot be streamed: folders of pictures can, and Parquet as hub:FOLDER; leave --stream out")
    if options.labels == NONE and not content.labelled:
        content = replace(content, labels=None, label_names=())
    elif options.labels is not None and not content.labelled:
        from legato.data.labels import from_file

        codes, names = from_file(options.labels, content)
        content = replace(content, labels=codes, label_names=names)
    return Dataset(
        source=name,
        # what was found is kept: later commands scale alike
        options=options if content.window is None else replace(options, window=content.window),
        rows=content.rows,
        labels=content.labels,
        label_names=content.label_names,
        ids=content.ids,
        splits=_splits(content, options, held),
        kind=content.kind,
        likelihood=likelihood or LIKELIHOOD[content.kind],
        problems=content.problems,
        notes=content.notes,
        fingerprint=content.fingerprint,
        store=content.store,
        roles=content.roles,
    )


def _splits(content: Content, options: DataOptions, held: int | None) -> dict[str, Split]:
    try:
        return split(content.ids, options.split_seed, own=content.own, group=options.group, held=held, by_key=content.by_key)
    except Mistake:
        if not isinstance(options, RunOptions):
            raise
        rows = np.arange(len(content.ids))  # too few to share out, and nothing is to be trained: all are held out
        return {name: Split(rows if name == "test" else rows[:0]) for name in NAMES}
