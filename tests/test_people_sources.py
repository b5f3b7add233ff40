"""Sources as people have them: parts by name, tables of every kind, what lies in memory, deep pictures; and limits by bytes."""

from __future__ import annotations

import gzip
import io
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from legato.data import DataOptions, open_source
from legato.data.parts import arrange, of_arrays, of_file, of_folder
from legato.errors import Mistake
from made_sources import GREY, folder_of, idx, npy, npz, opened, table, write

X = np.random.default_rng(5).normal(size=(12, 4))
NAMES = ["a", "b", "c", "d"]
LABELS = ["cat", "dog", "cat"] * 4


class Frame:
    """What pandas and polars frames can do, as far as it is asked."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.table = pa.table(columns)
        self.columns = list(columns)

    def __arrow_c_stream__(self, schema: object = None) -> object:
        return self.table.__arrow_c_stream__(schema)


def columns(**more: Any) -> dict[str, Any]:
    return {**{name: X[:, i] for i, name in enumerate(NAMES)}, **more}


def csv_of(path: Path, mark: str = ",", point: str = ".", head: bool = True, index: bool = False) -> Path:
    lines = [mark.join(["", *NAMES, "label"][0 if index else 1 :])] if head else []
    for i, row in enumerate(X):
        cells = [repr(float(value)).replace(".", point) for value in row] + ([LABELS[i]] if head else [])
        lines.append(mark.join([str(i)] * index + cells))
    return write(path, "\n".join(lines).encode())


def test_every_table_gives_the_numbers_and_labels_of_parquet(tmp_path: Path) -> None:
    both = columns(label=LABELS)
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, pa.table(both).schema) as writer:
        writer.write_table(pa.table(both))
    pyarrow.feather.write_feather(pa.table(both), tmp_path / "a.feather")
    expected = open_source(table(tmp_path / "a.parquet", both))
    for source in (
        tmp_path / "a.feather",
        write(tmp_path / "stream", stream.getvalue()),
        csv_of(tmp_path / "a.csv"),
        csv_of(tmp_path / "b.csv", mark="\t"),
        csv_of(tmp_path / "c.csv", mark=";", point=","),
        csv_of(tmp_path / "d.txt", mark="|", index=True),
        Frame(both),
    ):
        data = open_source(source)
        assert np.array_equal(data.rows, X), source
        assert np.array_equal(data.rows, expected.rows), source
        assert data.label_names == ("cat", "dog")
        assert np.array_equal(data.labels, expected.labels)  # type: ignore[arg-type]
        assert data.splits["test"].all().tolist() == expected.splits["test"].all().tolist()


def test_csv_without_names_is_read_and_said(tmp_path: Path) -> None:
    data = open_source(csv_of(tmp_path / "a.csv", head=False))
    assert np.array_equal(data.rows, X)
    assert any("no line of names" in note for note in data.notes)
    numbered = write(tmp_path / "b.csv", b"0,1,2\n5,6,7\n8,9,1\n1,2,3\n")
    assert open_source(numbered).rows.tolist() == [[5, 6, 7], [8, 9, 1], [1, 2, 3]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a,b\n1,2\n3,\n4,5\n", ["`b`", "row 1", "fill"]),
        (b"a,b\n1,NA\n3,4\n4,5\n", ["`b`", "row 0"]),
        (b"a,a\n1,2\n3,4\n", ["more than one column named `a`"]),
        (b"a,b\nx,y\nu,v\n", ["no column of pictures or numbers"]),
        (b"a,b\n1,2\n3,4,5\n6,7\n", ["CSV"]),
        ("a,b\n1,2\n3,4\n".encode("utf-16"), ["UTF-16", "UTF-8"]),
    ],
)
def test_csv_that_cannot_be_rows_is_one_line(tmp_path: Path, text: bytes, words: list[str]) -> None:
    with pytest.raises(Mistake) as caught:
        open_source(write(tmp_path / "a.csv", text))
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_late_real_numbers_make_a_csv_column_real(tmp_path: Path) -> None:
    data = open_source(write(tmp_path / "a.csv", b"a,b,t\n1,2,x\n3,4,y\n5,6.5,z\n"))
    assert data.rows.tolist() == [[1, 2], [3, 4], [5, 6.5]]


def test_what_lies_in_memory_is_its_array() -> None:
    for source in (
        X.tolist(),
        list(X),
        tuple(map(tuple, X)),
        torch.tensor(X, requires_grad=True),
        [torch.tensor(row) for row in X],
    ):
        assert np.array_equal(open_source(source).rows, X)
    half = open_source(torch.tensor(X, dtype=torch.bfloat16))
    assert np.allclose(half.rows, X, rtol=0.01, atol=0.01)
    with pytest.raises(Mistake, match="all of one shape"):
        open_source([[1.0, 2.0], [3.0]])
    with pytest.raises(Mistake, match="masked"):
        open_source(np.ma.array(X, mask=X > 1))


@pytest.mark.parametrize("labels", [LABELS, np.array(LABELS), torch.arange(12) % 2, np.arange(12) % 2])
def test_labels_in_memory(labels: Any) -> None:
    data = open_source(X, labels=labels)
    assert data.labels is not None
    assert [data.label_names[label] for label in data.labels] == [
        str(getattr(label, "item", lambda x=label: x)()) for label in labels
    ]
    with pytest.raises(Mistake, match=r"labels of .* are 11 and its rows are 12"):
        open_source(X, labels=labels[:11])


SPLITS = {"train": list(range(7)), "validation": [7, 8], "test": [9, 10, 11]}
PARTED = (X[:7], X[7:9], X[9:])


@pytest.mark.parametrize("form", ["x_{}", "X_{}", "{}_images", "{}"])
def test_arrays_named_for_parts(tmp_path: Path, form: str) -> None:
    names = ("training", "valid", "testing") if form == "{}" else ("train", "val", "test")
    rows = {form.format(name): part for name, part in zip(names, PARTED, strict=True)}
    labels = {"y_train": np.arange(7), "y_test": np.zeros(3, int)} if form == "x_{}" else {}
    folder = tmp_path / "f"
    folder.mkdir()
    for name, part in {**rows, **labels}.items():
        npy(folder / f"{name}.npy", part)
    for source in (npz(tmp_path / "a.npz", **rows, **labels), folder):
        data = open_source(source)
        assert np.array_equal(data.rows, X)
        assert {name: split.all().tolist() for name, split in data.splits.items()} == SPLITS
        assert (data.ids[6], data.ids[7], data.ids[9]) == ("train-6", "validation-0", "test-0")
        assert (data.labels is None) is (not labels)
        assert data.labels is None or data.labels[7:9].tolist() == [-1, -1]


def test_one_part_alone_is_the_rows(tmp_path: Path) -> None:
    data = open_source(npz(tmp_path / "a.npz", x_train=X, y_train=np.arange(12) % 3, extra=np.zeros(2)))
    assert np.array_equal(data.rows, X)
    assert (data.ids[3], data.label_names, len(data.splits["test"])) == ("3", ("0", "1", "2"), 1)
    assert data.notes == ("arrays left out: extra",)
    several = open_source(npz(tmp_path / "b.npz", train_images=X, train_labels=np.zeros((12, 14))))
    assert several.labels is None
    assert "(12, 14)" in several.notes[0]


def test_files_named_for_parts(tmp_path: Path) -> None:
    for kind in ("parquet", "csv"):
        for number, (name, part) in enumerate(zip(("train-00000-of-00002", "validation", "test"), PARTED, strict=True)):
            cells = {column: part[:, i] for i, column in enumerate(NAMES)}
            place = tmp_path / kind / f"{name}.{kind}"
            place.parent.mkdir(exist_ok=True)
            if kind == "parquet":
                table(place, cells)
            else:
                lines = [",".join(NAMES), *(",".join(map(repr, row)) for row in part.tolist())]
                write(place, "\n".join(lines).encode())
            assert number < 3
        data = open_source(tmp_path / kind)
        assert np.array_equal(data.rows, X)
        assert {name: split.all().tolist() for name, split in data.splits.items()} == SPLITS
    table(tmp_path / "parquet" / "train-00001-of-00002.parquet", {"other": [1.0]})
    with pytest.raises(Mistake, match="different columns"):
        open_source(tmp_path / "parquet")


def test_masks_beside_the_parts_are_left_out_aloud(tmp_path: Path) -> None:
    names = [f"train/good/{i}.png" for i in range(4)] + ["test/good/0.png", "test/scratch/0.png", "test/scratch/1.png"]
    masks = ["ground_truth/scratch/0_mask.png", "ground_truth/scratch/1_mask.png"]
    for below in ("", "screw/"):
        source = folder_of(tmp_path / f"s{len(below)}", {below + name: GREY[i % 6] for i, name in enumerate(names + masks)})
        data = open_source(source)
        assert sorted(data.ids) == sorted(below + name for name in names)
        assert data.label_names == ("good", "scratch")
        assert len(data.splits["test"]) == 3
        assert any("2 pictures" in note and "`ground_truth` (2)" in note for note in data.notes)


@pytest.mark.parametrize("name", ["train", "Testing", "val", "seg_train", "test_set", "training set", "images_val"])
def test_names_of_parts(name: str) -> None:
    assert of_folder(name) is not None
    assert of_folder(f"freight_{name}") is None
    assert of_file("train-test-split") is None
    assert [part.rows for part in of_arrays(["x_train", "X_train", "y_train"])] == ["x_train"]
    plain = sorted(f"{folder}/{i}.png" for folder in ("cat", "dog") for i in range(2))
    assert (arrange(plain).names, arrange(plain).own, arrange(plain).usual) == (plain, None, True)


def test_pictures_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    for place, name in enumerate(["0.jfif", "1.jpe", "2", "3.image", "4.jpg"]):
        Image.fromarray(GREY[place]).save(tmp_path / name, "JPEG", quality=95)
    write(tmp_path / "notes.md", b"P3 is no picture here")
    write(tmp_path / "raw.dng", b"II*\0" + bytes(40))
    data = open_source(tmp_path)
    assert list(data.ids) == ["0.jfif", "1.jpe", "2", "3.image", "4.jpg"]
    assert data.notes == ("2 other files passed over (.dng, .md)",)


def deep(folder: Path, values: np.ndarray) -> Path:
    folder.mkdir()
    for i, picture in enumerate(values):
        Image.fromarray(picture).save(folder / f"{i}.tif")
    return folder


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_pictures_by_their_true_range(tmp_path: Path, bits: int) -> None:
    values = np.random.default_rng(bits).integers(0, 2**bits, (3, 8, 8)).astype(np.uint16)
    values[1, 2, 3] = 2**bits - 1
    data = open_source(deep(tmp_path / "d", values))
    assert np.abs(data.rows[:, 0] - values * 255.0 / (2**bits - 1)).max() <= 0.5
    assert data.options.window == f"0,{2**bits - 1}"
    again = opened(deep(tmp_path / "e", values // 2), window=data.options.window)
    assert np.abs(again.rows[:, 0] - (values // 2) * 255.0 / (2**bits - 1)).max() <= 0.5  # what a run says of another source


def test_signed_pictures_and_few_levels(tmp_path: Path) -> None:
    values = np.linspace(-1000, 3000, 192).reshape(3, 8, 8).astype(np.int32)
    signed = open_source(deep(tmp_path / "s", values))
    assert (signed.options.window, signed.rows.min(), signed.rows.max()) == ("-1000,3000", 0, 255)
    narrow = opened(deep(tmp_path / "n", values), window="-100000,100000")
    assert any("of 256 grey levels" in note and "--window" in note for note in narrow.notes)
    with pytest.raises(Mistake, match="two whole numbers"):
        DataOptions(window="5")


def test_a_duplicate_column_is_told(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array(X[:, 0])] * 2, names=["v", "v"])
    pq.write_table(twice, tmp_path / "a.parquet")
    with pytest.raises(Mistake, match="more than one column named `v`"):
        open_source(tmp_path / "a.parquet")


def test_sequences_of_one_value_are_vectors() -> None:
    for shape in ((12, 4, 1), (12, 1, 4)):
        assert np.array_equal(open_source(X.reshape(shape)).rows, X)


def test_names_that_are_no_utf8_can_be_written_anywhere(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/p/c\xff"
    os.makedirs(folder)
    for i in range(4):
        Path(os.fsdecode(folder + b"/%d.png" % i)).write_bytes(png_of(i))
    for _ in range(2):
        data = open_source(tmp_path / "p")
        assert (data.ids[0], data.label_names) == ("c\\xff/0.png", ("c\\xff",))
        "".join((*data.ids, *data.label_names)).encode()


def test_a_source_whose_own_path_is_no_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=r"g\\xff` is no UTF-8") as caught:
        open_source(os.fsdecode(os.fsencode(tmp_path) + b"/g\xff"))
    str(caught.value).encode()


def png_of(place: int) -> bytes:
    held = io.BytesIO()
    Image.fromarray(GREY[place]).save(held, "PNG")
    return held.getvalue()


def test_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f.npy")
    for source in (tmp_path / "f.npy", "/dev/zero"):
        with pytest.raises(Mistake, match="a pipe, a socket or a device"):
            open_source(source)
    with pytest.raises(Mistake, match="cannot be read"):
        open_source("x" * 5000)


def test_gzip_is_unpacked_only_as_far_as_its_header_says(tmp_path: Path) -> None:
    many = struct.pack(">HBBI", 0, 8, 1, 2**31)
    write(tmp_path / "a-images-idx3-ubyte.gz", idx(GREY))
    (tmp_path / "a-labels-idx1-ubyte.gz").write_bytes(gzip.compress(many + bytes(2**20), 1))
    with pytest.raises(Mistake, match=r"labels of .* are 2147483648 and its rows are 6"):
        open_source(tmp_path / "a-images-idx3-ubyte.gz")
    (tmp_path / "b.gz").write_bytes(gzip.compress(idx(GREY) + bytes(2**24), 1))
    with pytest.raises(Mistake, match="longer than its header says: 433 or more"):
        open_source(tmp_path / "b.gz")
    with pytest.raises(Mistake, match="70 axes"):
        open_source(write(tmp_path / "c.idx", b"\0\0\x08\x46" + b"\0\0\0\1" * 70 + b"\1"))


def test_pictures_that_unpack_a_thousandfold_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legato.data.tables.MOST", 2**22)
    cells = pa.array([bytes(2**20)] * 5)
    pq.write_table(pa.table({"image": cells}), tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(Mistake, match="which no pictures do"):
        open_source(tmp_path / "a.parquet")


def test_a_wide_table_is_read(tmp_path: Path) -> None:
    """Each column once looked for itself in the schema, which took 438 s for 20,000 of them."""
    rows = np.random.default_rng(0).poisson(0.3, (40, 6000)).astype(np.float32)
    pq.write_table(pa.table({f"g{i}": rows[:, i] for i in range(6000)}), tmp_path / "wide.parquet")
    assert np.array_equal(open_source(tmp_path / "wide.parquet").rows, rows)


def test_column_groups_make_the_same_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legato.data.parquet.AT_ONCE", 100)
    source = table(tmp_path / "a.parquet", columns(), row_group_size=5)
    assert np.array_equal(open_source(source).rows, X)


def test_label_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legato.data.labels.LEAST_TEXT", 100)
    monkeypatch.setattr("legato.data.labels.LINE", 10)
    with pytest.raises(Mistake, match="at most 120 are read"):
        opened(X, labels=str(write(tmp_path / "l.csv", b"a\n" * 200)))
    with pytest.raises(Mistake, match="are 500000 and its rows are 12"):
        opened(X, labels=str(npy(tmp_path / "l.npy", np.zeros(500_000, np.uint8))))


def test_lists_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=r"the lists in `v` of .* are empty: rows must have one number or more"):
        opened(table(tmp_path / "a.parquet", {"v": pa.array([[]] * 5, pa.list_(pa.float64()))}))


@pytest.mark.parametrize("said", [b"[" * 100_000, b"null", b"3", b'{"index_columns": 7, "info": []}', b"\xff"])
def test_what_a_table_says_of_itself_is_passed_over_where_it_is_no_sense(tmp_path: Path, said: bytes) -> None:
    columns = pa.table({"v": [0.5, 1.5, 2.5, 3.5], "label": [0, 1, 0, 1]})
    pq.write_table(columns.replace_schema_metadata({b"pandas": said, b"huggingface": said}), tmp_path / "a.parquet")
    data = opened(tmp_path / "a.parquet")
    assert data.columns == ("v",)
    assert data.label_names == ("0", "1")
