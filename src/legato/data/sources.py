"""From what a person names to a `Dataset`: recognised, read, labelled, split.

Covered: `mnist`, `factors`, folders, .npy/.npz, IDX, Parquet and arrays in memory, told apart by their first bytes rather
than by their names. Not covered: URLs, archives, databases.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

import numpy as np

from legato.data.dataset import LIKELIHOOD, Content, Dataset
from legato.data.options import DataOptions, RunOptions
from legato.data.roles import NONE
from legato.data.splits import NAMES, Split, split
from legato.errors import Mistake
from legato.files import told

MNIST, FACTORS = "mnist", "factors"
MNIST_VALIDATION = 5_000
EXPECTED = "`mnist`, `factors`, a folder of pictures, or a .npy, .npz, IDX (gzipped or not) or Parquet file"
DEFAULTS = DataOptions()


@told()
def open_source(source: str | Path | np.ndarray, options: DataOptions = DEFAULTS) -> Dataset:
    """Open a source: the first time it is prepared into the store, after that in a moment.

    Raises `Mistake` on anything a person can mend.
    """
    if isinstance(source, np.ndarray):
        name = f"array of {source.shape}"
        return _finish(name, options, _from_array(source, name, options))
    if not isinstance(source, str | Path):
        raise Mistake(f"a {type(source).__name__} is no source: expected {EXPECTED}, or a NumPy array")
    if str(source) == MNIST:
        from legato.data.pairs import open_mnist

        return _finish(MNIST, options, open_mnist(options), likelihood="bernoulli", held=MNIST_VALIDATION)
    if str(source) == FACTORS:
        from legato.data.factors import HELD_OUT, open_factors

        return _finish(FACTORS, options, open_factors(options), held=HELD_OUT)
    return _finish(str(source), options, _read(Path(source).expanduser(), options))


def _from_array(array: np.ndarray, name: str, options: DataOptions) -> Content:
    from legato.data import arrays
    from legato.data.fingerprint import digest_array

    arrays.as_rows(array, options.layout, name)  # refuses what has no bytes to hash, such as objects
    return arrays.content(array, name, digest_array(array), options)


def _read(path: Path, options: DataOptions) -> Content:
    """Hands a path to its reader; readers are imported here, when one is needed."""
    if not path.exists():
        raise _missing(path)
    if path.is_dir():
        from legato.data.folder import open_folder
        from legato.data.pairs import open_pairs, pairs_in

        pairs = pairs_in(path)
        return open_pairs(pairs, str(path), options) if pairs else open_folder(path, options)
    with open(path, "rb") as file:
        start = file.read(8)
    if start.startswith(b"\x93NUMPY"):
        from legato.data.numpy_files import open_npy

        return open_npy(path, options)
    if start.startswith(b"PK"):
        from legato.data.numpy_files import open_npz

        return open_npz(path, options)
    if start.startswith(b"PAR1"):
        from legato.data.parquet import open_parquet

        return open_parquet(path, options)
    from legato.data.idx import is_idx

    if is_idx(path):
        from legato.data.pairs import open_idx

        return open_idx(path, options)
    raise _no_source(path)


def _missing(path: Path) -> Mistake:
    beside = [entry.name for entry in path.parent.iterdir()][:10_000] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [MNIST, FACTORS, *beside], n=1, cutoff=0.6)
    found = near and (near[0] if near[0] in (MNIST, FACTORS) else str(path.parent / near[0]))
    hint = f"did you mean `{found}`? " if found else ""
    return Mistake(f"no source is at `{path}`: {hint}expected {EXPECTED}")


def _no_source(path: Path) -> Mistake:
    from legato.data.pictures import SUFFIXES

    if path.suffix.lower() in SUFFIXES:
        return Mistake(f"`{path}` is a single picture: name the folder that holds it and at least two others")
    what = "is empty" if path.stat().st_size == 0 else "is of no known kind"
    return Mistake(f"`{path}` {what}: expected {EXPECTED}")


def _finish(
    name: str, options: DataOptions, content: Content, *, likelihood: str | None = None, held: int | None = None
) -> Dataset:
    """Labels from a file, splits, and the likelihood that fits."""
    if options.strict and content.problems:  # the store may know of them from an earlier, lenient opening
        raise content.problems[0].mistake()
    if options.labels == NONE and not content.labelled:
        content = replace(content, labels=None, label_names=())
    elif options.labels is not None and not content.labelled:
        from legato.data.labels import from_file

        codes, names = from_file(options.labels, content)
        content = replace(content, labels=codes, label_names=names)
    return Dataset(
        source=name,
        options=options,
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
        return split(content.ids, options.split_seed, own=content.own, group=options.group, held=held)
    except Mistake:
        if not isinstance(options, RunOptions):
            raise
        rows = np.arange(len(content.ids))  # too few to share out, and nothing is to be trained: all are held out
        return {name: Split(rows if name == "test" else rows[:0]) for name in NAMES}
