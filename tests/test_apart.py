"""The process that reads Parquet and Arrow files: what ends it, what it may hold, and that its end is not the file's."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from legato.data import apart, arrow_process, open_source
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


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """No process is left from before, or for after."""
    apart.end()
    yield
    apart.end()


def kept() -> subprocess.Popen[bytes]:
    """The process that waits for who asks next."""
    (one,) = apart._idle
    return one._process


def made(path: Path, table: pa.Table | None = None) -> Path:
    pq.write_table(pa.table(COLUMNS) if table is None else table, path)
    return path


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


def test_a_file_that_holds_other_rows_than_it_says_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "a.parquet")
    head = apart.head(path)
    monkeypatch.setattr(apart, "head", lambda _: head._replace(rows=ROWS + 1))
    with pytest.raises(Mistake, match="says 3,001 rows and holds 3,000"):
        parquet(path).column("a")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_reader_that_is_killed_is_not_the_end_of_a_table(tmp_path: Path, number: signal.Signals) -> None:
    """A stream may end between two batches as if it were whole."""
    path = made(tmp_path / "a.parquet", pa.table({"v": np.arange(300_000)}))
    apart.head(path)
    pid, batches = kept().pid, apart.batches(path, ["v"], 1_000)
    next(batches)
    os.kill(pid, number)
    with pytest.raises(OSError, match=number.name):
        list(batches)
    assert sum(map(len, apart.batches(path, ["v"], 100_000))) == 300_000  # asked again, another one answers


def test_a_stream_cut_between_two_batches_is_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three batches, and then the process is gone."""
    batch = pa.record_batch({"a": np.arange(5)})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
        writer.write_batch(batch)
        cut = sink.tell()
    process = apart.Process()
    monkeypatch.setattr(process, "_output", io.BytesIO(sink.getvalue()[:cut]))
    monkeypatch.setattr(process, "_ended", lambda: -9)
    stream = pa.ipc.open_stream(process._output)
    with pytest.raises(OSError, match="SIGKILL"):
        process.rest(stream)
    monkeypatch.undo()
    process.end()


def test_more_memory_than_is_given_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a few kilobytes a page is made that is larger than all that the process may hold."""
    monkeypatch.setattr(apart, "MEMORY", 2**26)
    table = pa.table({"label": ["x" * 2**27]})
    pq.write_table(table, tmp_path / "bomb.parquet", compression="zstd")
    pyarrow.feather.write_feather(table, tmp_path / "bomb.feather", compression="zstd")
    for name in ("bomb.parquet", "bomb.feather"):
        assert (tmp_path / name).stat().st_size < 2**17
        with pytest.raises(OSError, match="more than 67,108,864 bytes at once: write it in smaller row groups"):
            list(apart.batches(tmp_path / name, ["label"], 1))


def test_what_is_wrong_with_a_file_leaves_the_process_well(tmp_path: Path) -> None:
    whole = made(tmp_path / "a.parquet")
    content = whole.read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[: len(content) // 2])
    (tmp_path / "page.parquet").write_bytes(content[:4] + bytes(500) + content[504:])
    apart.head(whole)
    before = kept().pid
    with pytest.raises(apart.Refusal):
        apart.head(tmp_path / "cut.parquet")
    with pytest.raises(apart.Refusal):
        list(apart.batches(tmp_path / "page.parquet", ["a"], 100))
    with pytest.raises(apart.Refusal, match="No such file"):
        apart.head(tmp_path / "none.parquet")
    assert apart.head(whole).rows == ROWS
    assert kept().pid == before


def test_a_file_written_again_is_read_again(tmp_path: Path) -> None:
    path = made(tmp_path / "a.parquet")
    assert apart.head(path).rows == ROWS
    made(path, pa.table({"new": [1.5, 2.5]}))
    assert apart.head(path).schema.names == ["new"]
    assert pa.Table.from_batches(apart.batches(path, ["new"], 9)).to_pydict() == {"new": [1.5, 2.5]}


def test_two_at_a_time_of_one_file(tmp_path: Path) -> None:
    path = made(tmp_path / "a.parquet")
    first, second = apart.batches(path, ["a"], 1_000), apart.batches(path, ["a"], 1_000)
    both = list(zip(first, second, strict=True))
    assert len(both) == 3
    assert all(x.equals(y) for x, y in both)
    assert len(apart._idle) == 1


def test_one_that_nobody_asked_for_long_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "a.parquet")
    apart.head(path)
    kept().stdin.close()  # to the process this is a parent that asks no more
    assert kept().wait() == 0
    assert apart.head(path).rows == ROWS
    ended = kept()
    ended.stdin.close()
    assert ended.wait() == 0
    monkeypatch.setattr(apart.Process, "well", True)  # it may also end after it was last looked at
    reads, writes = os.pipe()
    os.close(reads)
    apart._idle[0]._input = os.fdopen(writes, "wb")
    assert apart.head(path).rows == ROWS
    assert kept() is not ended


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    path = made(tmp_path / "a.parquet")
    for last in ("", "os.kill(os.getpid(), 9)"):
        script = (
            "import os; from pathlib import Path; from legato.data import apart\n"
            f"apart.head(Path({str(path)!r})); print(apart._idle[0]._process.pid, flush=True); {last}"
        )
        ended = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
        assert (ended.returncode, ended.stderr) == (-9 if last else 0, "")
        until = time.monotonic() + 60
        while alive(int(ended.stdout)):
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_fork_has_a_process_of_its_own(tmp_path: Path) -> None:
    path = made(tmp_path / "a.parquet")
    apart.head(path)
    before = kept().pid
    pid = os.fork()
    if not pid:
        with suppress(BaseException):
            os._exit(0 if apart.head(path).rows == ROWS and kept().pid != before else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert apart.head(path).rows == ROWS
    assert kept().pid == before


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
