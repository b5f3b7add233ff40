"""Streamed sources: pictures that stay where they lie give the rows, the runs and the codes that a copy of them gives."""

from __future__ import annotations

import contextlib
import gc
import io
import pickle
import shutil
import sys
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legato import cli
from legato.data import DataOptions, open_source, shards
from legato.data.batches import TrainingBatches
from legato.data.options import RunOptions
from legato.data.pictures import PictureForm
from legato.data.preparation import Preparation
from legato.data.splits import NAMES, split
from legato.data.streamed import StreamedRows, runs
from legato.errors import Mistake
from made_sources import folder_of, npz, png
from stopped_runs import assert_same, resume, stopping_after

COUNT = 120
PICTURES = np.random.default_rng(5).integers(0, 256, (COUNT, 3, 8, 9), dtype=np.uint8)
Members = list[tuple[str, bytes]]


def archive(path: Path, members: Members | list[tuple[tarfile.TarInfo, bytes]], kind: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=kind) as tar:
        for name, content in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if not isinstance(name, tarfile.TarInfo):
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def samples(numbers: range) -> Members:
    """A picture, a class and a text for each."""
    return [
        (f"{number:06d}.{ending}", content)
        for number in numbers
        for ending, content in (("png", png(PICTURES[number])), ("cls", b"%d\n" % (number % 3)), ("txt", b"words"))
    ]


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(3):
        archive(folder / f"photos-{shard:05d}.tar", samples(range(40 * shard, 40 * shard + 40)))
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("files"), {f"{i:06d}.png": png(PICTURES[i]) for i in range(COUNT)})


# ------------------------------------------------------------------------------------------------- shards


def test_shards_give_the_pictures_keys_and_classes_that_were_put_in(tars: Path):
    data = open_source(tars)
    assert data.shape == (3, 8, 9)
    assert np.array_equal(data.take(np.arange(COUNT)), PICTURES)
    assert list(data.ids) == [f"{i:06d}" for i in range(COUNT)]
    assert data.label_names == ("0", "1", "2")
    assert np.array_equal(data.labels, np.arange(COUNT) % 3)
    assert any("120 other files passed over: .txt (120)" in note for note in data.notes)


def test_nothing_is_copied(tars: Path, fresh_cache: Path):
    open_source(tars)
    assert not list(fresh_cache.rglob("rows.bin"))


def test_shards_are_read_as_the_webdataset_library_reads_them(tars: Path):
    webdataset = pytest.importorskip("webdataset")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves files open
        theirs = list(webdataset.WebDataset([str(path) for path in sorted(tars.iterdir())], shardshuffle=False).decode("rgb8"))
        gc.collect()
    ours = open_source(tars)
    assert [one["__key__"] for one in theirs] == list(ours.ids)
    assert np.array_equal(np.stack([one["png"].transpose(2, 0, 1) for one in theirs]), ours.take(np.arange(COUNT)))
    assert [one["cls"] for one in theirs] == ours.labels.tolist()


def test_rows_are_cut_as_an_array_is(tars: Path):
    rows = open_source(tars).rows
    for which in (
        7,
        -1,
        slice(3, 40, 5),
        slice(-4, None),
        [5, 2, 2],
        np.array([-1, 0]),
        np.arange(COUNT) % 7 == 0,
        np.int64(4),
    ):
        assert np.array_equal(rows[which], PICTURES[which])
    for which in (COUNT, np.array([COUNT]), np.array([-COUNT - 1])):
        with pytest.raises(IndexError):
            rows[which]
    with pytest.raises(TypeError, match="cut in parts"):
        np.asarray(rows)


def test_archives_that_are_named_for_their_parts_are_the_splits(tmp_path: Path):
    for name, numbers in {"train-0": range(8), "train-1": range(8, 16), "test-0": range(16, 20)}.items():
        archive(tmp_path / f"{name}.tar", samples(numbers))
    data = open_source(tmp_path)
    assert set(data.splits["test"].all()) == set(range(16, 20))
    assert len(data.splits["validation"])
    assert set(data.splits["validation"].all()) < set(range(16))


