"""Parquet and Arrow files, read by a process of their own (`arrow_process`): what a damaged file does to Arrow ends that alone.

Arrow's reader is C++. A file that it does not expect may abort the process or ask for all memory, which no Python can catch.
A reader takes 0.2 seconds to start, answers until nobody asks, and ends with this process, however that ends.

Covered: the schema, and batches of some columns bounded by rows and bytes. Not covered: what becomes of them (`tables`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa
import pyarrow.ipc

from legato.data.arrow_process import DONE, IDLE, REFUSED, Sizes

MEMORY = 2**30  # bytes of data that a reader may hold
PATIENCE = 10.0  # seconds until a reader that says no more is ended


class Head(NamedTuple):
    """What a file says of itself."""

    schema: pa.Schema
    rows: int
    sizes: dict[str, Sizes]


class Reader:
    """A file's reader, started when it is asked. What goes wrong in it is an `OSError`, in its words."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process: _Process | None = None

    def head(self) -> Head:
        """The schema, the number of rows and the sizes of columns."""
        head, self._process = _started(self._path)
        return head

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Batches of at most so many rows."""
        process, self._process = self._process, None  # whoever asks meanwhile gets another
        stream = None if process is None else process.asked(columns, rows)
        if process is None or stream is None:  # none, or one that nobody had asked for long
            _, process = _started(self._path)
            stream = process.asked(columns, rows)
        if stream is None:
            raise OSError(process.why())
        yield from process.answers(stream)
        self._process = process


class _Process:
    """One process; ended when it is forgotten."""

    def __init__(self, path: Path) -> None:
        root = str(Path(__file__).parents[2])
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "legato.data.arrow_process", os.path.abspath(path), str(MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]),
                "ARROW_DEFAULT_MEMORY_POOL": "system",  # others take a gigabyte before they give one byte
            },
            start_new_session=True,  # Ctrl-C is for its parent, whose end closes its pipes
        )
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        weakref.finalize(self, _end, self._process, self._said)

    def head(self) -> Head:
        said = self._output.readline()
        if not said.endswith(b"\n"):
            raise OSError(self.why())
        rows, sizes = json.loads(said)
        stream = self._opened()
        if stream is None or stream.read_all().num_rows or self._output.read(len(DONE)) != DONE:
            raise OSError(self.why())
        return Head(stream.schema, rows, {name: Sizes(*of) for name, of in sizes.items()})

    def asked(self, columns: Sequence[str], rows: int) -> pa.ipc.RecordBatchStreamReader | None:
        """The answer to a question; None where the process had ended before it, unasked."""
        with suppress(BrokenPipeError):
            self._input.write(json.dumps([list(columns), rows]).encode() + b"\n")
            self._input.flush()
        stream = self._opened()
        if stream is None and self._ended() != IDLE:
            raise OSError(self.why())
        return stream

    def answers(self, stream: pa.ipc.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
        try:
            yield from stream
        except (pa.ArrowException, EOFError) as error:
            raise OSError(self.why()) from error
        if self._output.read(len(DONE)) != DONE:  # a stream may be cut between two batches
            raise OSError(self.why())

    def why(self) -> str:
        """What ended it, in its own words where it had any."""
        code = self._ended()
        self._said.seek(0)
        said = self._said.read(65_536).decode(errors="replace").strip()
        if code == REFUSED:
            return said
        thrown = said.partition("what():")[2].strip().split("\n")[0]
        return (
            thrown or f"its reader was ended by {signal.Signals(-code).name}" if code < 0 else f"its reader ended with {code}"
        )

    def _opened(self) -> pa.ipc.RecordBatchStreamReader | None:
        try:
            return pa.ipc.open_stream(self._output)
        except (pa.ArrowException, EOFError):
            return None

    def _ended(self) -> int:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(PATIENCE)
        self._process.kill()
        return self._process.wait()


def _started(path: Path) -> tuple[Head, _Process]:
    process = _Process(path)
    return process.head(), process


def _end(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, said):
        with suppress(OSError):  # a question that nobody heard
            assert stream
            stream.close()
