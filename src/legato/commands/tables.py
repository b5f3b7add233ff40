"""Columns of numbers to Parquet, CSV or NPZ, block by block: memory stays flat where the format allows it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from legato.data.prepared import Prepared
from legato.errors import Mistake
from legato.files import whole_file
from legato.moments import LARGEST
from legato.progress import progress

Column = np.ndarray | Sequence[str | None]
Columns = dict[str, Column]
BLOCK = 5000  # rows: a block of 5,000 codes of 16 numbers is some hundred kilobytes


def labels_of(data: Prepared, rows: np.ndarray) -> Columns:
    """id and label (None where unknown) of these rows."""
    known, names = data.dataset.labels, data.dataset.label_names
    labels = [None] * len(rows) if known is None else [names[label] if label >= 0 else None for label in known[rows]]
    return {"id": [data.dataset.ids[int(row)] for row in rows], "label": labels}


def write_table(
    path: Path,
    rows: np.ndarray,
    some: Callable[[np.ndarray], Columns],
    formats: Sequence[str],
    title: str,
    wide: int = 1,
) -> None:
    """`some(rows)` for each block of rows, written whole or not at all. Raises `Mistake` for a format that is not offered.

    `wide`: how many numbers a row has; above 4,096 a block has fewer rows.
    """
    if path.suffix not in formats:
        raise Mistake(f"`{path}` must end in {', '.join(formats)}: that says in which format to write")
    if not len(rows):
        raise Mistake("there are no rows to write: choose another --split (train, validation, test, all)")
    {".parquet": _parquet, ".csv": _csv, ".npz": _npz}[path.suffix](
        # fewer rows of long codes, so that a block's bytes stay the same
        path,
        _blocks(rows, some, title, BLOCK * LARGEST // max(wide, LARGEST)),
    )


def _blocks(rows: np.ndarray, some: Callable[[np.ndarray], Columns], title: str, size: int) -> Iterator[Columns]:
    with progress(title, len(rows), unit="rows") as bar:
        for start in range(0, len(rows), size):
            yield some(rows[start : start + size])
            bar(min(start + size, len(rows)))


def _parquet(path: Path, blocks: Iterator[Columns]) -> None:
    # Imported here: a command that writes no Parquet need not load Arrow.
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    with whole_file(path) as file:
        for block in blocks:
            table = pa.table({name: _arrow(name, column) for name, column in block.items()})
            # the schema of the first block is that of all: a writer cannot change it
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table)
        # Closed within the block: the footer belongs to the file before it gets its name.
        if writer is not None:
            writer.close()


def _arrow(name: str, column: Column) -> object:
    import pyarrow as pa

    if not isinstance(column, np.ndarray):
        # strings even where all are None: a column of nulls would have another type than the next block's
        return pa.array(column, pa.string())
    if column.ndim == 1:
        return pa.array(column)
    # A list of one fixed length: readers get an array (n, d) without looking at each row.
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(column).reshape(-1)), column.shape[1])


def _csv(path: Path, blocks: Iterator[Columns]) -> None:
    import csv

    with whole_file(path) as file:
        # newline="": csv writes its own line ends, which would be doubled on Windows
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        for index, block in enumerate(map(_flat, blocks)):
            if index == 0:
                writer.writerow(block)
            writer.writerows(zip(*(["" if v is None else v for v in column] for column in block.values()), strict=True))
        text.detach()  # detached, or closing the text would close the file before it is renamed


def _flat(block: Columns) -> Columns:
    """A column of vectors as a column for each of its numbers, `mu_0`, `mu_1`, …: CSV has no lists."""
    flat: Columns = {}
    for name, column in block.items():
        wide = isinstance(column, np.ndarray) and column.ndim == 2
        flat |= {f"{name}_{i}": part for i, part in enumerate(np.asarray(column).T)} if wide else {name: column}
    return flat


def _npz(path: Path, blocks: Iterator[Columns]) -> None:
    """All codes at once: NPZ has no blocks. Strings without a label are empty, since None would need a pickle."""
    found = list(blocks)
    arrays: dict[str, Any] = {name: np.concatenate([_plain(block[name]) for block in found]) for name in found[0]}
    with whole_file(path) as file:
        np.savez(file, **arrays)  # strings are arrays of letters, which `np.load` reads without unpickling


def _plain(column: Column) -> np.ndarray:
    return column if isinstance(column, np.ndarray) else np.array([value or "" for value in column])
