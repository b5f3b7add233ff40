"""The store: whole entries or none, whatever dies while building; keys that follow content; memory that stays flat."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from legato.data import DataOptions, Dataset, open_source, purge, store
from legato.data import fingerprint as fingerprints
from legato.data.parallel import CHUNK, ordered, workers
from legato.data.rows import RowNumbers
from legato.data.writer import Writer
from legato.errors import Mistake

ROWS = np.arange(5 * 3, dtype=np.uint8).reshape(5, 3)
KEY = "0123456789" * 4


def fill(writer: Writer) -> None:
    writer.append(ROWS[:2])
    writer.append(ROWS[2:])
    writer.finish("bytes", ["a", "b\r", "c", "d", "\udcff"], labels=np.arange(5), label_names=tuple("vwxyz"), notes=["n"])


def pictures(folder: Path, count: int = 4, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(seed).integers(0, 256, (count, 8, 9, 3), dtype=np.uint8)
    for i, pixels in enumerate(draws):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name != "memo")


def test_an_entry_reads_as_it_was_written(fresh_cache: Path) -> None:
    content = store.entry(KEY, fill)
    again = store.entry(KEY, lambda writer: pytest.fail("built twice"))
    for read in (content, again):
        assert isinstance(read.rows, np.memmap)
        assert not read.rows.flags.writeable
        assert np.array_equal(read.rows, ROWS)
        assert list(read.ids) == ["a", "b\r", "c", "d", "\\xff"]  # what is no UTF-8, as text that can be shown
        assert read.labels is not None
        assert read.labels.tolist() == [0, 1, 2, 3, 4]
        assert (read.label_names, read.notes, read.fingerprint) == (tuple("vwxyz"), ("n",), KEY)
        assert read.store == fresh_cache / KEY
    assert entries(fresh_cache) == [KEY]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, Mistake])
@pytest.mark.parametrize("finished", [False, True])
def test_a_build_that_stops_leaves_nothing(fresh_cache: Path, error: type[BaseException], finished: bool) -> None:
    def stop(writer: Writer) -> None:
        writer.append(ROWS)
        if finished:
            writer.finish("bytes", RowNumbers([("", range(5))]))
        raise error("stopped")

    with pytest.raises(error, match="stopped"):
        store.entry(KEY, stop)
    assert entries(fresh_cache) == []
    assert np.array_equal(store.entry(KEY, fill).rows, ROWS)


def test_a_killed_build_is_never_used_and_is_cleared_away(fresh_cache: Path) -> None:
    code = (
        "import os, numpy as np; from legato.data import store\n"
        "def die(writer): writer.append(np.ones((2, 3), np.uint8)); writer._rows.flush(); os._exit(9)\n"
        f"store.entry('{KEY}', die)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    left = entries(fresh_cache)
    assert len(left) == 1
    assert left[0].startswith(".building-")
    assert np.array_equal(store.entry(KEY, fill).rows, ROWS)
    assert entries(fresh_cache) == [KEY]


def test_only_dead_builds_are_cleared(fresh_cache: Path) -> None:
    mine = fresh_cache / f".building-{socket.gethostname()}-{os.getpid()}-aa"
    theirs_new, theirs_old = (fresh_cache / f".building-other-host-1-{end}" for end in ("bb", "cc"))
    for folder in (mine, theirs_new, theirs_old):
        folder.mkdir(parents=True)
    os.utime(theirs_old, (0, time.time() - 2 * store.ABANDONED))
    store.remove_stale()
    assert entries(fresh_cache) == sorted([mine.name, theirs_new.name])


@pytest.mark.parametrize("damage", ["cut rows", "no meta", "half a meta", "no labels"])
def test_a_damaged_entry_is_built_again(fresh_cache: Path, damage: str) -> None:
    place = store.entry(KEY, fill).store
    assert place is not None
    if damage == "cut rows":
        os.truncate(place / "rows.bin", 7)
    elif damage == "half a meta":
        os.truncate(place / "meta.json", 20)
    else:
        (place / {"no meta": "meta.json", "no labels": "labels.npy"}[damage]).unlink()
    content = store.entry(KEY, fill)
    assert np.array_equal(content.rows, ROWS)
    assert content.labels is not None


def _open_mean(path: str) -> float:
    return float(open_source(path).rows.mean())


def test_processes_that_build_the_same_all_succeed(fresh_cache: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", 30)
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        means = pool.map(_open_mean, [str(folder)] * 6, chunksize=1)
    assert len(set(means)) == 1
    assert len(entries(fresh_cache)) == 1


def test_the_slower_of_two_builders_takes_the_other_ones_entry(fresh_cache: Path) -> None:
    def slow(writer: Writer) -> None:
        store.entry(KEY, fill)  # meanwhile, someone else
        writer.append(ROWS + 1)
        writer.finish("bytes", RowNumbers([("", range(5))]))

    assert np.array_equal(store.entry(KEY, slow).rows, ROWS)
    assert entries(fresh_cache) == [KEY]


def opened(source: Path, **options: object) -> Dataset:
    return open_source(source, DataOptions(**options))  # type: ignore[arg-type]


def test_fingerprint_follows_content_and_options_and_not_place(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "one")
    first = opened(folder).fingerprint
    shutil.copytree(folder, tmp_path / "two")
    assert opened(tmp_path / "two").fingerprint == first
    same = [{"split_seed": 7}, {"group": r"^(\d)"}, {"strict": True}, {"crop": False}, {"layout": "NHWC"}]
    other = [{"size": 8}, {"size": 8, "crop": False}, {"size": 9}, {"channels": 1}, {"background": "black"}]
    assert {opened(folder, **options).fingerprint for options in same} == {first}
    assert len({opened(folder, **options).fingerprint for options in other} | {first}) == len(other) + 1
    (folder / "notes.txt").write_text("not a picture")
    assert opened(folder).fingerprint == first
    (folder / "0.png").rename(folder / "9.png")  # names are ids
    renamed = opened(folder).fingerprint
    pictures(folder, 1, seed=1)
    (folder / "9.png").unlink()
    assert len({first, renamed, opened(folder).fingerprint}) == 3


def test_an_untouched_folder_is_not_read_again_and_a_touched_one_is(
    fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read = pictures(tmp_path / "p"), []
    digest_file = fingerprints.digest_file
    monkeypatch.setattr(fingerprints, "digest_file", lambda path: (read.append(path), digest_file(path))[1])
    first = opened(folder).fingerprint  # young files may change again within one tick of the clock: not remembered
    assert opened(folder).fingerprint == first
    assert len(read) == 8
    monkeypatch.setattr(fingerprints, "RACY", -1.0)
    assert [opened(folder).fingerprint for _ in range(3)] == [first] * 3
    assert len(read) == 12
    before = (folder / "0.png").stat()
    data = bytearray((folder / "0.png").read_bytes())
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(folder / "0.png")
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes().ljust(len(data), b"\0"))
    os.utime(folder / "0.png", ns=(before.st_atime_ns, before.st_mtime_ns))  # size and time forged
    changed = opened(folder)
    assert changed.fingerprint != first
    assert changed.rows[0].max() == 0


def test_purge_empties_the_store_and_touches_nothing_else(fresh_cache: Path, tmp_path: Path) -> None:
    assert purge() == (0, 0)
    places = [opened(pictures(tmp_path / str(i), seed=i)).store for i in range(2)]
    size = sum(file.stat().st_size for place in places if place for file in place.iterdir())
    (fresh_cache / "thesis.txt").write_text("mine")
    (fresh_cache / ("ab" * 20)).mkdir()  # named like an entry, and none
    assert size > 2 * 4 * 8 * 9 * 3
    assert purge() == (2, size)
    assert entries(fresh_cache) == ["ab" * 20, "thesis.txt"]
    assert purge() == (0, 0)


def test_a_full_disk_is_refused_before_the_work(fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legato.data.writer.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(Mistake, match=r"GB free.*LEGATO_CACHE") as caught:
        opened(pictures(tmp_path / "p"))
    assert str(fresh_cache) in str(caught.value)
    assert entries(fresh_cache) == []


def test_a_disk_that_fills_up_is_a_mistake(fresh_cache: Path) -> None:
    class Full:
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None: ...

    def build(writer: Writer) -> None:
        writer._rows.close()
        writer._rows = Full()  # type: ignore[assignment]
        writer.append(ROWS)

    with pytest.raises(Mistake, match=r"No space left on device.*LEGATO_CACHE"):
        store.entry(KEY, build)
    assert entries(fresh_cache) == []


def test_a_cache_that_cannot_be_written_is_a_mistake_but_not_where_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LEGATO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(Mistake, match="LEGATO_CACHE") as caught:
        opened(pictures(tmp_path / "p"))
    assert str(tmp_path / "file" / "cache") in str(caught.value)
    assert open_source(ROWS).rows.tolist() == ROWS.tolist()


def test_meta_says_what_rows_are(fresh_cache: Path) -> None:
    place = store.entry(KEY, fill).store
    assert place is not None
    meta = json.loads((place / "meta.json").read_text())
    assert (meta["shape"], meta["dtype"], meta["kind"]) == ([5, 3], "|u1", "bytes")
    assert (place / "rows.bin").read_bytes() == ROWS.tobytes()


def test_ordered_is_map_and_reads_little_ahead() -> None:
    drawn = 0

    def items() -> list[int]:  # type: ignore[misc]
        nonlocal drawn
        for i in range(5000):
            drawn = i + 1
            yield i

    for position, result in enumerate(ordered(lambda i: i * i, items())):
        assert result == position**2
        assert drawn <= position + CHUNK * (3 * workers() + 1)
    assert position == 4999


def test_ordered_passes_an_error_on_and_stops() -> None:
    def fail(i: int) -> int:
        if i == 40:
            raise ValueError("forty")
        return i

    seen: list[int] = []
    with pytest.raises(ValueError, match="forty"):
        seen.extend(ordered(fail, range(100_000)))
    assert seen == list(range(40))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_memory_stays_flat_in_the_number_of_pictures(tmp_path: Path) -> None:
    """4 times as many pictures (7 → 29 MB of rows) may cost no more than a few MB at the peak.

    On two cores on any machine: what is read ahead grows with the cores (a bound of its own above), and on 16 of them it is
    all of the smaller folder.
    """
    code = (
        "import os, sys; from legato.data import open_source, DataOptions\n"
        "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])\n"
        "assert len(open_source(sys.argv[1], DataOptions(size=128))) == int(sys.argv[2])\n"
        # Not getrusage: its peak is inherited from the parent process.
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    peaks = []
    for count in (150, 600):
        folder = tmp_path / str(count)
        folder.mkdir()
        picture.save(folder / "0.png")
        for i in range(1, count):
            os.link(folder / "0.png", folder / f"{i}.png")
        done = subprocess.run([sys.executable, "-c", code, folder, str(count)], capture_output=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 8
