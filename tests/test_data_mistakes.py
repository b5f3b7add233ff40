"""Mistakes about data: one line each that says what is wrong, what was expected and what to do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from legato.errors import Mistake
from made_sources import GREY, LABELS, folder_of, idx, npy, npz, opened, png, table, write

P = Path
VECTORS = np.random.default_rng(3).normal(size=(5, 3))


def _hole(value: float) -> np.ndarray:
    array = VECTORS.copy()
    array[2, 1] = array[4, 0] = value
    return array


MISTAKES: dict[str, tuple[Callable[[P], Any], dict[str, Any], list[str]]] = {
    "misspelt": (lambda p: "mnits", {}, ["mnits", "did you mean `mnist`", "Parquet"]),
    "missing": (lambda p: (folder_of(p / "photos", {"a.png": GREY[0]}), p / "photo")[1], {}, ["no source", "photos`"]),
    "another type": (lambda p: 7, {}, ["int", "NumPy array"]),
    "empty folder": (lambda p: p, {}, ["holds no pictures", "no files", ".png"]),
    "no pictures": (lambda p: folder_of(p, {"a.txt": b"x"}), {}, ["holds no pictures", "1 other file", ".txt"]),
    "Parquet folder": (lambda p: folder_of(p, {"a.parquet": b"x"}), {}, ["a.parquet", "Parquet", "write it again"]),
    "none readable": (
        lambda p: folder_of(p, {"a.png": b"x", "b.png": b""}),
        {"size": 8},
        ["none of the 2", "`b.png`: an empty"],
    ),
    "mixed sizes": (
        lambda p: folder_of(p, {"a.png": GREY[0], "b.png": GREY[0], "c.png": GREY[0].T}),
        {},
        ["`a.png` has 8×9", "`c.png` has 9×8", "--size"],
    ),
    "too small": (lambda p: folder_of(p, {"a.png": np.zeros((1, 1), "u1")}), {}, ["1×1", "8 to 256", "--size"]),
    "too large": (lambda p: folder_of(p, {"a.png": np.zeros((8, 257), "u1")}), {}, ["257×8", "8 to 256", "--size"]),
    "small array": (lambda p: np.zeros((4, 5, 9)), {}, ["9×5", "--size"]),
    "two pictures": (lambda p: folder_of(p, {"a.png": GREY[0], "b.png": GREY[1]}), {}, ["2 rows", "at least 3"]),
    "single picture": (lambda p: write(p / "a.png", png(GREY[0])), {}, ["single picture", "folder"]),
    "unknown file": (lambda p: write(p / "a.xyz", b"hello, world"), {}, ["no known kind", "IDX"]),
    "empty file": (lambda p: write(p / "a.npy", b""), {}, ["is empty", "expected"]),
    "bands that cannot be told": (lambda p: np.zeros((4, 8, 9, 12)), {}, ["(4, 8, 9, 12)", "--layout NHWC", "NCHW"]),
    "all sides equal": (lambda p: np.zeros((4, 8, 8, 8)), {}, ["(4, 8, 8, 8)", "--layout NHWC"]),
    "one axis": (lambda p: np.zeros(9), {}, ["(9,)", "(N, D)", "(N, H, W)"]),
    "five axes": (lambda p: np.zeros((3, 1, 1, 8, 8)), {}, ["(3, 1, 1, 8, 8)", "(N, D)"]),
    "no rows": (lambda p: np.zeros((0, 8)), {}, ["(0, 8)", "no values"]),
    "texts": (lambda p: np.array([["a", "b"]] * 3), {}, ["<U1", "numbers"]),
    "complex": (lambda p: np.ones((3, 2), complex), {}, ["complex128", "numbers"]),
    "objects in memory": (lambda p: np.array([[None] * 2] * 3), {}, ["object", "numbers"]),
    "NaN": (lambda p: _hole(np.nan), {}, ["2 values", "first in row 2", "fill them in"]),
    "infinity": (lambda p: npy(p / "a.npy", _hole(np.inf)), {}, ["2 values", "first in row 2"]),
    "pickle": (lambda p: npy(p / "a.npy", np.array([{}, []], object), allow_pickle=True), {}, ["pickled", "never loaded"]),
    "pickle in npz": (lambda p: npz(p / "a.npz", images=np.array([{}, []], object)), {}, ["pickled", "never loaded"]),
    "cut npy": (lambda p: write(p / "b.npy", npy(p / "a.npy", VECTORS).read_bytes()[:-9]), {}, ["b.npy", "cut short"]),
    "cut npz": (lambda p: write(p / "b.npz", npz(p / "a.npz", x=VECTORS).read_bytes()[:-90]), {}, ["b.npz", "no whole .npz"]),
    "npz of nothing": (lambda p: npz(p / "a.npz", k=3, j=4), {}, ["j, k", "`images`"]),
    "npz of several": (lambda p: npz(p / "a.npz", k=VECTORS, j=VECTORS), {}, ["j, k", "`images`"]),
    "npz labels": (lambda p: npz(p / "a.npz", x=VECTORS, y=[1, 2]), {}, ["are 2", "rows are 5"]),
    "npz ids": (lambda p: npz(p / "a.npz", x=VECTORS, ids=["a"]), {}, ["1 ids", "5 rows"]),
    "Keras parts": (lambda p: npz(p / "a.npz", x_train=GREY, x_test=GREY[:, :8]), {}, ["different shapes", "(1, 9, 8)"]),
    "cut gzip": (lambda p: write(p / "a", gzip.compress(idx(GREY))[:-99]), {}, ["/a`", "broken gzip"]),
    "short IDX": (lambda p: write(p / "a.idx", idx(GREY)[:-1]), {}, ["a.idx", "shorter", "431", "fetch"]),
    "short IDX, gzipped": (lambda p: write(p / "a.gz", idx(GREY)[:-1]), {}, ["a.gz", "shorter", "431"]),
    "long IDX": (lambda p: write(p / "a.idx", idx(GREY) + b"x"), {}, ["longer", "433"]),
    "header IDX": (lambda p: write(p / "a.idx", idx(GREY)[:9]), {}, ["a.idx", "header"]),
    "labels as images": (lambda p: write(p / "a.idx", idx(LABELS)), {}, ["(6,)", "(N, D)"]),
    "two IDX pairs": (
        lambda p: [write(p / f"{s}-{t}-images-idx3-ubyte", idx(GREY)) for s in "ab" for t in ("train", "test")] and p,
        {},
        ["several", "`a-train-images-idx3-ubyte`"],
    ),
    "IDX labels": (
        lambda p: (write(p / "a-labels-idx1-ubyte", idx([1])), write(p / "a-images-idx3-ubyte", idx(GREY)))[1],
        {},
        ["are 1", "rows are 6"],
    ),
    "labels missing": (lambda p: VECTORS, {"labels": "/nowhere.csv"}, ["/nowhere.csv", ".npy, IDX, .csv"]),
    "labels length": (lambda p: VECTORS, {"labels": [0, 1]}, ["are 2", "rows are 5"]),
    "labels real": (lambda p: VECTORS, {"labels": [0.5, 1, 2, 3, 4]}, ["real numbers", "classes"]),
    "labels foreign": (lambda p: VECTORS, {"labels": b"x,1\ny,2"}, ["name none", "`y`", "`0`"]),
    "cut Parquet": (lambda p: write(p / "b", table(p / "a", {"x": [1]}).read_bytes()[:-9]), {}, ["Parquet", "write it again"]),
    "Parquet column": (lambda p: table(p / "a", {"image": [b""] * 3}), {"column": "imag"}, ["`imag`", "did you mean `image`"]),
    "Parquet kind": (lambda p: table(p / "a", {"x": [1.0], "t": ["a"]}), {"column": "x,t"}, ["`t`", "string", "commas"]),
    "Parquet texts": (lambda p: table(p / "a", {"t": ["a"]}), {}, ["only t", "numbers"]),
    "Parquet choice": (lambda p: table(p / "a", {"s": [b""], "t": [b""]}), {}, ["several", "s, t", "--column"]),
    "Parquet gaps": (lambda p: table(p / "a", {"x": [1, 2, None, 4]}), {}, ["`x`", "row 2", "fill"]),
    "Parquet gaps in lists": (lambda p: table(p / "a", {"x": [[1], [None], [3]]}), {}, ["`x`", "row 1"]),
    "Parquet lengths": (lambda p: table(p / "a", {"x": [[1, 2], [3]]}), {}, ["`x`", "lengths (1, 2)"]),
    "Parquet nothing": (lambda p: table(p / "a", {"x": pa.array([], pa.float32())}), {}, ["no rows"]),
    "resized reals": (lambda p: GREY / 7, {"size": 16}, ["cannot be resized", "reals"]),
    "resized layers": (lambda p: GREY[:, None].repeat(5, 1), {"size": 16, "layout": "NCHW"}, ["cannot be resized", "5"]),
    "size": (lambda p: VECTORS, {"size": 7}, ["`size` is 7", "8 to 256"]),
    "channels": (lambda p: VECTORS, {"channels": 2}, ["`channels`", "auto, 1, 3, 4", "got 2"]),
    "layout": (lambda p: VECTORS, {"layout": "HWC"}, ["`layout`", "NHWC"]),
    "background": (lambda p: VECTORS, {"background": "whyte"}, ["whyte", "#rrggbb"]),
    "group": (lambda p: VECTORS, {"group": "(a"}, ["regular expression", "(a"]),
    "group of nothing": (lambda p: VECTORS, {"group": "z"}, ["matches no id", "`0`"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_that_says_what_to_do(tmp_path: Path, name: str) -> None:
    make, options, words = MISTAKES[name]
    source = make(tmp_path)
    labels = options.get("labels")
    if isinstance(labels, list | bytes):
        file = npy(tmp_path / "l.npy", labels) if isinstance(labels, list) else write(tmp_path / "l.csv", labels)
        options = {**options, "labels": str(file)}
    with pytest.raises(Mistake) as caught:
        opened(source, **options)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 400 + len(str(tmp_path)) * 3
    for word in words:
        assert word in said
