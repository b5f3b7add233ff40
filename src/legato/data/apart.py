"""Parquet and Arrow files, read by a process apart (`arrow_process`): what a damaged file does to Arrow ends that alone.

Arrow's reader is C++. A file that it does not expect may abort the process or ask for all memory, which no Python can catch.
The process takes 0.2 seconds to start, answers for any file until nobody asks, and ends with this one, however that ends.

Covered: the schema, and batches of some columns bounded by rows and bytes. Not covered: what becomes of them (`tables`).
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.ipc

from legato.data.arrow_process import Sizes

MEMORY = 2**30  # bytes that the process may hold: a damaged file may ask for all the memory there is
PATIENCE = 10.0  # seconds that one whose pipe has broken off may take to end, before it is killed


class Head(NamedTuple):
    """The schema, the rows and the sizes that a file tells of itself."""

    schema: pa.Schema
    rows: int
    sizes: dict[str, Sizes]


def head(path: Path) -> Head:
    """The schema, the number of rows and the sizes of columns. Raises `OSError`."""
    process, stream = _asked([os.path.abspath(path)])  # absolute: the process may have begun in another folder
    try:
        said = process.rest(stream)
    except Refusal:
        _keep(process)  # it is well, and another would take 0.2 seconds to start
        raise
    _keep(process)
    return Head(stream.schema, said[0], {name: Sizes(*of) for name, of in said[1].items()})


def batches(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Batches of some columns, of at most so many rows. Raises `OSError`."""
    process, stream = _asked([os.path.abspath(path), list(columns), rows])
    try:
        yield from process.batches(stream)
        process.rest(stream)
    except Refusal:
        _keep(process)
        raise
    except BaseException:  # also of whoever leaves before the end: what it would say next is of no use
        process.end()
        raise
    _keep(process)


class Refusal(OSError):
    """The process says what is wrong with a file, and is well itself."""


class Process:
    """One process."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[2])  # this very package, whatever else is installed
        self.parent = os.getpid()  # a fork inherits the pipes, and must not talk through them
        # A file, not a pipe: nobody reads it meanwhile, and a full pipe would hold the process up.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        self._process = subprocess.Popen(
            # -P: what lies in the working folder is taken for no module of ours.
            [sys.executable, "-P", "-m", "legato.data.arrow_process", str(MEMORY)],
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

    def asked(self, question: list[Any]) -> pa.ipc.RecordBatchStreamReader | None:
        """The answer; None where the process had ended before, since nobody had asked for long. Raises `OSError`."""
        with suppress(BrokenPipeError):  # it ended while idle, which the answer tells
            self._input.write(json.dumps(question).encode() + b"\n")
            self._input.flush()
        try:
            return pa.ipc.open_stream(self._output)
        except (pa.ArrowException, OSError, EOFError) as error:
            if self._ended() == 0:
                return None
            raise OSError(self._why()) from error

    def batches(self, stream: pa.ipc.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
        """The batches of an answer. Raises `OSError`."""
        try:
            yield from stream
        except (pa.ArrowException, OSError, EOFError) as error:  # an OSError of Arrow's: its pipe has ended
            raise OSError(self._why()) from error

    def rest(self, stream: pa.ipc.RecordBatchStreamReader) -> Any:
        """The line after the batches of an answer. Raises `Refusal`, or `OSError` where it was broken off."""
        for _ in self.batches(stream):  # the line stands behind the whole stream
            pass
        line = self._output.readline()
        if not line.endswith(b"\n"):  # a stream may be cut between two batches as if it were whole
            raise OSError(self._why())
        said = json.loads(line)
        if isinstance(said, str):
            raise Refusal(said)
        return said

    @property
    def well(self) -> bool:
        """True where it runs, and is this process's own and not that of one it was forked from."""
        return self.parent == os.getpid() and self._process.poll() is None

    def end(self) -> None:
        """Ends it."""
        if self.parent == os.getpid():  # a fork's copy must not end what its parent reads from
            self._process.kill()
            self._process.wait()  # else it would stay a zombie
        for stream in (self._input, self._output, self._said):
            with suppress(OSError):  # a question that nobody heard
                stream.close()

    def _why(self) -> str:
        """The reason why it ended, in its own words where it had any."""
        code = self._ended()
        self._said.seek(0)
        # C++ tells after these words what was thrown; a process that was killed tells nothing.
        thrown = self._said.read(65_536).decode(errors="replace").partition("what():")[2].strip().split("\n")[0]
        ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return thrown or f"its reader {ended}"

    def _ended(self) -> int:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(PATIENCE)
        self._process.kill()
        return self._process.wait()


_idle: list[Process] = []
_turn = threading.Lock()


def _asked(question: list[Any]) -> tuple[Process, pa.ipc.RecordBatchStreamReader]:
    """A process of one's own, and its answer."""
    while True:
        with _turn:  # for the list alone: others need not wait for a process to start
            kept = _idle.pop() if _idle else None
        if kept is not None and not kept.well:
            kept.end()
            continue
        process = kept or Process()
        try:
            stream = process.asked(question)
        except OSError:
            process.end()
            raise
        if stream is not None:
            return process, stream
        process.end()
        if kept is None:  # a new one: asking once more would never end
            raise OSError("its reader ended before it was asked")


def _keep(process: Process) -> None:
    """One is kept for who asks next."""
    with _turn:
        if not _idle:  # one alone: what threads started beside it need not stay
            _idle.append(process)
            return
    process.end()


@atexit.register
def end() -> None:
    """Ends the one that is kept."""
    with _turn:
        while _idle:
            _idle.pop().end()
