"""What numbers are taken for: a table's integers are no grey levels, digits are kept, pictures are shown over their range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.data import DataOptions, open_source
from legato.data.preparation import Preparation, prepare
from legato.data.prepared import Prepared
from legato.errors import Mistake
from made_sources import idx, npy, npz, opened, table, write

ANSWERS = np.random.default_rng(0).integers(1, 6, (40, 5))
WIDTHS = ["u1", "i1", "i2", "<u2", ">i4", "u4", "i8", "u8"]
FILES: dict[str, Callable[[Path, np.ndarray], Any]] = {
    "array": lambda p, x: x,
    "npy": lambda p, x: npy(p / "a.npy", x),
    "npz": lambda p, x: npz(p / "a.npz", x=x),
    "keras": lambda p, x: npz(p / "k.npz", x_train=x[:30], x_test=x[30:]),
    "parquet": lambda p, x: table(p / "a.parquet", {f"q{i}": x[:, i].astype(x.dtype.newbyteorder("=")) for i in range(5)}),
    "lists": lambda p, x: table(p / "l.parquet", {"v": list(x.astype(x.dtype.newbyteorder("=")))}),
    "idx": lambda p, x: write(p / "a.idx", idx(x, "u1")),
    "idx.gz": lambda p, x: write(p / "a.idx.gz", idx(x, ">i4")),
}


def ready(source: Any, **options: Any) -> Prepared:
    data = opened(source, **options)
    return Prepared(data, prepare(data.kind, data.likelihood, data.rows, data.splits["train"].all()))


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_of_integers_is_prepared_as_its_floats_are(tmp_path: Path, form: str, width: str) -> None:
    whole = ready(FILES[form](tmp_path, ANSWERS.astype(width)))
    real = ready(
        npz(tmp_path / "f.npz", x_train=ANSWERS[:30] * 1.0, x_test=ANSWERS[30:] * 1.0) if form == "keras" else ANSWERS * 1.0
    )
    assert (whole.dataset.kind, whole.dataset.likelihood) == ("reals", "gaussian")
    assert whole.preparation == real.preparation
    rows = np.arange(40)
    assert np.array_equal(whole.rows(rows), real.rows(rows))
    assert np.array_equal(whole.preparation.original(whole.dataset.rows), ANSWERS)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(st.sampled_from(WIDTHS), (7, 3)), st.sampled_from(["array", "npz"]))
def test_integers_and_their_floats_are_one_table(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, form: str
) -> None:
    folder = tmp_path_factory.mktemp("t")
    whole, real = ready(FILES[form](folder, array)), ready(array.astype(np.float64))
    assert whole.dataset.kind == real.dataset.kind
    assert whole.preparation == real.preparation
    assert np.array_equal(whole.rows(np.arange(7)), real.rows(np.arange(7)))


@pytest.mark.parametrize("dtype", ["i8", "u4", "f8"])
def test_seconds_since_1970_keep_their_digits(dtype: str) -> None:
    seconds = (1_764_000_000 + np.random.default_rng(0).integers(0, 600, (300, 2))).astype(dtype)
    data = ready(seconds)
    z = data.rows(np.arange(300))
    assert abs(z[data.split("train").all()].std(0) - 1).max() < 1e-3  # float32 has steps of 128 s there: all would be one value
    assert len(np.unique(z[:, 0])) == len(np.unique(seconds[:, 0]))
    back = data.preparation.restore(z)
    assert back.dtype == np.float64
    assert abs(back - seconds).max() < 1e-3
    assert np.array_equal(data.preparation.original(np.asarray(data.dataset.rows)), seconds)


def test_values_near_zero_stay_in_single_precision() -> None:
    data = ready(np.random.default_rng(0).normal(3, 1, (50, 2)))
    assert data.preparation.restore(data.rows(np.arange(50))).dtype == np.float32
    assert data.preparation.original(data.dataset.rows).dtype == np.float32


def test_pictures_of_bytes_stay_pictures() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (20, 8, 8))
    for dtype in ("u1", "i2", "i8"):
        data = open_source(grey.astype(dtype))
        assert (data.kind, data.likelihood, data.rows.dtype) == ("bytes", "discretized-logistic", np.uint8)
    deep = open_source((grey * 257).astype("u2"))
    assert (deep.kind, deep.rows.dtype) == ("reals", np.float32)
    wide = grey.astype("i8") + 2**40
    assert np.array_equal(open_source(wide).rows[:, 0], wide)


def test_flat_pictures_are_a_table_and_can_be_said_to_be_bytes(tmp_path: Path) -> None:
    flat = np.random.default_rng(0).integers(0, 256, (30, 64), dtype=np.uint8)
    assert opened(npy(tmp_path / "a.npy", flat)).kind == "reals"
    for source in (npy(tmp_path / "a.npy", flat), npz(tmp_path / "a.npz", x=flat), flat.astype(np.float32)):
        data = opened(source, values="bytes")
        assert (data.kind, data.likelihood, data.rows.dtype) == ("bytes", "discretized-logistic", np.uint8)
        assert np.array_equal(data.rows, flat)
    assert opened(flat.reshape(30, 8, 8), values="reals").kind == "reals"
    blank = np.zeros((5, 8, 8), np.uint8)
    assert opened(blank, values="bytes").kind == "bytes"


@pytest.mark.parametrize(
    ("array", "values", "words"),
    [
        (ANSWERS * 100, "bytes", ["500", "--values bytes", "0 to 255"]),
        (ANSWERS - 2, "bytes", ["-1", "--values reals"]),
        (ANSWERS / 2, "bytes", ["not all whole"]),
        (ANSWERS, "binary", ["5", "0 and 1"]),
        (ANSWERS, "grey", ["`values`", "binary, bytes, counts, reals"]),
    ],
)
def test_values_that_cannot_be_are_refused(array: np.ndarray, values: str, words: list[str]) -> None:
    with pytest.raises(Mistake) as caught:
        open_source(array, DataOptions(values=values))  # type: ignore[arg-type]
    assert all(word in str(caught.value) for word in words)


def test_zeros_and_ones_are_binary_however_they_are_stored() -> None:
    for dtype in ("u1", "i8", "f4", "?"):
        assert opened((ANSWERS > 3).astype(dtype)).kind == "binary"


@pytest.mark.skipif(np.finfo(np.longdouble).maxexp <= 1024, reason="this machine's longdouble is a float64")
def test_what_64_bits_cannot_hold_is_refused_with_its_row() -> None:
    wide = ANSWERS.astype(np.longdouble)
    assert np.array_equal(opened(wide).rows, ANSWERS)
    wide[7, 2] = np.longdouble("1e4000")
    with pytest.raises(Mistake, match=r"1 values.*row 7"):
        open_source(wide)


def test_a_spread_beyond_64_bits_is_refused_with_its_column() -> None:
    wide = ANSWERS * 1.0
    wide[:, 3] *= 1e200
    with pytest.raises(Mistake, match="column 3"):
        ready(wide)


@pytest.mark.parametrize(
    ("values", "screen"),
    [((0.0, 255.0), (0.0, 255.0)), ((-1.0, 1.0), (-1.0, 1.0)), ((0.2, 0.9), (0.0, 1.0)), ((7.0, 7.0), (7.0, 8.0))],
)
def test_pictures_of_reals_are_shown_over_their_training_range(
    values: tuple[float, float], screen: tuple[float, float]
) -> None:
    low, high = values
    images = np.random.default_rng(0).uniform(low, high, (40, 8, 8))
    images[:, 0, 0], images[:, 0, 1] = low, high
    data = ready(images)
    assert data.preparation.screen == pytest.approx(screen)
    again = Preparation.from_json(data.preparation.to_json())
    assert again == data.preparation
    span = screen[1] - screen[0]
    assert again.seen(images[:, None]) == pytest.approx((images[:, None] - screen[0]) / span, abs=1e-6)
    assert np.array_equal(again.seen(again.restore(data.rows(np.arange(2)))) * 0, np.zeros((2, 1, 8, 8)))


def test_a_run_from_before_shows_as_it_did() -> None:
    stored = {"kind": "reals", "binarise": False, "shift": [3.0], "scale": [2.0]}
    assert Preparation.from_json(stored).screen == (0.0, 1.0)