def test_of_two_archives_with_the_same_keys_each_key_has_its_archive_before_it(tmp_path: Path):
    for name in ("a", "b"):
        archive(tmp_path / f"{name}.tar", samples(range(5)))
    assert list(open_source(tmp_path).ids[3:7]) == ["a/000003", "a/000004", "b/000000", "b/000001"]


def test_the_picture_of_a_sample_can_be_named(tmp_path: Path):
    members = [
        (f"{i}.{part}", png(PICTURES[i + 10 * k])) for i in range(5) for k, part in enumerate(("input.png", "target.png"))
    ]
    path = archive(tmp_path / "x.tar", members)
    first, second = (open_source(path, DataOptions(column=column)) for column in (None, "target.png"))
    assert np.array_equal(first.take(np.arange(5)), PICTURES[:5])
    assert np.array_equal(second.take(np.arange(5)), PICTURES[10:15])
    with pytest.raises(Mistake, match=r"no samples with a picture .* expected files that end with `\.gif`"):
        open_source(path, DataOptions(column="gif"))


def test_a_shard_that_is_added_moves_no_row_to_another_split(tars: Path, tmp_path: Path):
    shutil.copytree(tars, tmp_path / "more")
    before = open_source(tmp_path / "more")
    told = {before.ids[row]: name for name in NAMES for row in before.splits[name].all()}
    archive(tmp_path / "more" / "photos-00001b.tar", [(f"new{i}.png", png(PICTURES[i])) for i in range(50)])
    after = open_source(tmp_path / "more")
    assert len(after) == COUNT + 50
    assert told.items() <= {after.ids[row]: name for name in NAMES for row in after.splits[name].all()}.items()


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 3000), st.integers(0, 5))
def test_splits_by_keys_cover_all_rows_once_and_a_tenth_each(count: int, seed: int):
    ids = [f"row {i}" for i in range(count)]
    found = split(ids, seed, by_key=True)
    assert sorted(np.concatenate([found[name].all() for name in NAMES])) == list(range(count))
    assert all(len(found[name]) for name in NAMES)
    if count > 500:
        assert all(abs(len(found[name]) / count - 0.1) < 6 * np.sqrt(0.09 / count) for name in ("validation", "test"))


# ------------------------------------------------------------------------------------------------- hostile archives


def test_nothing_is_unpickled_or_followed_and_names_are_only_names(tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    link = tarfile.TarInfo("link.png")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere.png")
    (tmp_path / "elsewhere.png").write_bytes(png(PICTURES[0]))
    odd = [("../../escaped.png", png(PICTURES[7])), ("/root.png", png(PICTURES[8])), ("a\nb.png", png(PICTURES[9]))]
    members = [*samples(range(5)), ("000004.pyd", pickle.dumps(Trap())), ("000004.pickle", pickle.dumps(Trap())), *odd]
    path = tmp_path / "in" / "x.tar"
    archive(path, [*((name, content) for name, content in members), (link, b"")])
    data = open_source(path)
    assert list(data.ids) == [*(f"{i:06d}" for i in range(5)), "../../escaped", "/root"]
    assert len(data.problems) == 1
    assert "of several lines" in data.problems[0].reason
    assert sorted(one.name for one in tmp_path.iterdir()) == ["elsewhere.png", "in"]
    assert [one.name for one in (tmp_path / "in").iterdir()] == ["x.tar"]


def header_of(name: str, size: int, kind: bytes = b"0") -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.USTAR_FORMAT)


