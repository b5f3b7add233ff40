"""New data under an old run: read in the run's form, whatever few rows look like; and a source that changed, which is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import legato
from legato import cli
from legato.data import DataOptions, open_source
from legato.data.preparation import prepare
from legato.data.prepared import Prepared, reopen
from legato.errors import Mistake, Stopped
from legato.experiment.family import Protocol
from legato.experiment.run import Experiment, refuse_other_data
from legato.explorer.opening import prepare as visit
from legato.report.trained.subjects import opened
from legato.run import Run
from made_runs import arguments, train
from made_sources import folder_of, npy, npz, table
from stopped_runs import all_of, stopping_after

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 3, 16, 16), dtype=np.uint8)
GREY = RNG.integers(0, 256, (12, 16, 16), dtype=np.uint8)
NUMBERS = RNG.normal(size=(40, 4)) * [1, 10, 100, 0.1]
NAMES = ["temp", "flow, raw", "press", "pH"]


def stored(source: Any, **options: Any) -> dict[str, Any]:
    """What data.json would keep of a run on this source."""
    data = open_source(source, DataOptions(**options))
    preparation = prepare(data.kind, data.likelihood, data.rows, data.splits["train"].all())
    kept: dict[str, Any] = json.loads(json.dumps(Prepared(data, preparation).to_json()))
    return kept


def prepared(found: Prepared) -> np.ndarray:
    return found.rows(np.arange(len(found.dataset)))


def pictures(path: Path, images: np.ndarray) -> Path:
    return folder_of(path, {f"{i:02d}.png": image for i, image in enumerate(images)})


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A source of each kind that runs are trained on."""
    root = tmp_path_factory.mktemp("trained")
    return {
        "table": table(root / "table.parquet", dict(zip(NAMES, NUMBERS.T, strict=True))),
        "colour": pictures(root / "colour", COLOUR),
        "grey": pictures(root / "grey", GREY),
        "bytes": npy(root / "bytes.npy", GREY),
        "binary": npy(root / "binary.npy", (GREY > 99).astype(np.uint8)),
        "reals": npy(root / "reals.npy", GREY / 255),
    }


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(4)), extra=st.booleans(), rows=st.integers(1, 40))
def test_columns_are_found_by_the_names_that_training_saw(order, extra, rows, places, tmp_path_factory):
    columns = {NAMES[i]: NUMBERS[:rows, i] for i in order}
    if extra:
        columns = {"before": np.ones(rows), **columns, "y": np.linspace(0, 1, rows)}
    other = table(tmp_path_factory.mktemp("t") / "new.parquet", columns)
    run = stored(places["table"])
    found = reopen(run, other)
    assert run["columns"]["used"] == NAMES
    np.testing.assert_array_equal(found.dataset.rows, NUMBERS[:rows])
    np.testing.assert_array_equal(prepared(found), prepared(reopen(run))[:rows])


def test_a_missing_or_renamed_column_is_refused_with_the_names(places, tmp_path):
    other = table(tmp_path / "new.parquet", {"temp": NUMBERS[:, 0], "humidity": NUMBERS[:, 1], "pH": NUMBERS[:, 3]})
    with pytest.raises(Mistake, match=r"lacks `flow, raw`, `press`.*`temp`, `flow, raw`, `press`, `pH`.*has `humidity`"):
        reopen(stored(places["table"]), other)


def test_a_changed_table_of_ones_own_goes_by_names_too(tmp_path):
    path = table(tmp_path / "t.parquet", dict(zip(NAMES, NUMBERS.T, strict=True)))
    run = stored(path)
    table(path, {name: NUMBERS[::-1, i] for i, name in reversed(list(enumerate(NAMES)))})
    found = reopen(run)
    np.testing.assert_array_equal(found.dataset.rows, NUMBERS[::-1])
    assert found.own
    assert "is not what the run was trained on" in found.remarks[0]


def test_a_run_without_names_takes_columns_in_their_order_and_says_so(places, tmp_path):
    run = {key: value for key, value in stored(places["table"]).items() if key != "columns"}
    assert reopen(run).remarks == ()
    found = reopen(run, table(tmp_path / "new.parquet", dict(zip("abcd", NUMBERS[:5].T, strict=True))))
    np.testing.assert_array_equal(found.dataset.rows, NUMBERS[:5])
    assert "keeps no names of columns" in found.remarks[0]


