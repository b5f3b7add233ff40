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
import pyarrow.ipc
import pyarrow.parquet as pq

from legato.errors import Mistake

AT_ONCE = 2**25  # bytes of numbers in a batch, and of the pages that its columns hold in memory
PAGE = 2**20  # bytes that a column's reader holds at most, where whoever wrote the file kept to the usual
BUFFER = 2**14  # bytes of a column that are read ahead
PACKED, MOST = 100, 2**28  # pictures do not shrink: a column of more bytes than MOST at a hundredth of them is a trap

Batches = Callable[[Sequence[str], int], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Table:
    """Columns by name. `batches(columns, n)` gives up to n rows at a time; `held` is a column's bytes in memory, at most."""

    what: str  # Parquet, CSV …: for a sentence
    name: str
    schema: pa.Schema
    rows: int
    batches: Batches
    held: dict[str, int] = field(default_factory=dict)
    refuse_trap: Callable[[str], None] = lambda column: None
    own: tuple[tuple[int | None, int], ...] = ()  # of several files: an index into `splits.NAMES` or None, and rows
    notes: tuple[str, ...] = ()
    frame: pa.Table | None = None  # one that was given in Python

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
    name = str(path)
    with reading(name, "Parquet"), pq.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.metadata  # each access to the schema reads all of it again
        sizes = _chunks(metadata)

    def batches(columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        with reading(name, "Parquet"):
            file = pq.ParquetFile(path, buffer_size=BUFFER)
        with file:
            # One group at a time: the reader of several keeps the bytes of all that it has passed.
            for group in range(metadata.num_row_groups):
                some = file.iter_batches(rows, row_groups=[group], columns=list(columns), use_threads=False)
                yield from told(some, name, "Parquet")

    held = {column: min(plain, PAGE) for column, (plain, _) in sizes.items()}
    return Table("Parquet", name, schema, metadata.num_rows, batches, held, lambda column: _refuse_trap(name, column, sizes))


def told(batches: Iterator[pa.RecordBatch], name: str, what: str) -> Iterator[pa.RecordBatch]:
    """The batches; what goes wrong in reading one is told, what goes wrong in using one is left as it is."""
    while True:
        with reading(name, what):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _chunks(metadata: pq.FileMetaData) -> dict[str, tuple[int, int]]:
    """Of each column's largest chunk: bytes once unpacked, and as they lie in the file."""
    sizes: dict[str, tuple[int, int]] = {}
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        for i in range(rows.num_columns):
            chunk = rows.column(i)
            name = chunk.path_in_schema.partition(".")[0]
            size = (chunk.total_uncompressed_size, chunk.total_compressed_size)
            sizes[name] = max(sizes.get(name, (0, 0)), size)
    return sizes


def _refuse_trap(name: str, column: str, sizes: dict[str, tuple[int, int]]) -> None:
    plain, packed = sizes.get(column, (0, 0))
    if plain > MOST and plain > PACKED * packed:
        raise Mistake(
            f"the column `{column}` of `{name}` unpacks {packed:,} bytes to {plain:,}, which no pictures do: it is read "
            f"up to {MOST:,} bytes or {PACKED} times their size in a row group; write them in smaller row groups"
        )


def feather(path: Path) -> Table:
    """A Feather (version 2) or Arrow file, or a saved Arrow stream. Raises `Mistake`."""
    name, what = str(path), "Feather or Arrow"
    with reading(name, what):
        schema, rows = _schema(path), sum(batch.num_rows for batch in _arrow_batches(path))

    def batches(columns: Sequence[str], most: int) -> Iterator[pa.RecordBatch]:
        for batch in told(_arrow_batches(path), name, what):
            some = batch.select(list(columns))
            yield from (some.slice(start, most) for start in range(0, batch.num_rows, most))

    return Table(what, name, schema, rows, batches)


@contextmanager
def _arrow(path: Path) -> Iterator[Any]:
    """A reader of an Arrow file or stream, mapped."""
    with pa.memory_map(str(path)) as source:
        stream = source.read(6) != b"ARROW1"
        source.seek(0)
        yield pa.ipc.open_stream(source) if stream else pa.ipc.open_file(source)


def _schema(path: Path) -> pa.Schema:
    with _arrow(path) as reader:
        return reader.schema


def _arrow_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with _arrow(path) as reader:
        if isinstance(reader, pa.ipc.RecordBatchStreamReader):
            yield from reader
        else:
            yield from (reader.get_batch(number) for number in range(reader.num_record_batches))


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
    return Table(first.what, name, schema, sum(table.rows for table in tables), batches, held, refuse_trap, own, notes)


def _widest(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The first schema, its columns of whole numbers real where another file has real numbers in them."""
    first = schemas[0]
    for schema in schemas[1:]:
        for i, column in enumerate(first):
            other = schema.field(column.name).type if schema.names.count(column.name) == 1 else column.type
            if pa.types.is_integer(column.type) and pa.types.is_floating(other):
                first = first.set(i, column.with_type(other))
    return first
