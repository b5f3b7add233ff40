"""The process that reads Parquet and Arrow files: what ends it, what it may hold, and that its end is not the file's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from legato.data import apart, arrow_process, open_source
from legato.data.apart import Reader
from legato.data.tables import feather, parquet
from legato.errors import Mistake

ROWS = 3_000
COLUMNS = {"a": np.arange(ROWS), "b": np.random.default_rng(0).normal(size=ROWS), "t": [f"class {i % 7}" for i in range(ROWS)]}


def as_stream(table: pa.Table, path: str) -> None:
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, 700)


KINDS: dict[str, tuple[Callable[[Path], Any], Callable[..., Any]]] = {
    "parquet": (parquet, lambda table, path: pq.write_table(table, path, row_group_size=900)),
    "feather": (feather, lambda table, path: pyarrow.feather.write_feather(table, path, chunksize=700)),
    "stream": (feather, as_stream),
}


def process(reader: Reader) -> subprocess.Popen[bytes]:
    assert reader._process
    return reader._process._process


def made(path: Path, table: pa.Table | None = None) -> Reader:
    pq.write_table(pa.table(COLUMNS) if table is None else table, path)
    reader = Reader(path)
    assert reader.head().rows == len(pq.read_table(path))
    return reader


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 77, 10_000])
def test_all_kinds_give_what_was_written(tmp_path: Path, kind: str, rows: int) -> None:
    read, write = KINDS[kind]
    table = pa.table({**COLUMNS, "c": pa.array(COLUMNS["t"]).dictionary_encode()})
    write(table, str(tmp_path / "x"))
    found = read(tmp_path / "x")
    assert (found.rows, found.schema.names) == (ROWS, table.schema.names)
    for columns in (["b"], ["a", "t", "c"]):
        batches = list(found.batches(columns, rows))
        assert max(len(batch) for batch in batches) <= rows
        assert pa.Table.from_batches(batches).to_pydict() == table.select(columns).to_pydict()


def test_a_file_that_aborts_arrow_is_a_mistake(tmp_path: Path) -> None:
    """A repetition that is none makes Arrow 26 throw where nothing can catch: SIGABRT."""
    pq.write_table(pa.table({"d": [0.5, 1.5, None]}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    assert content.count(b"%\x02\x18\x01d") == 1
    (tmp_path / "a.parquet").write_bytes(content.replace(b"%\x02\x18\x01d", b"%\x22\x18\x01d"))
    with pytest.raises(Mistake, match=r"a.parquet` cannot be read as Parquet \(.+\): write it again") as told:
        open_source(tmp_path / "a.parquet")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_reader_that_is_killed_is_not_the_end_of_a_table(tmp_path: Path, number: signal.Signals) -> None:
    """A stream may end between two batches as if it were whole."""
    reader = made(tmp_path / "a.parquet", pa.table({"v": np.arange(300_000)}))
    killed = process(reader)
    batches = reader.batches(["v"], 1_000)
    next(batches)
    os.kill(killed.pid, number)
    with pytest.raises(OSError, match=number.name):
        list(batches)
    assert sum(map(len, reader.batches(["v"], 100_000))) == 300_000  # asked again, another one answers


def test_more_memory_than_is_given_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a few kilobytes a page is made that is larger than all that the process may hold."""
    monkeypatch.setattr(apart, "MEMORY", 2**26)
    table = pa.table({"label": ["x" * 2**27]})
    pq.write_table(table, tmp_path / "bomb.parquet", compression="zstd")
    pyarrow.feather.write_feather(table, tmp_path / "bomb.feather", compression="zstd")
    for name in ("bomb.parquet", "bomb.feather"):
        assert (tmp_path / name).stat().st_size < 2**17
        with pytest.raises(OSError, match="more than 67,108,864 bytes at once: write it in smaller row groups"):
            list(Reader(tmp_path / name).batches(["label"], 1))


def test_two_at_a_time_of_one_file(tmp_path: Path) -> None:
    reader = made(tmp_path / "a.parquet")
    first, second = reader.batches(["a"], 1_000), reader.batches(["a"], 1_000)
    both = [(x, y) for x, y in zip(first, second, strict=True)]
    assert len(both) == 3
    assert all(x.equals(y) for x, y in both)


def test_one_that_nobody_asked_for_long_is_started_again(tmp_path: Path) -> None:
    reader = made(tmp_path / "a.parquet")
    process(reader).terminate()
    process(reader).wait()
    with pytest.raises(OSError, match="SIGTERM"):
        list(reader.batches(["a"], 10))
    reader.head()
    process(reader).stdin.close()  # to the process this is a parent that asks no more
    assert process(reader).wait() == arrow_process.IDLE


def test_it_ends_when_it_is_forgotten_and_with_its_parent(tmp_path: Path) -> None:
    reader = made(tmp_path / "a.parquet")
    child = process(reader)
    del reader
    assert child.poll() is not None
    script = (
        "from pathlib import Path; from legato.data.apart import Reader; import os\n"
        "r = Reader(Path('a.parquet')); r.head(); print(r._process._process.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert killed.returncode == -9
    until = time.monotonic() + 60
    while alive(int(killed.stdout)):
        assert time.monotonic() < until
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_batches_are_halved_until_they_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_process, "AT_ONCE", 100)
    batch = pa.record_batch({"a": np.arange(64)})
    parts = list(arrow_process.bounded([batch]))
    assert max(part.nbytes for part in parts) <= 100
    assert pa.Table.from_batches(parts).to_pydict() == batch.to_pydict()


def test_a_cell_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_process, "CELL", 100)
    with pytest.raises(ValueError, match=r"a row of it takes 1,0\d\d bytes, and at most 100 are read"):
        list(arrow_process.bounded([pa.record_batch({"a": [bytes(1_000)]})]))