def test_a_lone_picture_column_may_have_another_name(tmp_path):
    def column(name: str, images: np.ndarray) -> Path:
        folder = pictures(tmp_path / f"{name}-png", images)
        cells = pa.array([path.read_bytes() for path in sorted(folder.iterdir())], pa.binary())
        return table(tmp_path / f"{name}.parquet", {name: cells})

    found = reopen(stored(column("image", COLOUR)), column("photo", COLOUR[:2]))
    np.testing.assert_array_equal(found.dataset.rows, COLOUR[:2])


def test_grey_pictures_under_a_colour_run_and_colour_under_grey(places, tmp_path):
    grey, colour = pictures(tmp_path / "g", GREY[:2]), pictures(tmp_path / "c", COLOUR[:2])
    found = reopen(stored(places["colour"]), grey)
    np.testing.assert_array_equal(found.dataset.rows, np.repeat(GREY[:2, None], 3, axis=1))
    found = reopen(stored(places["grey"]), colour)
    luma = [np.asarray(Image.fromarray(c.transpose(1, 2, 0)).convert("L")) for c in COLOUR[:2]]
    np.testing.assert_array_equal(found.dataset.rows[:, 0], luma)
    assert "turned grey" in " ".join(found.remarks)


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8"])
def test_grey_arrays_under_a_colour_run_even_blank_ones(dtype, places, tmp_path):
    for values in (GREY[:3], np.zeros_like(GREY[:1])):
        found = reopen(stored(places["colour"]), npy(tmp_path / "g.npy", values.astype(dtype)))
        np.testing.assert_array_equal(found.dataset.rows, np.repeat(values[:, None], 3, axis=1))
        assert found.dataset.rows.dtype == np.uint8


def test_pictures_of_another_size_are_brought_to_the_runs_and_it_is_said(places, tmp_path):
    wide = folder_of(tmp_path / "w", {"a.png": np.full((3, 20, 40), 9, np.uint8), "b.png": np.full((3, 16, 16), 7, np.uint8)})
    found = reopen(stored(places["colour"]), wide)
    assert found.dataset.shape == (3, 16, 16)
    assert set(np.unique(found.dataset.rows)) == {7, 9}
    assert "16×16" in " ".join(found.remarks)
    with pytest.raises(Mistake, match="same shape"):
        reopen(stored(places["bytes"]), npy(tmp_path / "a.npy", np.zeros((3, 20, 20), np.uint8)))


def test_a_single_picture_is_enough(places, tmp_path):
    photo = folder_of(tmp_path, {"today.png": COLOUR[0]}) / "today.png"
    for kind in ("colour", "grey"):
        found = reopen(stored(places[kind]), photo)
        assert (list(found.dataset.ids), found.default_split, found.dataset.source) == (["today.png"], "all", str(photo))
    np.testing.assert_array_equal(reopen(stored(places["colour"]), photo).dataset.rows, COLOUR[:1])
    photo.write_bytes(photo.read_bytes()[:99])
    for kind, said in {"colour": "cannot be read", "table": "same shape"}.items():
        with pytest.raises(Mistake, match=said):
            reopen(stored(places[kind]), photo)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_arrays_lie_as_the_run_can_take_them(layout, places, tmp_path):
    bands = RNG.integers(0, 256, (5, 13, 16, 16), dtype=np.uint8)
    run = stored(npy(tmp_path / "b.npy", bands), layout="NCHW")
    new = bands[:2].transpose(0, 2, 3, 1) if layout == "NHWC" else bands[:2]
    np.testing.assert_array_equal(reopen(run, npy(tmp_path / "n.npy", new)).dataset.rows, bands[:2])


