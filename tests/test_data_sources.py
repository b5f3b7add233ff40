"""Sources: rows cut from every unresized source are the source's values; kinds, labels, ids and splits of the source."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from legato.data import Dataset, describe, open_source
from made_sources import COLOUR, GREY, LABELS, folder_of, idx, npy, npz, opened, png, table, write


def test_mnist_is_its_published_files_bit_for_bit() -> None:
    data = open_source("mnist")
    published = {
        "train": ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624", slice(0, 60_000)),
        "t10k": ("2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637", slice(60_000, 70_000)),
    }
    assert data.labels is not None
    for images, labels, rows in published.values():
        count = rows.stop - rows.start
        pixels = struct.pack(">4I", 0x803, count, 28, 28) + data.rows[rows].tobytes()
        digits = struct.pack(">2I", 0x801, count) + data.labels[rows].astype(np.uint8).tobytes()
        assert (hashlib.md5(pixels).hexdigest(), hashlib.md5(digits).hexdigest()) == (images, labels)
    assert isinstance(data.rows, np.memmap)
    assert (data.shape, data.rows.dtype, data.kind, data.likelihood) == ((1, 28, 28), np.uint8, "bytes", "bernoulli")
    assert data.label_names == tuple("0123456789")
    assert [data.ids[i] for i in (0, 59_999, 60_000, -1)] == ["train-0", "train-59999", "test-0", "test-9999"]
    assert [data.find(name) for name in ("test-3", "train-5", "60003")] == [60_003, 5, 60_003]


def test_mnist_splits_are_55000_5000_10000_and_validation_is_drawn() -> None:
    data, other = open_source("mnist"), opened("mnist", split_seed=1)
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 55_000, "validation": 5_000, "test": 10_000}
    assert np.array_equal(data.splits["test"].all(), np.arange(60_000, 70_000))
    validation = data.splits["validation"].all()
    assert validation.max() < 60_000
    # Spread over all of the training file: uniform places have mean 29,999.5 and standard error 245.
    assert abs(validation.mean() - 29_999.5) < 5 * 245
    assert len(np.intersect1d(validation, other.splits["validation"].all())) < 600


def test_mnist_files_carry_their_licence() -> None:
    text = (importlib.resources.files("legato.data") / "mnist" / "LICENCE.md").read_text()
    assert all(word in text for word in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", "6bbc9ace898e44ae57da46a324031adb"))


def unresized(tmp_path: Path) -> dict[str, tuple[Path | np.ndarray, np.ndarray]]:
    """Every kind of source, and the rows it must give."""
    vectors = np.random.default_rng(2).normal(size=(6, 5))
    grey, colour = GREY[:, None], COLOUR
    last = np.ascontiguousarray(COLOUR.transpose(0, 2, 3, 1))
    encoded = [png(picture) for picture in COLOUR]
    both = {"x_train": GREY[:4], "x_test": GREY[4:], "y_train": np.array(LABELS[:4])[:, None], "y_test": LABELS[4:]}
    return {
        "folder, colour": (folder_of(tmp_path / "c", {f"{i}.png": p for i, p in enumerate(COLOUR)}), colour),
        "folder, grey": (folder_of(tmp_path / "g", {f"{i}.png": p for i, p in enumerate(GREY)}), grey),
        "npy, grey": (npy(tmp_path / "a.npy", GREY), grey),
        "npy, channels second": (npy(tmp_path / "b.npy", COLOUR), colour),
        "npy, channels last": (npy(tmp_path / "c.npy", last), colour),
        "npy, vectors": (npy(tmp_path / "d.npy", vectors), vectors),
        "npy, float32": (npy(tmp_path / "e.npy", vectors.astype("f4")), vectors.astype("f4")),
        "npy, big-endian": (npy(tmp_path / "f.npy", vectors.astype(">f8")), vectors),
        "npy, Fortran order": (npy(tmp_path / "g.npy", np.asfortranarray(vectors)), vectors),
        "npz": (npz(tmp_path / "a.npz", images=COLOUR, labels=LABELS), colour),
        "npz, compressed, named otherwise": (_compressed(tmp_path / "b.npz", pixels=GREY, k=3), grey),
        "npz, Keras": (npz(tmp_path / "c.npz", **both), grey),
        "IDX": (write(tmp_path / "i" / "a-images-idx3-ubyte", idx(GREY)), grey),
        "IDX, gzipped": (write(tmp_path / "i" / "b.idx.gz", idx(GREY)), grey),
        "IDX, doubles": (write(tmp_path / "i" / "c.idx", idx(vectors, ">f8")), vectors),
        "IDX, floats, gzipped": (write(tmp_path / "i" / "d.idx.gz", idx(vectors, ">f4")), vectors.astype("f4")),
        "Parquet, pictures": (table(tmp_path / "a.parquet", {"image": encoded}, row_group_size=4), colour),
        "Parquet, Hugging Face": (table(tmp_path / "b.parquet", {"img": [{"bytes": e, "path": "p"} for e in encoded]}), colour),
        "Parquet, numbers": (table(tmp_path / "c.parquet", {f"c{i}": vectors[:, i] for i in range(5)}), vectors),
        "Parquet, lists": (table(tmp_path / "d.parquet", {"v": list(vectors)}, row_group_size=2), vectors),
        "Parquet, fixed lists": (table(tmp_path / "e.parquet", {"v": _fixed(vectors)}), vectors),
        "array, channels last": (last, colour),
        "array": (vectors, vectors),
    }


def _compressed(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def _fixed(rows: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


def test_rows_of_every_unresized_source_are_its_values(tmp_path: Path) -> None:
    for name, (source, expected) in unresized(tmp_path).items():
        data = open_source(source)
        assert data.rows.dtype == expected.dtype, name
        assert data.rows.shape == expected.shape, name
        assert np.array_equal(data.rows[[4, 0, 5]], expected[[4, 0, 5]]), name
        assert np.array_equal(data.rows, expected), name
        assert (data.kind, data.likelihood) == (
            ("bytes", "discretized-logistic") if expected.dtype == np.uint8 else ("reals", "gaussian")
        ), name
        assert data.rows.flags.c_contiguous, name
        assert isinstance(source, np.ndarray) or isinstance(data.rows, np.memmap), name
        assert sorted(np.concatenate([rows.all() for rows in data.splits.values()])) == list(range(6)), name
        json.dumps(describe(data))


@settings(max_examples=60, deadline=None)
@given(
    array=hnp.arrays(
        st.one_of(
            hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(sizes=(32, 64))
        ),
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=6),
        elements={"allow_nan": False, "allow_infinity": False},
        fill=st.nothing(),
    )
)
def test_the_kind_follows_the_values(array: np.ndarray) -> None:
    data = open_source(array)
    if array.dtype.kind == "b" or ((array == 0) | (array == 1)).all():
        assert (data.kind, data.likelihood) == ("binary", "bernoulli")
    else:
        assert data.kind == "reals"  # a table's integers are numbers like any other, of whatever width
        assert data.rows.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(data.rows, array.astype(data.rows.dtype))
    low, high = describe(data)["range"]
    assert (low, high) == (data.rows.min(), data.rows.max())


def test_what_lies_as_needed_is_read_in_place(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(5, 4))
    data = open_source(array)
    assert np.shares_memory(data.rows, array)
    assert data.store is None
    assert not data.rows.flags.writeable
    assert array.flags.writeable
    file = open_source(npy(tmp_path / "a.npy", GREY))
    assert isinstance(file.rows, np.memmap)
    assert file.store is None
    assert file.rows.filename == tmp_path / "a.npy"
    assert open_source(npy(tmp_path / "b.npy", GREY.astype(np.int64))).store is not None


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((4, 8, 9, 3), "auto", (3, 8, 9)),
        ((4, 3, 8, 9), "auto", (3, 8, 9)),
        ((4, 8, 9, 1), "auto", (1, 8, 9)),
        ((4, 8, 8, 13), "auto", (13, 8, 8)),
        ((4, 13, 8, 8), "auto", (13, 8, 8)),
        ((4, 8, 9, 12), "NHWC", (12, 8, 9)),
        ((4, 9, 10, 8), "NCHW", (9, 10, 8)),
    ],
)
def test_layouts(shape: tuple[int, ...], layout: str, expected: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=shape)
    data = opened(array, layout=layout)
    assert data.shape == expected
    assert np.array_equal(data.rows, array if expected == shape[1:] else array.transpose(0, 3, 1, 2))


def named(data: Dataset) -> list[str]:
    assert data.labels is not None
    assert data.labels.dtype == np.int64
    return [data.label_names[label] if label >= 0 else "?" for label in data.labels]


def test_labels_beside_the_rows(tmp_path: Path) -> None:
    said = [str(label) for label in LABELS]
    write(tmp_path / "x-images-idx3-ubyte", idx(GREY))
    write(tmp_path / "x-labels-idx1-ubyte.gz", idx(LABELS))
    write(tmp_path / "y-images.idx3-ubyte.gz", idx(GREY))
    write(tmp_path / "y-labels.idx1-ubyte", idx(LABELS))
    encoded = [png(picture) for picture in GREY]
    features = {"info": {"features": {"label": {"names": list("abcdefgh"), "_type": "ClassLabel"}}}}
    hugging = pa.table({"image": encoded, "label": LABELS}).replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(hugging, tmp_path / "h.parquet")
    both = {"x_train": GREY[:4], "x_test": GREY[4:], "y_train": np.array(LABELS[:4])[:, None], "y_test": LABELS[4:]}
    columns = {"image": encoded, "label": LABELS, "other": ["b", "a", "", "b", None, "a"]}
    for source in (
        npz(tmp_path / "a.npz", images=GREY, labels=LABELS),
        npz(tmp_path / "b.npz", X=GREY, y=np.array(LABELS, float)),
        npz(tmp_path / "c.npz", **both),
        tmp_path / "x-images-idx3-ubyte",
        tmp_path / "y-images.idx3-ubyte.gz",
        table(tmp_path / "a.parquet", columns),
    ):
        data = open_source(source)
        assert named(data) == said, source
        assert data.label_names == ("1", "3", "7")
    data = opened(tmp_path / "a.parquet", labels="other")
    assert (named(data), data.label_names) == (["b", "a", "?", "b", "?", "a"], ("a", "b"))
    assert describe(data)["labels"] == {"a": 2, "b": 2, "": 2}
    data = open_source(tmp_path / "h.parquet")
    assert (named(data), len(data.label_names)) == (list("dbbdhb"), 8)


@pytest.mark.parametrize("form", ["npy", "idx", "txt", "csv lines", "csv ids", "csv stems", "texts.npy"])
def test_labels_from_a_file(tmp_path: Path, form: str) -> None:
    source = folder_of(tmp_path / "p", {f"{name}/{i}.png": GREY[i] for i, name in enumerate("aabbcc")})
    ids = open_source(source).ids
    lines = "\n".join(map(str, LABELS))
    rows = list(zip(ids, LABELS, strict=True))[::-1]  # told by id, so in any order
    files: dict[str, Callable[[], Path]] = {
        "npy": lambda: npy(tmp_path / "l.npy", np.array(LABELS)),
        "texts.npy": lambda: npy(tmp_path / "t.npy", np.array([str(label) for label in LABELS])),
        "idx": lambda: write(tmp_path / "labels.gz", idx(LABELS)),
        "txt": lambda: write(tmp_path / "l.txt", lines.encode()),
        "csv lines": lambda: write(tmp_path / "l.csv", f"label\n{lines}\n".encode()),
        "csv ids": lambda: write(tmp_path / "l.csv", "\n".join(["id,label", *(f"{i},{n}" for i, n in rows)]).encode()),
        "csv stems": lambda: write(tmp_path / "l.csv", "\r\n".join(f"{i[:-4]},{n}" for i, n in rows).encode()),
    }
    data = opened(source, labels=str(files[form]()))
    assert named(data) == [str(label) for label in LABELS]
    assert data.label_names == ("1", "3", "7")


def test_labels_skip_what_was_skipped(tmp_path: Path) -> None:
    pictures: dict[str, Any] = {f"{i}.png": GREY[i] for i in range(6)}
    source = folder_of(tmp_path / "p", {**pictures, "2.png": b"broken"})
    lines = write(tmp_path / "l.txt", b"a\nb\nc\nd\ne\nf")
    assert named(opened(source, labels=str(lines))) == list("abdef")
    encoded = [png(GREY[i]) if i != 2 else b"broken" for i in range(6)]
    data = open_source(table(tmp_path / "p.parquet", {"image": encoded, "label": list("abcdef")}))
    assert named(data) == list("abdef")
    assert list(data.ids) == list("01345")
    assert np.array_equal(data.rows[data.find("3")], GREY[3][None])


def test_folders_name_labels_and_splits(tmp_path: Path) -> None:
    flat = open_source(folder_of(tmp_path / "flat", {f"{i}.png": GREY[i] for i in range(6)}))
    assert (flat.labels, flat.label_names, list(flat.ids)) == (None, (), [f"{i}.png" for i in range(6)])
    assert describe(flat)["labels"] is None
    names = ["cat/1.png", "cat/deep/2.png", "dog/1.png", "loose.png", ".hidden/9.png", "cat/.9.png"]
    nested = open_source(folder_of(tmp_path / "nested", {name: GREY[i] for i, name in enumerate(names)}))
    assert list(nested.ids) == names[:4]
    assert named(nested) == ["cat", "cat", "dog", "?"]
    parts = ["test/b/0.png", "train/a/1.png", "train/a/2.png", "train/b/3.png", "val/a/4.png", "val/b/5.png"]
    split = open_source(folder_of(tmp_path / "split", {name: GREY[i] for i, name in enumerate(parts)}))
    assert {name: rows.all().tolist() for name, rows in split.splits.items()} == {
        "train": [1, 2, 3],
        "validation": [4, 5],
        "test": [0],
    }
    assert named(split) == list("baabab")
    assert split.label_names == ("a", "b")
    # A class that happens to be called test is no split without train beside it.
    odd = folder_of(tmp_path / "odd", {f"{name}/{i}.png": GREY[i] for i, name in enumerate(["test", "exam", "quiz"])})
    assert named(open_source(odd)) == ["exam", "quiz", "test"]


def test_a_pair_of_idx_files_is_one_source_with_its_splits(tmp_path: Path) -> None:
    for part, rows in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
        write(tmp_path / f"{part}-images-idx3-ubyte.gz", idx(GREY[rows]))
        write(tmp_path / f"{part}-labels-idx1-ubyte.gz", idx(LABELS[rows]))
    data = open_source(tmp_path)
    assert np.array_equal(data.rows, GREY[:, None])
    assert named(data) == [str(label) for label in LABELS]
    assert list(data.ids) == ["train-0", "train-1", "train-2", "train-3", "test-0", "test-1"]
    assert data.splits["test"].all().tolist() == [4, 5]
    assert len(data.splits["validation"]) == 1
    assert data.likelihood == "discretized-logistic"


def test_an_npz_carries_ids(tmp_path: Path) -> None:
    data = open_source(npz(tmp_path / "a.npz", images=GREY, ids=np.array(list("uvwxyz"))))
    assert list(data.ids) == list("uvwxyz")
    assert data.find("w") == 2


def test_importing_data_is_light() -> None:
    code = "import sys, legato.data; print([m for m in ('torch', 'PIL', 'pyarrow', 'pandas', 'rich') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
