"""Parquet: a column of pictures, or columns of numbers, read by row groups so that memory stays flat.

Covered: pictures as bytes or as Hugging Face's {bytes, path}; numbers in columns of their own or in lists of one length.
Not covered: several files as one source, nested lists, pictures that are only named by a path.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from legato.data import arrays, store
from legato.data.album import Item, write_pictures
from legato.data.columns import columns_of, is_picture, is_vector, numbers_of
from legato.data.dataset import Content
from legato.data.fingerprint import digest_files, fingerprint
from legato.data.labels import Labels, encode
from legato.data.options import DataOptions, RunOptions, named_columns
from legato.data.roles import Roles, refuse_missing, roles
from legato.data.rows import RowNumbers
from legato.data.writer import Writer, writing
from legato.errors import Mistake

AT_ONCE = 256  # rows of pictures in memory; a batch of numbers takes more
NUMBERS_AT_ONCE = 65_536


def open_parquet(path: Path, options: DataOptions) -> Content:
    """The rows of a Parquet file, in the store; a row's id is its number. Raises `Mistake`."""
    with _reading(path):
        file = pq.ParquetFile(path)
    with file:
        return _open(file, path, options)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns what Arrow says of a broken file into a mistake; writing to the store stays outside."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise Mistake(f"`{path}` cannot be read as Parquet ({' '.join(str(error).split())}): write it again") from error


def _batches(file: pq.ParquetFile, rows: int, columns: list[str], path: Path) -> Iterator[pa.RecordBatch]:
    with _reading(path):
        yield from file.iter_batches(rows, columns=columns)


def _open(file: pq.ParquetFile, path: Path, options: DataOptions) -> Content:
    schema = file.schema_arrow
    found = _roles(file, path, options)
    columns, label = list(found.used), found.label
    if file.metadata.num_rows == 0:
        raise Mistake(f"`{path}` has no rows: expected a picture or numbers in each")
    digest = digest_files(["rows"], lambda _: str(path))
    key = fingerprint("parquet", digest, {"columns": columns, **options.numbers(), **options.pictures()})
    build = _build_pictures if is_picture(schema.field(columns[0]).type) else _build_numbers
    content = replace(store.entry(key, lambda writer: build(writer, file, path, columns, options)), roles=found)
    if isinstance(options, RunOptions):
        with suppress(Mistake):  # a column that is no label is none of a run's business
            return _labelled(content, file, label, path)
        return content
    return _labelled(content, file, label, path)


def _labelled(content: Content, file: pq.ParquetFile, label: str | None, path: Path) -> Content:
    if label is None:
        return content
    codes, names = _labels(file, label, path)
    kept = codes if content.positions is None else codes[content.positions]
    return replace(content, labels=kept, label_names=names, labelled=True)


def _roles(file: pq.ParquetFile, path: Path, options: DataOptions) -> Roles:
    def values(name: str) -> np.ndarray:
        with _reading(path):
            return numbers_of(file.read(columns=[name]).column(0))

    asked = named_columns(options)
    if isinstance(options, RunOptions) and asked is not None:
        refuse_missing(asked, file.schema_arrow.names, str(path))
    return roles(columns_of(file.schema_arrow), values, str(path), asked=asked, labels=options.labels)


def _build_pictures(writer: Writer, file: pq.ParquetFile, path: Path, columns: list[str], options: DataOptions) -> None:
    def items() -> Iterator[Item]:
        row = 0
        for batch in _batches(file, AT_ONCE, columns, path):
            # Cell by cell: a batch's pictures as Python bytes would double what is in memory.
            for cell in batch.column(0):
                value = cell.as_py()
                encoded = value.get("bytes") if isinstance(value, dict) else value
                yield str(row), encoded or b""
                row += 1

    album = write_pictures(writer, items, file.metadata.num_rows, options, str(path))
    numbers = range(file.metadata.num_rows) if album.positions is None else album.positions
    writer.finish("bytes", RowNumbers([("", numbers)]), positions=album.positions, problems=album.problems, notes=album.notes)


def _build_numbers(writer: Writer, file: pq.ParquetFile, path: Path, columns: list[str], options: DataOptions) -> None:
    """Through a scratch file of one matrix, because whether numbers are bytes or reals is known only at the end."""
    target, width = writer.scratch("numbers"), None
    kinds = [file.schema_arrow.field(name).type for name in columns]
    dtype = np.result_type(*(np.dtype((k.value_type if is_vector(k) else k).to_pandas_dtype()) for k in kinds))
    rows = 0
    with open(target, "wb") as scratch:
        for batch in _batches(file, NUMBERS_AT_ONCE, columns, path):
            _refuse_gaps(batch, columns, rows, path)
            block = _matrix(batch, columns, path).astype(dtype, copy=False)
            width = width or block.shape[1]
            if block.shape[1] != width:
                raise _uneven(path, columns[0], sorted({width, block.shape[1]}))
            with writing(target.parent):
                scratch.write(np.ascontiguousarray(block).data)
            rows += len(block)
    matrix = np.memmap(target, dtype, "r", shape=(rows, width or 0))
    kind, notes = arrays.build(writer, [matrix], str(path), options)
    writer.finish(kind, RowNumbers([("", range(rows))]), notes=notes)


def _refuse_gaps(batch: pa.RecordBatch, columns: list[str], before: int, path: Path) -> None:
    for name in columns:
        column = batch.column(columns.index(name))
        gone = column.is_null().to_numpy(zero_copy_only=False)
        if is_vector(column.type) and column.flatten().null_count:
            gone = gone | np.array([cell.is_valid and None in cell.as_py() for cell in column])
        if gone.any():
            first = before + int(np.flatnonzero(gone)[0])
            raise Mistake(f"the column `{name}` of `{path}` has no value in row {first}: fill it in or leave the row out")


def _matrix(batch: pa.RecordBatch, columns: list[str], path: Path) -> np.ndarray:
    first = batch.column(0)
    if not is_vector(first.type):
        return np.stack([np.asarray(column.to_numpy(zero_copy_only=False)) for column in batch.columns], axis=1)
    lengths = np.unique(pa.compute.list_value_length(first).to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise _uneven(path, columns[0], lengths.tolist())
    return np.asarray(first.flatten().to_numpy(zero_copy_only=False)).reshape(len(first), -1)


def _uneven(path: Path, column: str, lengths: list[Any]) -> Mistake:
    some = ", ".join(str(length) for length in lengths[:5])
    return Mistake(f"the lists in `{column}` of `{path}` have different lengths ({some}): rows must have one length")


def _labels(file: pq.ParquetFile, label: str, path: Path) -> Labels:
    with _reading(path):
        column = file.read(columns=[label]).column(0)
    codes, names = encode(column.to_pylist(), f"{path}:{label}")
    known = _class_names(file.schema_arrow, label)
    if known and all(name.isdecimal() and int(name) < len(known) for name in names):
        # Hugging Face keeps the names of its integer classes in the schema.
        table = np.array([*(int(name) for name in names), -1], np.int64)
        return table[codes], tuple(known)
    return codes, names


def _class_names(schema: pa.Schema, label: str) -> list[str]:
    try:
        said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return [str(name) for name in said["info"]["features"][label]["names"]]
    except (ValueError, KeyError, TypeError):
        return []