@pytest.mark.parametrize("size", [None, 16])
@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_blank_picture_is_a_picture(value, size, places, tmp_path):
    run = stored(places["bytes"], size=size)
    found = reopen(run, npy(tmp_path / "blank.npy", np.full((1, *((16, 16) if size is None else (20, 20))), value, np.uint8)))
    assert (found.dataset.kind, found.dataset.likelihood, len(found.dataset)) == ("bytes", "discretized-logistic", 1)
    np.testing.assert_allclose(prepared(found), value / 255, rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from(["bytes", "binary", "reals"]),
    dtype=st.sampled_from(["?", "u1", "i2", "i8", "f4", "f8"]),
    high=st.sampled_from([0, 1, 30, 255]),
    rows=st.integers(1, 4),
    packed=st.booleans(),
)
def test_the_same_rows_give_the_same_numbers_whatever_they_are_stored_as(
    kind, dtype, high, rows, packed, places, tmp_path_factory
):
    """As float64 NPY gives them, or both are refused: never as another kind than the run's."""
    folder, run = tmp_path_factory.mktemp("n"), stored(places[kind])
    values = np.random.default_rng(high).integers(0, high + 1, (rows, 16, 16)).astype(dtype)
    plain = npy(folder / "plain.npy", values.astype(np.float64))
    other = npz(folder / "o.npz", images=values) if packed else npy(folder / "o.npy", values)
    if values.max() > {"binary": 1, "bytes": 255, "reals": 1}[kind]:  # the run's real numbers lie in [0, 1]
        for each in (plain, other):
            with pytest.raises(Mistake, match=r"give values of the same kind|x / 255"):
                reopen(run, each)
    else:
        found, expected = reopen(run, other), reopen(run, plain)
        assert found.dataset.kind == expected.dataset.kind == kind
        np.testing.assert_allclose(prepared(found), prepared(expected), rtol=1e-6)


def test_what_is_no_value_of_the_runs_kind_is_refused(places, tmp_path):
    for kind, values in {"bytes": GREY[:2] + 0.5, "binary": GREY[:2], "reals": GREY[:2]}.items():
        with pytest.raises(Mistake, match=r"values of the same kind|x / 255"):
            reopen(stored(places[kind]), npy(tmp_path / "n.npy", values))
    with pytest.raises(Mistake, match="x / 255"):
        reopen(stored(places["reals"]), places["grey"])


def test_small_counts_are_the_runs_kind(tmp_path):
    counts = RNG.poisson(20, (60, 6))
    counts[5, 2] = 812
    run = stored(table(tmp_path / "c.parquet", {f"g{i}": counts[:, i] for i in range(6)}))
    found = reopen(run, table(tmp_path / "n.parquet", {f"g{i}": counts[9:10, i] for i in range(6)}))
    assert found.dataset.kind == "reals"
    np.testing.assert_array_equal(prepared(found), prepared(reopen(run))[9:10])


def test_labels_groups_and_strictness_are_said_of_the_training_source_alone(tmp_path):
    films = folder_of(tmp_path / "f", {f"film{i // 4}_{i}.png": image for i, image in enumerate(COLOUR)})
    labels = tmp_path / "labels.csv"
    labels.write_text("".join(f"film{i // 4}_{i}.png,{i % 2}\n" for i in range(12)))
    run = stored(films, labels=str(labels), group=r"^(film\d+)_", strict=True)
    other = folder_of(tmp_path / "o", {"one.png": COLOUR[0], "broken.png": b"nothing"})
    found = reopen(run, other)
    assert (found.own, found.default_split, len(found.dataset), found.dataset.labels) == (False, "all", 1, None)
    assert "broken.png" in found.remarks[0]
    assert reopen(run).dataset.labels is not None


def test_a_copy_of_the_training_source_is_the_runs_own(places, tmp_path):
    run = stored(places["colour"], group=r"(\d)\.")
    copied = reopen(run, shutil.copytree(places["colour"], tmp_path / "copy"))
    assert (copied.own, copied.default_split, copied.remarks) == (True, "test", ())
    np.testing.assert_array_equal(copied.split("test").all(), reopen(run).split("test").all())


def test_labels_that_are_gone_stop_no_run(places, tmp_path):
    labels = tmp_path / "l.txt"
    labels.write_text("a\nb\n" * 6)
    run = stored(places["bytes"], labels=str(labels))
    labels.unlink()
    found = reopen(run)
    assert found.dataset.labels is None
    assert "without labels" in found.remarks[0]


def test_labels_that_changed_are_said(places, tmp_path):
    labels = tmp_path / "l.txt"
    labels.write_text("a\nb\n" * 6)
    run = stored(places["bytes"], labels=str(labels))
    assert reopen(run).remarks == ()
    assert reopen({key: value for key, value in run.items() if key != "labels"}).remarks == ()  # of an older run
    labels.write_text("b\na\n" * 6)
    (remark,) = reopen(run).remarks
    assert "the labels of" in remark
    assert "not those of then" in remark


