"""The process that reads Parquet, Feather and Arrow files and hands over what it is asked for, as Arrow streams.

    python -m legato.data.arrow_process MEMORY

A question is a line of JSON on stdin: `[file]` asks for the head, `[file, columns, rows]` for batches. An answer is an Arrow
stream and a line of JSON: `[rows, {column: sizes}]` after a head, whose stream has a schema and no batch; `[]` after batches; a
sentence where something is wrong. The process ends when stdin does, or when nobody asks for long.

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

AT_ONCE = 2**25  # bytes of a batch, so that memory stays flat; a single row may have more
CELL = 2**28  # bytes of a row: a damaged length may claim any number
PAGE = 2**20  # bytes that a column's reader holds: the usual size of a page
BUFFER = 2**14  # bytes that are read ahead for a column: a table may have thousands of them
TOGETHER, FEW = 64, 2**21  # cells that are read at once, where as many of the usual size take so many bytes at most
LONG = 5.0  # seconds without a question: a folder's next file still finds it, and none is left running


class Sizes(NamedTuple):
    """Bytes of a column's largest chunk: once unpacked, as they lie in the file, and held in memory while it is read.

    `together` is how many of its cells may be read at once, so that they take little memory.
    """

    plain: int = 0
    packed: int = 0
    held: int = 0
    together: int = 1


class Parquet:
    """A Parquet file."""

    def __init__(self, path: str) -> None:
        self._path = path
        with pq.ParquetFile(path) as file:
            self.schema, self._metadata = file.schema_arrow, file.metadata  # each access to the schema reads all of it again
        self.rows = self._metadata.num_rows

    def sizes(self) -> dict[str, Sizes]:
        """Sizes by column. A page is held, where whoever wrote the file kept to the usual."""
        sizes: dict[str, Sizes] = {}
        for group in range(self._metadata.num_row_groups):
            rows = self._metadata.row_group(group)
            for i in range(rows.num_columns):
                chunk = rows.column(i)
                name, plain = chunk.path_in_schema.partition(".")[0], chunk.total_uncompressed_size
                together = min(TOGETHER, max(1, FEW * rows.num_rows // max(1, plain)))
                known = sizes.get(name, Sizes(together=TOGETHER))
                largest = max(known[:3], (plain, chunk.total_compressed_size, min(plain, PAGE)))
                sizes[name] = Sizes(*largest, together=min(known.together, together))
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
        least = [0] if len(self.schema) else None  # one column's rows are those of all: the others need not be read
        counts = [batch.num_rows for batch in self._read(least)]
        self.rows, self._most = sum(counts), max(counts, default=0)

    def sizes(self) -> dict[str, Sizes]:
        """Sizes by column, of those whose cells have one size: what is packed is unpacked in whole batches."""
        widths = {field.name: field.type.bit_width for field in self.schema if pa.types.is_primitive(field.type)}
        # Whole batches are read however few of their rows are asked for.
        return {name: Sizes(held=self._most * widths.get(name, 0) // 8, together=TOGETHER) for name in self.schema.names}

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


def send(output: BinaryIO, batches: Iterable[pa.RecordBatch]) -> None:
    """A stream, with an empty schema where there are no batches; it is whole also where they end in an error."""
    writer = None
    try:
        for batch in bounded(batches):
            writer = writer or pa.ipc.new_stream(output, batch.schema)
            writer.write_batch(batch)
    finally:
        (writer or pa.ipc.new_stream(output, pa.schema([]))).close()


class Files:
    """The file that was asked for last, open as long as it is the same."""

    def __init__(self) -> None:
        self._key: object = None
        self._file: Parquet | Arrow | None = None

    def opened(self, path: str) -> Parquet | Arrow:
        """The file as it is now."""
        found = os.stat(path)
        # the path alone may hold another file by now
        key = (path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if self._file is None or key != self._key:
            with open(path, "rb") as file:
                kind = Parquet if file.read(4) == b"PAR1" else Arrow
            self._file, self._key = kind(path), key
        return self._file


def answer(output: BinaryIO, files: Files, path: str, columns: Sequence[str] | None = None, rows: int = 0) -> list[Any]:
    """Sends a stream; what is said after it."""
    file = None
    try:
        file = files.opened(path)
    finally:
        if file is None or columns is None:
            # A stream in any case: who asks reads one before the line.
            pa.ipc.new_stream(output, pa.schema([]) if file is None else file.schema).close()
    if columns is None:
        return [file.rows, file.sizes()]
    send(output, file.batches(columns, rows))
    return []


def serve(output: BinaryIO, memory: int) -> None:
    """Answers until nobody asks."""
    files = Files()
    while select.select([0], [], [], LONG)[0] and (line := _line()):
        try:
            said: Any = answer(output, files, *json.loads(line))
        except BrokenPipeError:  # who asked has gone
            return
        except MemoryError:  # Arrow's is one, too
            said = f"it needs more than {memory:,} bytes at once: write it in smaller row groups or batches"
        except Exception as error:  # whatever it is, it is the file's: the process is well
            said = " ".join(str(error).split())[:300] or type(error).__name__
        output.write(json.dumps(said).encode() + b"\n")
        output.flush()


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
    """Allows at most so many bytes more than are held now; and no file of a core, to end by a signal being nothing unusual."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit counts what VmData does. One of all addresses would count mapped files, too.
    with open("/proc/self/status") as status:
        held = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + memory, held + memory))


def main(memory: int) -> None:
    """Serves on a copy of stdout: what others print goes where nobody reads it as an answer."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "linux":
        _bound(memory)
    serve(output, memory)


if __name__ == "__main__":
    main(int(sys.argv[1]))
    os._exit(0)  # what was half sent is of no use