def test_sizes_that_a_header_claims_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shards, "MOST_ENCODED", 5000)
    good = b"".join(header_of(f"{i}.png", len(c)) + c + bytes(-len(c) % 512) for i, c in enumerate(map(png, PICTURES[:4])))
    large = header_of("large.png", 6000) + bytes(6144)
    path = tmp_path / "x.tar"
    path.write_bytes(good + large + header_of("longer than its file.png", 4000) + bytes(512))
    data = open_source(path)
    assert len(data) == 4
    assert {problem.id: problem.reason for problem in data.problems} == {
        "large": "6,000 bytes, absurdly large: at most 5,000 are read",
        "longer than its file": "4,000 bytes, cut short",
        "x.tar": "broken after 6 samples: unexpected end of data",
    }
    with pytest.raises(Mistake, match="absurdly large"):
        open_source(path, DataOptions(strict=True))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_of_hundreds_of_megabytes_is_not_read(kind: bytes, tmp_path: Path):
    path = tmp_path / "x.tar"
    good = b"".join(header_of(f"{i}.png", len(c)) + c + bytes(-len(c) % 512) for i, c in enumerate(map(png, PICTURES[:4])))
    with open(path, "wb") as file:
        file.write(good + header_of("long", 2**28, kind))
        file.truncate(len(good) + 512 + 2**29)  # a hole: the disk is not filled, yet every byte is hashed
    data = open_source(path, RunOptions())
    assert len(data) == 4
    assert "a header of" in data.problems[0].reason


def test_an_archive_that_ends_early_gives_what_it_holds_and_is_told(tars: Path, tmp_path: Path):
    shutil.copytree(tars, tmp_path / "cut")
    broken = tmp_path / "cut" / "photos-00001.tar"
    broken.write_bytes(broken.read_bytes()[: 20 * 2048])
    data = open_source(tmp_path / "cut")
    assert 80 < len(data) < 110
    assert np.array_equal(data.take(np.arange(len(data)))[-40:], PICTURES[80:])
    assert data.problems


def test_a_broken_picture_is_left_out_and_the_others_keep_their_places(tmp_path: Path):
    members = samples(range(12))
    members[3 * 5] = (members[3 * 5][0], b"\x89PNG\r\n\x1a\nnonsense")
    data = open_source(archive(tmp_path / "x.tar", members))
    kept = [i for i in range(12) if i != 5]
    assert np.array_equal(data.take(np.arange(11)), PICTURES[kept])
    assert list(data.ids) == [f"{i:06d}" for i in kept]
    assert data.labels.tolist() == [i % 3 for i in kept]
    assert [problem.id for problem in data.problems] == ["000005"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.lists(
        st.tuples(st.text("ab/é. 0", min_size=1, max_size=140), st.integers(0, 1400), st.sampled_from([0, 1.5, 2**40])),
        max_size=6,
    ),
    st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 255)), max_size=3),
)
def test_headers_are_read_as_tarfile_reads_them(
    kind: int, members: list[tuple[str, int, float]], turned: list[tuple[int, int]]
):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=kind) as tar:
        for name, size, when in members:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = size, when
            with contextlib.suppress(ValueError):  # a name or a time that the format cannot hold
                tar.addfile(member, io.BytesIO(bytes(size)))
    content = bytearray(target.getvalue())
    for place, value in turned:
        content[place % len(content)] = value

    def read(how: type[tarfile.TarInfo]) -> list[Any]:
        found: list[Any] = []
        try:
            with tarfile.open(fileobj=io.BytesIO(content), mode="r:", tarinfo=how) as tar:
                while (one := tar.next()) is not None:
                    found.append((one.name, one.size, one.offset_data, one.type, one.linkname if one.islnk() else ""))
        except (tarfile.TarError, ValueError, OSError) as error:
            found.append(str(error))
        return found

    assert read(shards.Header) == read(tarfile.TarInfo)


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_archive_or_holds_no_picture_is_refused_with_a_line(content: bytes, tmp_path: Path):
    path = tmp_path / "x" / "x.tar"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(Mistake, match="holds no samples with a picture"):
        open_source(path.parent)
    with pytest.raises(Mistake, match=r"holds no samples .* \.txt \(2\)"):
        open_source(archive(path, [("a.txt", b"1"), ("b.txt", b"2")]))


def test_a_picture_that_changed_after_it_was_looked_at_is_told(tmp_path: Path):
    data = open_source(archive(tmp_path / "x.tar", samples(range(9))))
    shutil.copy(archive(tmp_path / "y.tar", [(f"{i}.png", png(PICTURES[i][:, :, :8])) for i in range(9)]), tmp_path / "x.tar")
    with pytest.raises(Mistake, match=r"`00000\d` of .*x\.tar` is not what it was when it was first looked at"):
        data.take(np.arange(9))


# ------------------------------------------------------------------------------------------------- folders