def test_sources_and_labels_are_remembered_by_their_absolute_paths(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    npy(Path("data.npy"), GREY)
    Path("l.txt").write_text("a\n" * 12)
    run = stored("data.npy", labels="l.txt")
    assert (run["source"], run["options"]["labels"]) == (str(tmp_path / "a" / "data.npy"), str(tmp_path / "a" / "l.txt"))
    assert stored("mnist")["source"] == "mnist"
    monkeypatch.chdir(tmp_path)
    assert reopen(run, "a/data.npy").own
    assert reopen(run).remarks == ()
    npy(Path("data.npy"), GREY[::-1])
    assert "is not what" in reopen({**run, "source": "data.npy"}).remarks[0]  # a run of before, from another folder
    (tmp_path / "a" / "data.npy").unlink()
    with pytest.raises(Mistake, match="no longer lie at"):
        reopen(run)


@pytest.fixture
def changed(runs: Any, sources: dict[str, Path], tmp_path: Path) -> Path:
    """A run whose source was overwritten with other rows of the same shape."""
    source, out = tmp_path / "grey.npz", tmp_path / "r"
    shutil.copytree(runs["vae"], out)
    with np.load(sources["grey"]) as file:
        np.savez(source, images=255 - file["images"], labels=file["labels"])
    kept = Run(out).stored("data")
    (out / "data.json").write_text(json.dumps({**kept, "source": str(source)}))
    return out


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "--k", "2"],
        ["encode"],
        ["score", "--k", "2"],
        ["reconstruct"],
        ["interpolate"],
        ["traverse", "0"],
    ],
)
def test_every_reader_says_once_that_its_source_changed(words, changed, capsys):
    assert cli.run([words[0], str(changed), *words[1:], "--threads", "1"]) == 0
    assert capsys.readouterr().err.count("is not what the run was trained on") == 1


def test_what_shows_several_runs_says_it_too(changed, tmp_path, capsys):
    other = shutil.copytree(changed, tmp_path / "other")
    assert cli.run(["compare", str(changed), str(other), "--k", "2", "--threads", "1"]) == 0
    assert "is not what the run was trained on" in capsys.readouterr().err
    for show in (lambda: visit([changed], None, 50, legato.load, None), lambda: opened([legato.load(changed)], None)):
        show()
        assert "is not what the run was trained on" in capsys.readouterr().err


def test_all_rows_of_other_data_are_measured_and_a_tenth_of_the_runs_own(runs, sources, tmp_path, capsys):
    other = npz(tmp_path / "o.npz", images=np.zeros((7, 8, 8), np.uint8))
    space = legato.load(runs["vae"], threads=1)
    assert legato.measures.evaluate(space, str(other), k=2)["data"]["n"] == 7
    assert legato.measures.evaluate(space, k=2)["data"]["n"] == 31
    assert cli.run(["score", str(runs["vae"]), "--data", str(other), "--k", "2", "--out", str(tmp_path / "s.csv")]) == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 8
    assert "is not what" not in capsys.readouterr().err


def test_a_run_goes_on_with_its_data_in_another_place_and_with_no_others(runs, sources, tmp_path, monkeypatch, capsys):
    first, out = tmp_path / "grey.npz", tmp_path / "r"
    shutil.copy(sources["grey"], first)
    with stopping_after(10), pytest.raises(Stopped):
        train("vae", {"grey": first}, out)
    (tmp_path / "moved").mkdir()
    first.rename(tmp_path / "moved" / "g.npz")
    again = ["train", "--resume", "--out", str(out), "--device", "cpu"]
    assert cli.run(again) == 2
    assert "no longer lie at" in capsys.readouterr().err
    assert cli.run([*again, "--data", str(sources["colour"])]) == 2
    assert "cannot become" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / "moved")
    with stopping_after(20):
        assert cli.run([*again, "--data", "g.npz"]) != 2
    assert cli.run([*arguments("vae", Path("../moved/g.npz"), out), "--resume"]) == 0  # another spelling of the same place
    found, expected = (all_of(run) | {"data.json": None} for run in (out, runs["vae"]))
    assert found == expected
    assert Run(out).stored("data")["source"] == str(tmp_path / "moved" / "g.npz")


def test_claims_do_not_go_on_with_a_source_that_changed(places, tmp_path):
    experiment = Experiment(Protocol(str(places["bytes"]), DataOptions(), None, 5), tmp_path, quick=True, seeds=1)
    run, kept = Run(experiment.members[-1].path(tmp_path)), stored(places["bytes"])
    run.path.mkdir(parents=True)
    run.data.write_text(json.dumps(kept))
    refuse_other_data(experiment, kept["fingerprint"])
    with pytest.raises(Mistake, match="is not what"):
        refuse_other_data(experiment, stored(places["binary"])["fingerprint"])
