"""Which columns are used, which are left out and why, and which is the label: nothing is left out in silence."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import legato
from legato.cli import run
from legato.data import describe
from legato.data.columns import columns_of
from legato.data.labels import encode
from legato.data.roles import Column, Roles, roles
from legato.errors import Mistake
from made_runs import SMALL
from made_sources import GREY, folder_of, npz, opened, png, table, write

N = 40
RNG = np.random.default_rng(0)
REALS = {name: RNG.normal(size=N) for name in "ab"}


def of(columns: dict[str, Any], **said: Any) -> Roles:
    made = pa.table(columns)
    return roles(columns_of(made.schema), lambda name: np.asarray(made[name].to_numpy()), "t", **said)


@pytest.mark.parametrize(
    "name",
    ["id", "ID", "Id", "customer_id", "CustomerID", "customerid", "index", "row id", "PassengerId", "Unnamed: 0", "uuid", ""],
)
@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.uint16])
def test_a_number_that_names_the_row_is_no_feature(name: str, dtype: type) -> None:
    found = of({name: (1000 + RNG.permutation(N)).astype(dtype), **REALS})
    assert found.used == ("a", "b")
    assert "names the row" in found.left_out[name]
    assert of({name: np.arange(N), **REALS}, asked=[name, "a"]).used == (name, "a")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("store_id", np.arange(N) % 7),  # not another in every row
        ("index", RNG.normal(size=N)),  # an index of something
        ("humid", np.arange(N)),
        ("grid", np.arange(N)),
        ("age", RNG.permutation(N)),
        ("void_fraction", np.arange(N)),
    ],
)
def test_other_numbers_are_features(name: str, values: np.ndarray) -> None:
    assert of({name: values, **REALS}).used == (name, "a", "b")


def test_what_is_no_number_is_left_out_with_its_type() -> None:
    other: dict[str, Any] = {
        "price": [decimal.Decimal("1.50")] * N,
        "city": ["x", "y"] * (N // 2),
        "kind": pa.array(["x", "y"] * (N // 2)).dictionary_encode(),
        "when": [datetime.datetime(2026, 1, 1)] * N,
        "day": [datetime.date(2026, 1, 1)] * N,
        "nested": [{"u": 1}] * N,
        "nothing": pa.nulls(N),
    }
    found = of({**REALS, **other})
    assert found.used == ("a", "b")
    assert set(found.left_out) == set(other)
    words = ["decimal", "string", "dictionary", "timestamp", "date32", "struct", "null"]
    assert all(word in why for word, why in zip(words, found.left_out.values(), strict=True))


def test_the_index_of_a_frame_is_left_out() -> None:
    said = json.dumps({"index_columns": ["height", {"kind": "range"}]}).encode()
    made = pa.table({**REALS, "height": RNG.normal(size=N), "__index_level_0__": np.arange(N) % 3})
    found = roles(columns_of(made.replace_schema_metadata({b"pandas": said}).schema), lambda name: np.arange(N), "t")
    assert found.used == ("a", "b")
    assert set(found.left_out) == {"height", "__index_level_0__"}
    for broken in (b"", b"[]", b"{", b'{"index_columns": 3}', b'{"index_columns": [null, [1]]}'):
        assert len(columns_of(made.replace_schema_metadata({b"pandas": broken}).schema)) == 4


@pytest.mark.parametrize(
    ("name", "values", "label"),
    [
        ("y", RNG.normal(size=N), False),
        ("y", RNG.integers(0, 5, N), True),
        ("y", RNG.integers(0, 5, N) * 1.0, True),
        ("y", RNG.permutation(N), False),  # a coordinate on a grid
        ("y", ["cat", "dog"] * (N // 2), True),
        ("y", pa.array(["cat", "dog"] * (N // 2)).dictionary_encode(), True),
        ("label", RNG.normal(size=N), False),
        ("label", RNG.permutation(N), True),
        ("class", [True, False] * (N // 2), True),
        ("label", [decimal.Decimal(1)] * N, False),
        ("label", [[1.0]] * N, False),
    ],
)
def test_a_label_holds_classes(name: str, values: Any, label: bool) -> None:
    columns = {name: values, **REALS} if name != "label" or label or not isinstance(values, list) else {**REALS, name: values}
    if not label and isinstance(values, list) and isinstance(values[0], list):
        assert of(columns).used == (name,)  # one column of lists: those are the rows
        return
    found = of(columns)
    assert (found.label == name) is label
    assert (name in found.used) is (not label and isinstance(values, np.ndarray))
    assert of(columns, labels="none").label is None


def test_what_was_said_of_labels_holds() -> None:
    columns = {**REALS, "y": np.arange(N) % 3, "group": ["u", "v"] * (N // 2)}
    assert of(columns).label == "y"
    assert of(columns, labels="none").used == ("a", "b", "y")
    assert (of(columns, labels="group").label, of(columns, labels="group").used) == ("group", ("a", "b", "y"))
    assert of(columns, asked=["a", "y"]).label is None
    elsewhere = of(columns, labels="labels.csv")
    assert elsewhere.label is None
    assert "labels were named elsewhere" in elsewhere.left_out["y"]


def test_beside_pictures_everything_else_is_said_to_be_left_out(tmp_path: Path) -> None:
    pictures = [png(p) for p in GREY]
    path = table(tmp_path / "p.parquet", {"image": pictures, "mask": pictures, "width": [8] * 6, "label": list("ababab")})
    found = opened(path).roles
    assert found is not None
    assert (found.used, found.label) == (("image",), "label")
    assert found.left_out == dict.fromkeys(("mask", "width"), "rows are the pictures in `image`")
    lists = of({"v": [[1.0, 2.0]] * N, **REALS})
    assert lists.left_out == dict.fromkeys("ab", "rows are the lists in `v`")
    with pytest.raises(Mistake, match="--column"):
        of({"u": [[1.0]] * N, "v": [[1.0]] * N})
    with pytest.raises(Mistake, match="--column id takes"):
        of({"id": np.arange(N), "name": ["x"] * N})


@given(
    st.lists(st.tuples(st.text(max_size=8), st.sampled_from(["integer", "real", "text", "other"])), unique_by=lambda c: c[0])
)
def test_every_column_has_one_role(given_columns: list[tuple[str, Any]]) -> None:
    columns = [Column(name, sort, sort) for name, sort in given_columns]
    try:
        found = roles(columns, lambda name: RNG.normal(size=N) if len(name) % 2 else np.arange(N), "t")
    except Mistake:
        return
    named = [*found.used, *found.left_out, *([] if found.label is None else [found.label])]
    assert sorted(named) == sorted(column.name for column in columns)


def test_labels_are_text_as_they_stand(tmp_path: Path) -> None:
    codes, names = encode(["1", "01", "10", "9", "", "-1", None], "t")
    assert names == ("01", "1", "9", "10")
    assert codes.tolist() == [1, 0, 3, 2, -1, -1, -1]
    assert encode(["1.0", "1"], "t")[1] == ("1", "1.0")
    assert encode([1.0, 2.0, float("nan")], "t")[1] == ("1", "2")
    path = table(tmp_path / "a.parquet", {**{n: v[:6] for n, v in REALS.items()}, "label": ["01", "1", "1", "02", "2", "10"]})
    assert opened(path).label_names == ("01", "1", "02", "2", "10")
    source = npz(tmp_path / "x.npz", x=RNG.normal(size=(4, 2)))
    assert opened(source, labels=str(write(tmp_path / "l.txt", b"007\n7\n7\n08\n"))).label_names == ("007", "7", "08")


def test_arrays_of_an_npz_are_not_left_out_in_silence(tmp_path: Path) -> None:
    x = RNG.normal(size=(N, 3))
    data = opened(npz(tmp_path / "a.npz", x=x, y=RNG.normal(size=N), extra=x))
    assert data.labels is None
    assert any("`y` is left out" in note for note in data.notes)
    assert "arrays left out: extra" in data.notes
    assert opened(npz(tmp_path / "b.npz", x=x, y=np.arange(N) % 2), labels="none").labels is None


def test_a_run_says_and_keeps_what_it_was_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(
        tmp_path / "t.parquet", {"customer_id": 10**9 + np.arange(N), **REALS, "city": ["x"] * N, "y": np.arange(N) % 3}
    )
    options = {**SMALL, "steps": 2}
    assert run(["data", str(path)]) == 0
    told = capsys.readouterr().out
    assert "columns     2: a, b" in told
    assert "customer_id (another whole number in every row" in told
    assert "city (it holds string" in told
    assert "label       y" in told
    assert run(["train", "vae", "--data", str(path), "--out", str(tmp_path / "r"), *(_flags(options))]) == 0
    told = capsys.readouterr().out
    assert all(words in told for words in ("columns: 2: a, b", "left out: customer_id", "label: y"))
    kept = json.loads((tmp_path / "r" / "data.json").read_text())["columns"]
    assert kept == describe(opened(path))["columns"]
    assert (kept["used"], list(kept["left_out"]), kept["label"]) == (["a", "b"], ["customer_id", "city"], "y")


def test_pictures_that_are_skipped_are_named_by_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(
        tmp_path / "p", {**{f"{i}.png": p[:8, :8] for i, p in enumerate(GREY)}, "cut.png": png(GREY[0, :8, :8])[:60]}
    )
    assert run(["train", "vae", "--data", str(folder), "--out", str(tmp_path / "r"), *_flags({**SMALL, "steps": 2})]) == 0
    assert "cut.png" in capsys.readouterr().out
    assert legato.load(tmp_path / "r").shape == (1, 8, 8)


def _flags(options: dict[str, Any]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
