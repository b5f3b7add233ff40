"""Tables as rows: a column of pictures, or columns of numbers, in batches bounded by bytes so that memory stays flat.

Covered: pictures as bytes or as Hugging Face's {bytes, path}; numbers in columns of their own or in lists of one length;
several files as one source. Not covered: nested lists, pictures that are only named by a path; opening the files (`tables`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute

from legato.data import arrays, store
from legato.data.columns import columns_of, is_picture, is_vector, numbers_of
from legato.data.dataset import Content
from legato.data.decoders import Item
from legato.data.fingerprint import Later, fingerprint
from legato.data.labels import Labels, encode
from legato.data.options import DataOptions, RunOptions, named_columns
from legato.data.picture_rows import WrittenPictures
from legato.data.picture_writer import opened_pictures
from legato.data.roles import Roles, refuse_missing, roles
from legato.data.rows import RowNumbers
from legato.data.splits import NAMES, TRAIN
from legato.data.tables import AT_ONCE, Table, joined, parquet
from legato.data.writer import Writer, writing
from legato.errors import Mistake

TALL = 4096  # rows of a batch: what it costs goes by its columns, so that short ones are dear
ACROSS = 64  # columns that are turned into rows at once: one at a time leaves most of each line of the cache unused


def open_parquet(path: Path, options: DataOptions) -> Content:
    """The rows of a Parquet file, in the store; a row's id is its number. Raises `Mistake`."""
    return open_table(parquet(path), "parquet", Later(["rows"], lambda _: str(path)), options)


def open_tables(
    tables: Sequence[Table], files: Sequence[Path], parts: Sequence[int | None], name: str, options: DataOptions
) -> Content:
    """Several files of one source; `parts` are codes of `splits.NAMES`, or None where a name says nothing. Raises `Mistake`."""
    # relative, for a moved folder is the same source
    digest = Later([os.path.relpath(file, name) for file in files], lambda file: os.path.join(name, file))
    return open_table(joined(tables, parts, name), "tables", digest, options)


def open_table(table: Table, reader: str, digest: Later | str, options: DataOptions) -> Content:
    """The rows of a table, in the store; `digest` is the hash of its content. Raises `Mistake`."""
    found = _roles(table, options)
    columns, label, schema = list(found.used), found.label, table.schema
    _refuse_twice(table, [*columns, *([label] if label else [])])
    if table.rows == 0:
        raise Mistake(f"`{table.name}` has no rows: expected a picture or numbers in each")

    def key(options: DataOptions, digest: str) -> str:
        return fingerprint(reader, digest, {"columns": columns, **options.numbers(), **options.pictures()})

    if is_picture(schema.field(columns[0]).type):
        items, finish = partial(_items, table, columns), partial(_finish, table)
        content, options = opened_pictures(items, lambda: table.rows, options, table.name, digest, columns[0], key, finish)
        content = replace(content, window=options.window)
    else:
        known = digest if isinstance(digest, str) else digest.result()
        content = store.entry(key(options, known), lambda writer: _build_numbers(writer, table, columns, options))
    content = replace(content, roles=found, notes=(*content.notes, *table.notes))
    if isinstance(options, RunOptions):
        with suppress(Mistake):  # a column that is no label is none of a run's business
            return _labelled(content, table, label)
        return content
    return _labelled(content, table, label)


def _roles(table: Table, options: DataOptions) -> Roles:
    def values(name: str) -> np.ndarray:
        _refuse_twice(table, [name])
        cells = [batch.column(0) for batch in table.batches([name], 65_536)]
        return numbers_of(pa.chunked_array(cells, table.schema.field(name).type))

    asked = named_columns(options)
    if isinstance(options, RunOptions) and asked is not None:
        refuse_missing(asked, table.schema.names, table.name)
    return roles(columns_of(table.schema), values, table.name, asked=asked, labels=options.labels)


def _labelled(content: Content, table: Table, label: str | None) -> Content:
    if label is None:
        return content
    codes, names = _labels(table, label)
    kept = codes if content.positions is None else codes[content.positions]
    return replace(content, labels=kept, label_names=names, labelled=True)