def test_a_folder_may_be_streamed_and_gives_what_a_copy_gives(files: Path, fresh_cache: Path):
    streamed, copied = (open_source(files, DataOptions(stream=stream)) for stream in (True, False))
    assert np.array_equal(streamed.take(np.arange(COUNT)), copied.take(np.arange(COUNT)))
    assert list(streamed.ids) == list(copied.ids)
    assert len(list(fresh_cache.rglob("rows.bin"))) == 1
    (files / "000003.png").touch()
    assert open_source(files, DataOptions(stream=True)).fingerprint == streamed.fingerprint != copied.fingerprint


def test_what_cannot_be_streamed_is_told(tmp_path: Path):
    source = npz(tmp_path / "a.npz", images=PICTURES)
    with pytest.raises(Mistake, match="cannot be streamed"):
        open_source(source, DataOptions(stream=True))
    assert len(open_source(source, RunOptions(stream=True))) == COUNT  # by a run that was trained on a folder


def test_a_broken_file_of_a_streamed_folder_is_left_out(tmp_path: Path):
    pictures = {f"{i}.png": b"broken" if i == 4 else png(PICTURES[i]) for i in range(9)}
    data = open_source(folder_of(tmp_path, pictures), DataOptions(stream=True))
    assert np.array_equal(data.take(np.arange(8)), PICTURES[[0, 1, 2, 3, 5, 6, 7, 8]])
    assert [problem.id for problem in data.problems] == ["4.png"]


def test_processes_decode_what_threads_decode(
    tars: Path, files: Path, hub: Path, monkeypatch: pytest.MonkeyPatch, fresh_cache: Path
):
    for module in ("streamed", "decoders", "picture_writer", "folder"):
        monkeypatch.setattr(f"legato.data.{module}.MANY", 20)
    for source, options in ((tars, {}), (files, {"stream": True}), (f"hub:{hub}", {})):
        data = open_source(source, DataOptions(**options))
        assert data.rows._decoders is not None  # type: ignore[attr-defined]
        numbers = np.random.default_rng(0).permutation(COUNT)
        assert np.array_equal(data.take(numbers), PICTURES[numbers])


# ------------------------------------------------------------------------------------------------- order


class Held:
    """Pictures in memory, in parts of some rows; it notes which were asked for."""

    weight = 0.0

    def __init__(self, count: int, part: int) -> None:
        self.runs = runs(range(0, count, part), count)
        self.asked: list[np.ndarray] = []

    def payloads(self, numbers: np.ndarray, buffer: int) -> list[np.ndarray]:
        self.asked.append(numbers)
        return [np.full((1, 8, 8), number % 251, np.uint8) for number in numbers]


def rows_of(count: int, part: int, buffer: int) -> StreamedRows:
    return StreamedRows(Held(count, part), PictureForm(1, None, True, "white"), (count, 1, 8, 8), range(count), "x", buffer)  # type: ignore[arg-type]


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 700), st.integers(1, 90), st.integers(1, 800), st.integers(0, 9))
def test_a_pass_takes_each_row_once_in_windows_that_reach_over_few_parts(count: int, part: int, buffer: int, seed: int):
    rows, rng = rows_of(count, part, buffer), np.random.default_rng(seed)
    chosen = np.flatnonzero(rng.random(count) < 0.8)
    order = rows.order(np.random.default_rng(seed), chosen)
    assert sorted(order) == list(range(len(chosen)))
    if buffer >= len(chosen):
        assert np.array_equal(order, np.random.default_rng(seed).permutation(len(chosen)))
        return
    part_of = np.searchsorted(rows.places.runs, chosen, side="right") - 1
    sizes = np.bincount(part_of, minlength=len(rows.places.runs))
    for start in range(0, len(order), buffer):
        touched = np.unique(part_of[order[start : start + buffer]])
        # all but the first and the last part of a window lie in it whole
        assert np.sort(sizes[touched])[:-2].sum() <= buffer or len(touched) <= 2


def test_every_row_can_come_first_and_passes_differ():
    rows, chosen = rows_of(400, 20, 50), np.arange(400)
    first = [rows.order(np.random.default_rng(seed), chosen)[0] for seed in range(2000)]
    assert len(np.unique(first)) > 380  # of 400; all with 2,000 draws but e⁻⁵ of them


