"""NumPy's files: .npy read where it lies, .npz unpacked once into the store.

Covered: one array of images or vectors with labels and ids beside it; Keras's x_train, y_train, x_test, y_test.
Not covered: pickled objects, which are never loaded: unpickling runs code.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np

from legato.data import arrays, store
from legato.data.dataset import Content
from legato.data.fingerprint import digest_files, fingerprint
from legato.data.labels import check_length, encode
from legato.data.options import DataOptions
from legato.data.rows import RowNumbers
from legato.data.splits import TEST, TRAIN
from legato.data.writer import Writer, writing
from legato.errors import Mistake

IMAGES = ("images", "x", "X", "data", "arr_0")
LABELS = ("labels", "y", "Y", "label")
KERAS = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}
REAL = {*LABELS, *(labels for _, labels in KERAS.values())}  # what may hold measurements instead of classes
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


def open_npy(path: Path, options: DataOptions) -> Content:
    """The rows of a .npy file, memory-mapped in place where they lie as needed. Raises `Mistake`."""
    array = _map(path, str(path))
    arrays.as_rows(array, options.layout, str(path))
    digest = digest_files(["images"], lambda _: str(path))
    return arrays.content(array, str(path), digest, options)


def open_npz(path: Path, options: DataOptions) -> Content:
    """The images, labels and ids of an .npz file, in the store. Raises `Mistake`."""
    digest = digest_files(["images"], lambda _: str(path))
    key = fingerprint("npz", digest, options.arrays())
    return store.entry(key, lambda writer: _build(writer, path, options))


def _map(path: Path, name: str) -> np.ndarray:
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        if "bject" in str(error) or "pickle" in str(error):
            why = "it holds pickled Python objects, which are never loaded: save an array of numbers"
        else:
            why = f"it is broken or cut short ({' '.join(str(error).split())}): write it again"
        raise Mistake(f"`{name}` cannot be read: {why}") from error


def _build(writer: Writer, path: Path, options: DataOptions) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
            wanted = _wanted(archive, members, path)
            arrays_of = {key: _member(archive, key, writer, path) for key in wanted}
    except BROKEN as error:
        raise Mistake(f"`{path}` is no whole .npz file ({error}): write it again") from error
    left = [f"the array `{key}` is left out: rows are `{wanted[0]}`" for key in sorted(members - {*wanted})]
    _write(writer, arrays_of, path, options, left)


def _wanted(archive: zipfile.ZipFile, members: set[str], path: Path) -> list[str]:
    """The keys to unpack: images first, under the name "images" or their parts."""
    if all(images in members for images, _ in KERAS.values()):
        return [key for pair in KERAS.values() for key in pair if key in members]
    return [_images(archive, members, path), *[key for key in (*LABELS, "ids") if key in members]]


def _images(archive: zipfile.ZipFile, members: set[str], path: Path) -> str:
    named = [key for key in IMAGES if key in members]
    if named:
        return named[0]
    many = [key for key in sorted(members - {*LABELS, "ids"}) if _axes(archive, key) >= 2]
    if len(many) != 1:
        raise Mistake(
            f"`{path}` holds the arrays {', '.join(sorted(members)) or '(none)'}: expected one of rows, under the key "
            f"`images`, and optionally `labels` and `ids`"
        )
    return many[0]


def _axes(archive: zipfile.ZipFile, key: str) -> int:
    with archive.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return len(read(file)[0])


def _member(archive: zipfile.ZipFile, key: str, writer: Writer, path: Path) -> np.ndarray:
    """An array of the archive, unpacked beside the entry and mapped: one in memory could be larger than it."""
    target = writer.scratch(f"{key}.npy".replace("/", "-"))
    writer.reserve(archive.getinfo(f"{key}.npy").file_size)
    with archive.open(f"{key}.npy") as packed, writing(target.parent), open(target, "wb") as plain:
        shutil.copyfileobj(packed, plain, 2**20)
    return _map(target, f"{path}:{key}")


def _write(writer: Writer, held: dict[str, np.ndarray], path: Path, options: DataOptions, left: list[str]) -> None:
    keras = "x_train" in held
    keys = [KERAS["train"][0], KERAS["test"][0]] if keras else [next(iter(held))]
    parts = [arrays.as_rows(held[key], options.layout, f"{path}:{key}") for key in keys]
    kind, notes = arrays.build(writer, parts, str(path), options)
    counts = [len(rows) for rows in parts]
    real = [key for key in held if key in REAL and _real(held[key])]
    labels, names = _labels({key: held[key] for key in held if key not in real}, counts, keras, path)
    left = [*left, *(f"the array `{key}` is left out: real numbers are no classes" for key in real)]
    prefixes = ("train-", "test-") if keras else ("",)
    ids = RowNumbers([(prefix, range(count)) for prefix, count in zip(prefixes, counts, strict=True)])
    writer.finish(
        kind,
        ids if "ids" not in held else _ids(held["ids"], counts[0], path),
        labels=labels,
        label_names=names,
        own=np.repeat(np.array([TRAIN, TEST], np.uint8), counts) if keras else None,
        notes=(*notes, *left),
    )


def _real(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and bool((array % 1 != 0)[np.isfinite(array)].any())


def _labels(
    held: dict[str, np.ndarray], counts: list[int], keras: bool, path: Path
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    keys = [labels for _, labels in KERAS.values()] if keras else [key for key in LABELS if key in held][:1]
    values = [held[key] for key in keys if key in held]
    if len(values) < len(counts):
        return None, ()
    for array, count in zip(values, counts, strict=True):
        check_length(len(array) if array.ndim else 0, count, str(path))
    # Keras has columns (N, 1); what has more of them is refused where labels are encoded.
    flat = [np.asarray(array).reshape(-1) if array.size == len(array) else np.asarray(array) for array in values]
    several = [array for array in flat if array.ndim > 1]
    return encode(several[0] if several else np.concatenate(flat), str(path))


def _ids(array: np.ndarray, rows: int, path: Path) -> list[str]:
    names = [str(name).replace("\n", " ") for name in array.ravel()]
    if len(names) != rows:
        raise Mistake(f"`{path}` has {len(names)} ids and {rows} rows: expected one id for each row")
    return names