def _refuse_twice(table: Table, wanted: list[str]) -> None:
    seen: set[str] = set()
    twice = {name for name in table.schema.names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]  # None: not seen
    if found := sorted(twice.intersection(wanted)):
        raise Mistake(f"`{table.name}` has more than one column named `{found[0]}`: give each its own name")


def _items(table: Table, columns: list[str]) -> Iterator[Item]:
    """Encoded pictures row by row, read some at a time where they are small ones."""
    table.refuse_trap(columns[0])
    cells = (cell for batch in table.batches(columns, table.together.get(columns[0], 1)) for cell in batch.column(0))
    for row, cell in enumerate(cells):
        value = cell.as_py()
        encoded = value.get("bytes") if isinstance(value, dict) else value
        yield str(row), encoded or b""  # told as an empty picture, with its row


def _finish(table: Table, writer: Writer, written: WrittenPictures) -> None:
    writer.finish(
        "bytes",
        _ids(table, written.positions),
        own=_own(table, written.positions),
        positions=written.positions,
        problems=written.problems,
        notes=written.notes,
    )


def _ids(table: Table, positions: np.ndarray | None) -> Sequence[str]:
    """Row numbers; of a part, its name and the row's number in it."""
    if not any(code is not None for code, _ in table.own):
        return RowNumbers([("", range(table.rows) if positions is None else positions)])
    numbers = RowNumbers([(f"{name}-", range(rows)) for name, rows in _rows_of_parts(table)])
    return numbers if positions is None else [numbers[int(position)] for position in positions]


def _rows_of_parts(table: Table) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for code, rows in table.own:
        name = "other" if code is None else NAMES[code]
        counts[name] = counts.get(name, 0) + rows
    return list(counts.items())


def _own(table: Table, positions: np.ndarray | None) -> np.ndarray | None:
    """The split of each row, where there are training files and others, and no file says nothing."""
    codes = {code for code, _ in table.own}
    if None in codes or TRAIN not in codes or len(codes) < 2:
        return None
    own = np.repeat(np.array([code for code, _ in table.own], np.uint8), [rows for _, rows in table.own])
    return own if positions is None else own[positions]


def _build_numbers(writer: Writer, table: Table, columns: list[str], options: DataOptions) -> None:
    """Goes through a scratch file of one matrix, because whether numbers are bytes or reals is known only at the end."""
    target = writer.scratch("numbers")
    kinds = [table.schema.field(place).type for place in _places(table, columns)]
    dtype = np.result_type(*{np.dtype((k.value_type if is_vector(k) else k).to_pandas_dtype()) for k in kinds})
    with writing(target.parent):
        scratch = open(target, "wb")  # noqa: SIM115 (what fails in reading must not be told as a full disk)
    with scratch:
        width = _write_numbers(writer, table, columns, dtype, scratch)
    matrix = np.memmap(target, dtype, "r", shape=(table.rows, width))
    kind, notes = arrays.build(writer, [matrix], table.name, options)
    writer.finish(kind, _ids(table, None), own=_own(table, None), notes=notes)


def _places(table: Table, columns: list[str]) -> list[int]:
    places = {name: place for place, name in enumerate(table.schema.names)}
    return [places[name] for name in columns]


