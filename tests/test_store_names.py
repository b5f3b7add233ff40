"""Names that stay in their file, and entries without rows: what they say is what lists and whole entries say."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.data import store
from legato.data.dataset import Problem
from legato.data.rows import Names, find
from legato.data.writer import Writer
from legato.errors import Mistake

ROWS = np.arange(5 * 3, dtype=np.uint8).reshape(5, 3)
KEY = "0123456789" * 4
NAMES = st.lists(st.text(st.characters(exclude_characters="\n"), max_size=6), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("names") / "ids.txt"


@settings(max_examples=60, deadline=None)
@given(NAMES, st.lists(st.binary(max_size=3).filter(lambda b: b"\n" not in b), max_size=3), st.data())
def test_names_are_the_list_of_them(place: Path, named: list[str], raw: list[bytes], data: st.DataObject) -> None:
    content = b"".join(name.encode(errors="replace") + b"\n" for name in named) + b"".join(line + b"\n" for line in raw)
    place.unlink(missing_ok=True)
    place.write_bytes(content)
    whole, names = content.decode("utf-8", "backslashreplace").split("\n")[:-1], Names(place)
    assert list(names) == whole == names[:]
    assert names == whole
    assert names != [*whole, "a"]
    assert (len(names), names[0], names[-1], names[np.int64(0)]) == (len(whole), whole[0], whole[-1], whole[0])
    assert names[::-2] == whole[::-2]
    assert copy.deepcopy(names) == names
    wanted = data.draw(st.sampled_from([*whole, "absent", "", "\udcff", "a\n", "\\xff"]))
    start, stop = data.draw(st.integers(-40, 40)), data.draw(st.integers(-40, 40))
    assert (wanted in names) == (wanted in whole)
    for bounds in ((), (start,), (start, stop)):
        assert _index(names, wanted, bounds) == _index(whole, wanted, bounds)
    with pytest.raises(IndexError):
        names[len(whole)]


def _index(names: object, wanted: str, bounds: tuple[int, ...]) -> int | None:
    try:
        return names.index(wanted, *bounds)  # type: ignore[attr-defined, no-any-return]
    except ValueError:
        return None


def test_many_names_stay_in_their_file(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(writer: Writer) -> None:
        writer.append(ROWS)
        writer.finish("bytes", ["a", "b\r", "c", "d", "\udcff"])

    few = store.entry(KEY, fill).ids
    monkeypatch.setattr(store, "MANY", 4)
    many = store.entry(KEY, fill).ids
    assert isinstance(few, list)
    assert isinstance(many, Names)
    assert many == few == ["a", "b\r", "c", "d", "\\xff"]
    assert find(many, "c") == find(many, "2") == 2
    with pytest.raises(Mistake, match="did you mean `b"):
        find(many, "bb")


@pytest.mark.parametrize("keep", [True, False])
def test_an_entry_without_rows_says_how_many_there_are(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch, keep: bool) -> None:
    def fill(writer: Writer) -> None:
        if not keep:  # nothing is written, so that nothing is asked of the disk
            monkeypatch.setattr("legato.data.writer.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
        writer.reserve(10**6)
        writer.append(ROWS[:2])
        writer.append(ROWS[2:])
        with pytest.raises(ValueError, match="after rows of"):
            writer.append(ROWS[:, :2])
        extra = {"sizes": np.arange(6.0).reshape(3, 2).T, "none": np.zeros((0, 4))}
        writer.finish("bytes", list("abcde"), labels=np.arange(5), problems=[Problem("x", "y")], extra=extra)

    for content in (store.entry(KEY, fill, keep_rows=keep), store.entry(KEY, lambda _: pytest.fail("built twice"))):
        assert (content.rows.shape, content.rows.dtype) == ((5, 3), np.uint8)
        assert np.array_equal(content.rows, ROWS if keep else np.zeros((5, 3)))
        assert not content.rows.flags.writeable
        assert content.labels is not None
        assert (content.labels.tolist(), content.ids, content.problems) == (
            [0, 1, 2, 3, 4],
            list("abcde"),
            (Problem("x", "y"),),
        )
        assert set(content.extra) == {"sizes", "none"}
        assert isinstance(content.extra["sizes"], np.memmap)
        assert np.array_equal(content.extra["sizes"], np.arange(6.0).reshape(3, 2).T)
        assert content.extra["none"].shape == (0, 4)
    place = fresh_cache / KEY
    assert (place / "rows.bin").exists() == keep
    assert ("rows" in json.loads((place / "meta.json").read_text())) != keep
    damaged = bytearray((place / "sizes.npy").read_bytes())
    damaged[-1] ^= 1
    (place / "sizes.npy").write_bytes(damaged)
    assert store.load(place) is None
    assert store.purge()[0] == 1


@pytest.mark.parametrize("keep", [True, False])
def test_a_build_goes_on_from_its_mark(fresh_cache: Path, keep: bool) -> None:
    begun: list[object] = []

    def fill(writer: Writer) -> None:
        begun.append(writer.state)
        assert writer.journal.noted("so far") == (b"" if writer.state is None else b"two")
        assert writer.count == (0 if writer.state is None else 2)
        if writer.state is None:
            writer.append(ROWS[:2])
            writer.journal.note("so far", b"two")
            writer.mark({"done": 2})
            writer.append(ROWS[2:3])
            writer.journal.note("so far", b"three")
            raise KeyboardInterrupt
        writer.append(ROWS[2:])
        writer.finish("bytes", list("abcde"))

    with pytest.raises(KeyboardInterrupt):
        store.entry(KEY, fill, keep_rows=keep)
    content = store.entry(KEY, fill, keep_rows=keep)
    assert begun == [None, {"done": 2}]
    assert np.array_equal(content.rows, ROWS if keep else np.zeros((5, 3)))
    assert [place.name for place in fresh_cache.iterdir() if place.name != "memo"] == [KEY]
    assert content.store is not None
    assert not (content.store / "journal").exists()
    begun.clear()
    (content.store / "meta.json").unlink()
    for other in (not keep, keep):  # what was not kept cannot be gone on with where it is to be, nor the other way
        with pytest.raises(KeyboardInterrupt):
            store.entry(KEY, fill, keep_rows=other)
    assert begun == [None, None]


@pytest.mark.parametrize("name", ["labels", "own", "../x", "", "A"])
def test_an_array_beside_the_rows_has_a_name_of_its_own(fresh_cache: Path, name: str) -> None:
    def fill(writer: Writer) -> None:
        writer.append(ROWS)
        writer.finish("bytes", list("abcde"), extra={name: ROWS})

    with pytest.raises(ValueError, match="no name of an array"):
        store.entry(KEY, fill)


def test_arrays_are_written_as_numpy_writes_them(fresh_cache: Path, tmp_path: Path) -> None:
    arrays = [np.arange(12).reshape(3, 4).T, np.zeros((0, 2)), np.array([True, False]), np.arange(3, dtype=">i2")[::2]]

    def fill(writer: Writer) -> None:
        writer.append(ROWS)
        writer.finish("bytes", list("abcde"), extra={f"a{i}": array for i, array in enumerate(arrays)})

    content = store.entry(KEY, fill)
    for i, array in enumerate(arrays):
        np.save(tmp_path / "as.npy", np.ascontiguousarray(array))
        assert content.store is not None
        assert (content.store / f"a{i}.npy").read_bytes() == (tmp_path / "as.npy").read_bytes()
