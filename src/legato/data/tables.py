"""Tables as columns in batches, whatever holds them: Parquet, Feather, Arrow, CSV, frames in memory, folders of files.

Covered: one schema, and batches of some columns bounded by bytes. Not covered: which columns are rows (`columns`), what becomes
of them (`parquet`); how CSV is told and typed (`csv_text`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from legato.data import apart
from legato.data.arrow_process import Sizes
from legato.errors import Mistake

AT_ONCE = 2**25  # bytes of numbers in a batch, and of the pages that its columns hold: memory stays flat, however wide a table
PACKED, MOST = 100, 2**28  # pictures do not shrink: a column of more bytes than MOST at a hundredth of them is a trap

Batches = Callable[[Sequence[str], int], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Table:
    """Columns by name. `batches(columns, n)` gives up to n rows at a time; `held` is a column's bytes in memory, at most."""

    what: str  # Parquet, CSV …: refusals name the kind, for a frame and a file are mended in different ways
    name: str
    schema: pa.Schema
    rows: int
    batches: Batches
    held: dict[str, int] = field(default_factory=dict)
    together: dict[str, int] = field(default_factory=dict)  # of a column, how many cells may be read at once; else 1
    refuse_trap: Callable[[str], None] = lambda column: None
    own: tuple[tuple[int | None, int], ...] = ()  # of several files: an index into `splits.NAMES` or None, and rows
    notes: tuple[str, ...] = ()
    frame: pa.Table | None = None  # one that was given in Python, whose cells are its digest

    def column(self, name: str) -> list[Any]:
        """All cells of one column, as Python has them."""
        return [cell for batch in self.batches([name], 65_536) for cell in batch.column(0).to_pylist()]


@contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """Turns what Arrow says of a broken file into a mistake; writing to the store stays outside."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        why = " ".join(str(error).split())[:300]
        raise Mistake(f"`{name}` cannot be read as {what} ({why}): write it again") from error


def parquet(path: Path) -> Table:
    """A Parquet file. Raises `Mistake`."""
    return _apart(path, "Parquet")


def feather(path: Path) -> Table:
    """A Feather (version 2) or Arrow file, or a saved Arrow stream. Raises `Mistake`."""
    return _apart(path, "Feather or Arrow")


def _apart(path: Path, what: str) -> Table:
    name = str(path)
    with reading(name, what):
        schema, rows, sizes = apart.head(path)

    def batches(columns: Sequence[str], most: int) -> Iterator[pa.RecordBatch]:
        given = 0
        for batch in told(apart.batches(path, columns, most), name, what):
            given += batch.num_rows
            yield batch
        if given != rows:  # a damaged file may say one thing in its footer and hold another
            raise Mistake(f"`{name}` cannot be read as {what} (it says {rows:,} rows and holds {given:,}): write it again")

    held = {column: of.held for column, of in sizes.items() if of.held}
    together = {column: of.together for column, of in sizes.items()}

    def refuse_trap(column: str) -> None:
        _refuse_trap(name, column, sizes.get(column, Sizes()))

    return Table(what, name, schema, rows, batches, held, together, refuse_trap)


def told(batches: Iterator[pa.RecordBatch], name: str, what: str) -> Iterator[pa.RecordBatch]:
    """The batches; what goes wrong in reading one is told, what goes wrong in using one is left as it is."""
    while True:
        with reading(name, what):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _refuse_trap(name: str, column: str, sizes: Sizes) -> None:
    plain, packed = sizes.plain, sizes.packed
    if plain > MOST and plain > PACKED * packed:
        raise Mistake(
            f"the column `{column}` of `{name}` unpacks {packed:,} bytes to {plain:,}, which no pictures do: it is read "
            f"up to {MOST:,} bytes or {PACKED} times their size in a row group; write them in smaller row groups"
        )


def in_memory(table: pa.Table, name: str) -> Table:
    """A frame that was given in Python."""

    def batches(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        places = [table.schema.get_field_index(column) for column in columns]
        yield from table.select(places).to_batches(max_chunksize=rows)

    return Table("a frame", name, table.schema, table.num_rows, batches, frame=table.combine_chunks())


def joined(tables: Sequence[Table], parts: Sequence[int | None], name: str) -> Table:
    """Several files of the same columns, one after the other. `parts`: the code of each. Raises `Mistake`."""
    first = tables[0]
    for other in tables[1:]:
        if sorted(other.schema.names) != sorted(first.schema.names):
            differ = sorted(set(other.schema.names) ^ set(first.schema.names))
            raise Mistake(
                f"`{first.name}` and `{other.name}` have different columns ({', '.join(differ[:5]) or 'some twice'}): name "
                "one of the files, or put files of one kind into a folder"
            )

    def batches(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        for table in tables:
            yield from table.batches(columns, rows)

    def refuse_trap(column: str) -> None:
        for table in tables:
            table.refuse_trap(column)

    held = {column: max(table.held.get(column, 0) for table in tables) for column in first.held}
    own = tuple((code, table.rows) for table, code in zip(tables, parts, strict=True))
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    schema = _widest([table.schema for table in tables])
    together = {column: min(table.together.get(column, 1) for table in tables) for column in first.together}
    return Table(
        first.what, name, schema, sum(table.rows for table in tables), batches, held, together, refuse_trap, own, notes
    )


def _widest(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The first schema, its columns of whole numbers real where another file has real numbers in them."""
    first = schemas[0]
    for schema in schemas[1:]:
        for i, column in enumerate(first):
            other = schema.field(column.name).type if schema.names.count(column.name) == 1 else column.type
            if pa.types.is_integer(column.type) and pa.types.is_floating(other):
                first = first.set(i, column.with_type(other))
    return first
