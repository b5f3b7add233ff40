"""The process that reads one Parquet, Feather or Arrow file and hands over what it is asked for, as Arrow streams.

    python -m legato.data.arrow_process FILE MEMORY

First comes the head: a line of JSON `[rows, {column: sizes}]` and a stream that has a schema and no batch. Then, for each line
of JSON `[columns, rows]` on stdin, a stream of batches. `DONE` ends each. The process ends when stdin does, or when nobody asks
for long; what goes wrong is a sentence on stderr.

Covered: memory bounded, batches bounded by rows and by bytes. Not covered: who asks (`apart`). No NumPy, no torch: it starts
in 0.2 seconds.
"""

from __future__ import annotations

import json
import os
import resource
import select
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

AT_ONCE = 2**25  # bytes of a batch, where it has more than one row
CELL = 2**28  # bytes of a row that is handed over
PAGE = 2**20  # bytes of a column that its reader holds
BUFFER = 2**14  # bytes of a column that are read ahead
LONG = 5.0  # seconds without a question
DONE = b"\n"
IDLE, REFUSED = 0, 3  # exit codes


class Sizes(NamedTuple):
    """Bytes of a column's largest chunk: once unpacked, as they lie in the file, and held in memory while it is read."""

    plain: int = 0
    packed: int = 0
    held: int = 0


class Parquet:
    """A Parquet file."""

    def __init__(self, path: str) -> None:
        self._path = path
        with pq.ParquetFile(path) as file:
            self.schema, self._metadata = file.schema_arrow, file.metadata  # each access to the schema reads all of it again
        self.rows = self._metadata.num_rows

    def sizes(self) -> dict[str, Sizes]:
        """By column. A page is held, where whoever wrote the file kept to the usual."""
        sizes: dict[str, Sizes] = {}
        for group in range(self._metadata.num_row_groups):
            rows = self._metadata.row_group(group)
            for i in range(rows.num_columns):
                chunk = rows.column(i)
                name, plain = chunk.path_in_schema.partition(".")[0], chunk.total_uncompressed_size
                sizes[name] = max(sizes.get(name, Sizes()), Sizes(plain, chunk.total_compressed_size, min(plain, PAGE)))
        return sizes

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Some columns, so many rows at a time."""
        with pq.ParquetFile(self._path, metadata=self._metadata, buffer_size=BUFFER) as file:
            # One group at a time: the reader of several keeps the bytes of all that it has passed.
            for group in range(self._metadata.num_row_groups):
                yield from file.iter_batches(rows, row_groups=[group], columns=list(columns), use_threads=False)


class Arrow:
    """A Feather (version 2) or Arrow file, or a saved Arrow stream."""

    def __init__(self, path: str) -> None:
        self._path = path
        with pa.memory_map(path) as source:
            self.schema = self._opened(source, None).schema
        least = [0] if len(self.schema) else None  # a column's rows are those of all
        counts = [batch.num_rows for batch in self._read(least)]
        self.rows, self._most = sum(counts), max(counts, default=0)

    def sizes(self) -> dict[str, Sizes]:
        """By column, of those whose cells have one size: what is packed is unpacked in whole batches."""
        widths = {field.name: field.type.bit_width for field in self.schema if pa.types.is_primitive(field.type)}
        return {name: Sizes(held=self._most * width // 8) for name, width in widths.items()}

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Some columns, so many rows at a time."""
        for batch in self._read([i for i, name in enumerate(self.schema.names) if name in columns]):
            some = batch.select(list(columns))
            yield from (some.slice(start, rows) for start in range(0, batch.num_rows, rows))

    def _read(self, fields: list[int] | None) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(self._path) as source:
            reader = self._opened(source, fields)
            if isinstance(reader, pa.ipc.RecordBatchStreamReader):
                yield from reader
            else:
                yield from (reader.get_batch(number) for number in range(reader.num_record_batches))

    def _opened(self, source: pa.MemoryMappedFile, fields: list[int] | None) -> Any:
        stream = source.read(6) != b"ARROW1"
        source.seek(0)
        options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        return pa.ipc.open_stream(source, options=options) if stream else pa.ipc.open_file(source, options=options)


def bounded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches, halved until each has one row or at most `AT_ONCE` bytes. Raises `ValueError` on a row that is too large."""
    for batch in batches:
        size = batch.nbytes
        if batch.num_rows > 1 and size > AT_ONCE:
            half = batch.num_rows // 2
            yield from bounded([batch.slice(0, half), batch.slice(half)])
        elif size > CELL:
            raise ValueError(f"a row of it takes {size:,} bytes, and at most {CELL:,} are read")
        else:
            yield batch


def send(output: BinaryIO, batches: Iterable[pa.RecordBatch], schema: pa.Schema | None = None) -> None:
    """A stream, and `DONE`; without batches its schema is the one given, or empty."""
    writer = None if schema is None else pa.ipc.new_stream(output, schema)
    for batch in bounded(batches):
        writer = writer or pa.ipc.new_stream(output, batch.schema)
        writer.write_batch(batch)
    (writer or pa.ipc.new_stream(output, pa.schema([]))).close()
    output.write(DONE)
    output.flush()


def serve(path: str, output: BinaryIO) -> None:
    """Answers until nobody asks."""
    with open(path, "rb") as file:
        source = Parquet(path) if file.read(4) == b"PAR1" else Arrow(path)
    output.write(json.dumps([source.rows, source.sizes()]).encode() + b"\n")
    send(output, [], source.schema)
    while select.select([0], [], [], LONG)[0] and (line := _line()):
        columns, rows = json.loads(line)
        send(output, source.batches(columns, rows))


def _line() -> bytes:
    """A question, read without a buffer: `select` sees none."""
    line = b""
    while not line.endswith(b"\n"):
        some = os.read(0, 65_536)
        if not some:
            return b""
        line += some
    return line


def _bound(memory: int) -> None:
    """At most so many bytes more than what is held now; and no file of a core, to end by a signal being nothing unusual."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/status") as status:
        held = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + memory, held + memory))


def main(path: str, memory: int) -> int:
    """The exit code."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "linux":
        _bound(memory)
    try:
        serve(path, output)
    except BrokenPipeError:
        return IDLE
    except MemoryError:  # Arrow's is one, too
        return _refuse(f"it needs more than {memory:,} bytes at once: write it in smaller row groups or batches")
    except Exception as error:
        return _refuse(" ".join(str(error).split())[:300] or type(error).__name__)
    return IDLE


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return REFUSED


if __name__ == "__main__":
    code = main(sys.argv[1], int(sys.argv[2]))
    os._exit(code)  # what was half sent is of no use