def _write_numbers(writer: Writer, table: Table, columns: list[str], dtype: np.dtype, scratch: BinaryIO) -> int:
    """Writes the matrix, some columns at a time where all of them at once would not fit; its width."""
    if is_vector(table.schema.field(_places(table, columns)[0]).type):
        first = next(iter(table.batches(columns, 1)))
        width = len(_matrix(first, columns, 0, dtype, table.name)[0])
        if not width:
            raise Mistake(f"the lists in `{columns[0]}` of `{table.name}` are empty: rows must have one number or more")
    else:
        width = len(columns)
    # Before the first value: what would not fit is refused now, not when the disk is full.
    writer.reserve(table.rows * width * dtype.itemsize)
    start = 0
    for group in _groups(table, columns, dtype.itemsize):
        rows, across = 0, width if len(columns) == 1 else len(group)
        for batch in table.batches(group, max(1, AT_ONCE // (across * dtype.itemsize))):
            block = _matrix(batch, group, rows, dtype, table.name)
            if block.shape[1] != across:
                raise _uneven(table.name, group[0], sorted({width, block.shape[1]}))
            _place(scratch, block, rows * width + start, width)
            rows += len(block)
        start += len(group)
    return width


def _groups(table: Table, columns: list[str], itemsize: int) -> Iterator[list[str]]:
    """Columns whose readers hold at most `AT_ONCE` bytes together: each keeps a page of its own in memory.

    Of a file that is read by column, they are so few that a batch has `TALL` rows: what it costs goes by its columns.
    """
    group: list[str] = []
    left = AT_ONCE
    most = AT_ONCE // (min(table.rows or 1, TALL) * itemsize) if table.held else len(columns)
    for column in columns:
        held = table.held.get(column, 0)
        if group and (held > left or len(group) >= most):
            yield group
            group, left = [], AT_ONCE
        group.append(column)
        left -= held
    yield group


def _place(scratch: BinaryIO, block: np.ndarray, first: int, width: int) -> None:
    """Writes a block (B, k) into a matrix of `width` columns, from its value number `first` on."""
    whole = block.shape[1] == width
    with writing(Path(scratch.name).parent):
        for number, row in enumerate([block] if whole else block):  # whole rows lie in a row: one write for all
            scratch.seek((first + number * width) * block.itemsize)
            scratch.write(row.data)


def _matrix(batch: pa.RecordBatch, columns: list[str], before: int, dtype: np.dtype, name: str) -> np.ndarray:
    """The numbers of a batch, (B, k); `before` rows came before it. Raises `Mistake` on gaps and uneven lists."""
    held = batch.columns  # a list of its own each time
    for column, cells in zip(columns, held, strict=True):
        _refuse_gaps(cells, column, before, name)
    first = held[0]
    if is_vector(first.type):
        lengths = np.unique(pa.compute.list_value_length(first).to_numpy(zero_copy_only=False))
        if len(lengths) > 1:
            raise _uneven(name, columns[0], lengths.tolist())
        return np.ascontiguousarray(first.flatten().to_numpy(zero_copy_only=False), dtype).reshape(len(first), -1)
    block = np.empty((batch.num_rows, len(columns)), dtype)
    for start in range(0, len(columns), ACROSS):
        some = [cells.to_numpy(zero_copy_only=False) for cells in held[start : start + ACROSS]]
        block[:, start : start + ACROSS] = np.stack(some, 1)
    return block


def _refuse_gaps(column: pa.Array, name: str, before: int, source: str) -> None:
    inner = is_vector(column.type) and column.flatten().null_count
    if not column.null_count and not inner:
        return
    gone = column.is_null().to_numpy(zero_copy_only=False)
    if inner:
        gone = gone | np.array([cell.is_valid and None in cell.as_py() for cell in column])
    first = before + int(np.flatnonzero(gone)[0])
    raise Mistake(f"the column `{name}` of `{source}` has no value in row {first}: fill it in or leave the row out")


def _uneven(path: str, column: str, lengths: list[Any]) -> Mistake:
    some = ", ".join(str(length) for length in lengths[:5])
    return Mistake(f"the lists in `{column}` of `{path}` have different lengths ({some}): rows must have one length")


def _labels(held: Table, label: str) -> Labels:
    held.refuse_trap(label)
    codes, names = encode(held.column(label), f"{held.name}:{label}")
    known = _class_names(held.schema, label)
    if known and all(name.isdecimal() and int(name) < len(known) for name in names):
        # Hugging Face keeps the names of its integer classes in the schema.
        table = np.array([*(int(name) for name in names), -1], np.int64)
        return table[codes], tuple(known)
    return codes, names


def _class_names(schema: pa.Schema, label: str) -> list[str]:
    try:
        said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return [str(name) for name in said["info"]["features"][label]["names"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