@pytest.mark.parametrize("binarise", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_batches_of_streamed_rows_are_those_of_stored_ones(world: int, binarise: bool):
    count, preparation = 301, Preparation("bytes", binarise=binarise)
    streamed, chosen = rows_of(count, 64, count), np.arange(0, count, 2)
    stored = TrainingBatches(streamed[:], chosen, preparation, 16, 3)
    for rank in range(world):
        ours = TrainingBatches(streamed, chosen, preparation, 16, 3)
        for step in (0, 1, 2, 8, 9, 10, 20, 4):  # in turn, into the next pass, and back
            mine, whole = ours.at(step, rank, world), stored.at(step)
            part = stored.part(rank, world)
            assert np.array_equal(mine.x, whole.x[part])
            assert np.array_equal(mine.rows, whole.rows[part])


def test_a_process_decodes_its_own_part_of_a_batch_alone():
    rows = rows_of(256, 64, 256)
    batches = TrainingBatches(rows, np.arange(256), Preparation("bytes"), 32, 0)
    batches.at(0, 1, 4)
    assert set(map(len, rows.places.asked)) == {64}  # of all eight batches, which are small: a quarter


def test_a_run_on_shards_that_was_stopped_goes_on_bit_for_bit(tars: Path, tmp_path: Path):
    words = ["train", "vae", "--data", str(tars), "--buffer", "20", "--steps", "24", "--batch-size", "16", "--width", "16",
             "--net", "mlp", "--latent-dim", "2", "--device", "cpu", "--snapshots", "2",
             "--checkpoint-minutes", "1000"]  # fmt: skip
    assert cli.run([*words, "--out", str(tmp_path / "whole")]) == 0
    with stopping_after(13):
        assert cli.run([*words, "--out", str(tmp_path / "stopped")]) != 0
    assert resume(tmp_path / "stopped") == 0
    assert_same(tmp_path / "stopped", tmp_path / "whole")
    assert cli.run(["encode", str(tmp_path / "whole"), "--out", str(tmp_path / "codes.npz"), "--device", "cpu"]) == 0
    assert cli.run(["encode", str(tmp_path / "whole"), "--data", str(npz(tmp_path / "same.npz", images=PICTURES)),
                    "--out", str(tmp_path / "stored.npz"), "--device", "cpu"]) == 0  # fmt: skip
    ours, theirs = np.load(tmp_path / "codes.npz"), np.load(tmp_path / "stored.npz")
    assert np.array_equal(ours["mu"], theirs["mu"])
    assert list(ours["id"]) == [f"{i:06d}" for i in range(COUNT)]


# ------------------------------------------------------------------------------------------------- Hugging Face's datasets


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two Parquet files as `datasets` writes them."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    folder = tmp_path_factory.mktemp("hub")
    kinds = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog", "owl"]), "n": datasets.Value("int64")}
    )
    for part in range(2):
        numbers = range(60 * part, 60 * part + 60)
        rows = [{"image": {"bytes": png(PICTURES[i]), "path": None}, "label": i % 3, "n": i} for i in numbers]
        datasets.Dataset.from_list(rows, features=kinds).to_parquet(folder / f"train-{part:05d}-of-00002.parquet")
    return folder


def test_the_hub_gives_the_pictures_and_classes_of_its_parquet_files(hub: Path, fresh_cache: Path):
    data = open_source(f"hub:{hub}")
    assert np.array_equal(data.take(np.arange(COUNT)), PICTURES)
    assert data.label_names == ("cat", "dog", "owl")
    assert np.array_equal(data.labels, np.arange(COUNT) % 3)
    assert not list(fresh_cache.rglob("rows.bin"))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, COUNT - 1), max_size=12), max_size=6), st.integers(1, 40))
def test_rows_of_the_hub_may_be_asked_for_in_any_order(hub: Path, asked: list[list[int]], buffer: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("legato.data.hub.BLOCK", 16)
        patch.setattr("legato.data.hub.PICKED", 2000)
        data = open_source(f"hub:{hub}", DataOptions(buffer=buffer))
        chosen = data.splits["train"].all()
        batches = TrainingBatches(data.rows, chosen, Preparation("bytes"), 7, 1)
        for step, numbers in enumerate(asked):
            assert np.array_equal(data.take(np.array(numbers, np.int64)), PICTURES[numbers])
            batch = batches.at(step)
            assert np.array_equal(np.rint(batch.x.numpy() * 255), PICTURES[batch.rows])


def test_a_pass_over_the_hub_reads_each_part_once(hub: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("legato.data.hub.BLOCK", 4)
    data = open_source(f"hub:{hub}", DataOptions(buffer=12))
    read: list[int] = []
    whole = type(data.rows.places.hub).blocks
    monkeypatch.setattr(type(data.rows.places.hub), "blocks", lambda *a: (read.append(1) or block for block in whole(*a)))
    batches = TrainingBatches(data.rows, data.splits["train"].all(), Preparation("bytes"), 6, 0)
    for step in range(batches.per_epoch):
        batches.at(step)
    assert len(read) <= COUNT / 4
    assert len(data.rows.places.training.held) <= 3 * 12 // 4 + 2


def test_objects_of_datasets_are_sources(hub: Path):
    datasets = pytest.importorskip("datasets")
    streamed = datasets.load_dataset(str(hub), streaming=True)
    table = pq.read_table(hub / "train-00000-of-00002.parquet")
    small = datasets.Dataset(table).cast_column("image", datasets.Image())
    for source, count in (
        (streamed, COUNT),
        (streamed["train"], COUNT),
        (small, 60),
        (datasets.DatasetDict({"train": small}), 60),
    ):
        assert np.array_equal(open_source(source).take(np.arange(count)), PICTURES[:count])
    parts = datasets.DatasetDict({"train": small, "test": small.select(range(7))})
    data = open_source(parts)
    assert (len(data), len(data.splits["test"]), data.ids[-1]) == (67, 7, "test-6")


def test_a_saved_dataset_is_read_where_it_lies(hub: Path, tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset(pq.read_table(hub / "train-00001-of-00002.parquet")).cast_column("image", datasets.Image()).save_to_disk(
        tmp_path / "saved"
    )
    assert np.array_equal(open_source(f"hub:{tmp_path / 'saved'}").take(np.arange(60)), PICTURES[60:])


def test_a_run_on_the_hub_reads_its_data_again(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(hub.parent)
    words = ["train", "vae", "--data", f"hub:{hub.name}", "--steps", "6", "--width", "8", "--net", "mlp", "--device", "cpu"]
    assert cli.run([*words, "--out", str(tmp_path / "run")]) == 0
    monkeypatch.chdir(tmp_path)
    assert cli.run(["encode", str(tmp_path / "run"), "--device", "cpu"]) == 0


def test_pictures_that_lie_elsewhere_are_not_fetched_for_a_row(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    (tmp_path / "secret.png").write_bytes(png(PICTURES[0]))
    cells = [{"bytes": png(PICTURES[i]) if i else None, "path": str(tmp_path / "secret.png")} for i in range(6)]
    held = datasets.Dataset(pa.table({"image": cells})).cast_column("image", datasets.Image())
    data = open_source(held)
    assert [problem.id for problem in data.problems] == ["0"]
    assert np.array_equal(data.take(np.arange(5)), PICTURES[1:6])
    with pytest.raises(Mistake, match="only names the files of its pictures"):
        open_source(held.select([0]))


def test_mistakes_of_the_hub_are_told_in_a_line(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    datasets = pytest.importorskip("datasets")
    for source, said in (
        (f"hub:{tmp_path}", "cannot be read by `datasets`"),
        (datasets.Dataset.from_dict({"a": [1, 2, 3]}), "no columns of pictures: its columns are `a`"),
    ):
        with pytest.raises(Mistake, match=said):
            open_source(source)
    with pytest.raises(Mistake, match="no column of pictures `photo`"):
        open_source(f"hub:{hub}", DataOptions(column="photo"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(Mistake, match="pip install datasets"):
        open_source(f"hub:{hub}")
