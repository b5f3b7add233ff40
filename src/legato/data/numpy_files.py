"""NumPy's files: .npy read where it lies, .npz and folders of .npy files put once into the store.

Covered: one array of images or vectors with labels and ids beside it; parts named as Keras and MedMNIST name theirs.
Not covered: pickled objects, which are never loaded: unpickling runs code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legato.data import arrays, store
from legato.data.dataset import Content
from legato.data.fingerprint import digest_files, fingerprint
from legato.data.labels import check_length, encode
from legato.data.npy import DAMAGED, map_npy, one_line
from legato.data.options import DataOptions
from legato.data.parts import ArrayPart, of_arrays
from legato.data.rows import RowNumbers
from legato.data.splits import TRAIN
from legato.data.writer import Writer, writing
from legato.errors import Mistake
from legato.types import Shape

IMAGES = ("images", "x", "X", "data", "arr_0")
LABELS = ("labels", "y", "Y", "label")
USUAL = ["x_train", "x_test"]  # Keras's, whose fingerprint says nothing of parts


@dataclass(frozen=True)
class Held:
    """Named arrays: their shapes, known without reading them (None where the header is damaged), and how to map one."""

    name: str
    shapes: Mapping[str, Shape | None]
    get: Callable[[str, Writer], np.ndarray]


def open_npy(path: Path, options: DataOptions) -> Content:
    """The rows of a .npy file, memory-mapped in place where they lie as needed. Raises `Mistake`."""
    array = map_npy(path, str(path))
    arrays.as_rows(array, options.layout, str(path))
    digest = digest_files(["images"], lambda _: str(path))
    return arrays.content(array, str(path), digest, options)


def open_npz(path: Path, options: DataOptions) -> Content:
    """The images, labels and ids of an .npz file, in the store. Raises `Mistake`."""
    with _archive(path) as archive:
        keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        shapes = {key: _shape(archive, key) for key in keys}
    held = Held(str(path), shapes, lambda key, writer: _member(path, key, writer))
    return _open(held, "npz", digest_files(["images"], lambda _: str(path)), options)


def open_npy_folder(files: Sequence[Path], name: str, options: DataOptions) -> Content:
    """A folder of .npy files, told apart by their names as the arrays of an .npz are. Raises `Mistake`."""
    places = {file.stem: file for file in files}
    maps = {key: map_npy(place, str(place)) for key, place in places.items()}
    held = Held(name, {key: array.shape for key, array in maps.items()}, lambda key, _: maps[key])
    return _open(held, "npy folder", digest_files(sorted(places), lambda key: str(places[key])), options)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """An open .npz; what is broken in it becomes a mistake, what is one already stays as it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DAMAGED as error:
        raise Mistake(f"`{path}` is no whole .npz file ({one_line(error)}): write it again") from error


def _shape(archive: zipfile.ZipFile, key: str) -> Shape | None:
    try:
        with archive.open(f"{key}.npy") as file:
            version = np.lib.format.read_magic(file)
            # The header alone, by NumPy's own readers: shapes of all arrays are told without unpacking any.
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return tuple(read(file)[0])
    except DAMAGED:
        return None


def _member(path: Path, key: str, writer: Writer) -> np.ndarray:
    """An array of the archive, unpacked beside the entry and mapped: one in memory could be larger than it."""
    target = writer.scratch(f"{key}.npy".replace("/", "-"))  # a key may name folders, and none is to be made
    with _archive(path) as archive:
        writer.reserve(archive.getinfo(f"{key}.npy").file_size)
        with archive.open(f"{key}.npy") as packed:
            _unpack(iter(lambda: packed.read(2**20), b""), target)
    return map_npy(target, f"{path}:{key}")


def _unpack(blocks: Iterator[bytes], target: Path) -> None:
    with writing(target.parent):
        plain = open(target, "wb")  # noqa: SIM115 (what fails in reading must not be told as a full disk)
    with plain:
        for block in blocks:
            with writing(target.parent):
                plain.write(block)


def _open(held: Held, reader: str, digest: str, options: DataOptions) -> Content:
    parts = _parts(held)
    shape = held.shapes[parts[0].rows]
    options = options if shape is None else arrays.settled(options, shape, held.name)
    told = [part.rows for part in parts] if len(parts) > 1 else USUAL
    key = fingerprint(reader, digest, {**options.arrays(), **({} if told == USUAL else {"parts": told})})
    return store.entry(key, lambda writer: _build(writer, held, parts, options))


def _parts(held: Held) -> list[ArrayPart]:
    """The parts, training first; one part where no other is named, whatever its own name says."""
    found = of_arrays(held.shapes)
    named = [key for key in IMAGES if key in held.shapes]
    if found and (len(found) > 1 or not named):
        return found
    rows = named[0] if named else _only(held)
    return [ArrayPart(TRAIN, rows, next((key for key in LABELS if key in held.shapes), None))]


def _only(held: Held) -> str:
    many = [key for key, shape in sorted(held.shapes.items()) if key not in (*LABELS, "ids") and len(shape or ()) >= 2]
    if len(many) != 1:
        raise Mistake(
            f"`{held.name}` holds the arrays {', '.join(sorted(held.shapes)) or '(none)'}: expected one of rows, under the key "
            "`images`, or parts as `x_train`, `x_val` and `x_test`; and optionally `labels` and `ids`"
        )
    return many[0]


def _build(writer: Writer, held: Held, parts: list[ArrayPart], options: DataOptions) -> None:
    rows = [arrays.as_rows(held.get(p.rows, writer), options.layout, f"{held.name}:{p.rows}") for p in parts]
    kind, notes = arrays.build(writer, rows, held.name, options)
    counts = [len(some) for some in rows]
    labels, names, left = _labels(writer, held, parts, counts)
    trained = len(parts) > 1 and parts[0].code == TRAIN
    prefixes = [f"{part.name}-" for part in parts] if len(parts) > 1 else [""]
    numbers = RowNumbers([(prefix, range(count)) for prefix, count in zip(prefixes, counts, strict=True)])
    own_ids = len(parts) == 1 and "ids" in held.shapes
    writer.finish(
        kind,
        _ids(held.get("ids", writer), counts[0], held.name) if own_ids else numbers,
        labels=labels,
        label_names=names,
        own=np.repeat(np.array([part.code for part in parts], np.uint8), counts) if trained else None,
        notes=(*notes, *left, *_unused(held, parts, own_ids)),
    )


def _unused(held: Held, parts: list[ArrayPart], own_ids: bool) -> list[str]:
    used = {part.rows for part in parts} | {part.labels for part in parts} | ({"ids"} if own_ids else set())
    left = sorted(set(held.shapes) - used)
    return [f"arrays left out: {', '.join(left[:8])}{f' and {len(left) - 8} more' if len(left) > 8 else ''}"] if left else []


def _labels(
    writer: Writer, held: Held, parts: list[ArrayPart], counts: list[int]
) -> tuple[np.ndarray | None, tuple[str, ...], list[str]]:
    if not any(part.labels for part in parts):
        return None, (), []
    values = [None if part.labels is None else held.get(part.labels, writer) for part in parts]
    if any(array is not None and _real(array) for array in values):
        names = [str(part.labels) for part in parts if part.labels]
        return None, (), [f"the array `{name}` is left out: real numbers are no classes" for name in names]
    for array, count in zip(values, counts, strict=True):
        if array is not None:
            check_length(len(array) if array.ndim else 0, count, held.name)
    # Keras has columns (N, 1); several labels to a row, as ChestMNIST has, are none that Legato reads.
    wide = [array.shape for array in values if array is not None and array.size != len(array)]
    if wide:
        return None, (), [f"labels of shape {wide[0]} left out: a label is one class for each row"]
    known = [array for array in values if array is not None]
    if len(known) == len(values):
        return (*encode(np.concatenate([array.reshape(-1) for array in known]), held.name), [])
    named = [
        [None] * count if array is None else array.reshape(-1).tolist() for array, count in zip(values, counts, strict=True)
    ]
    return (*encode([value for some in named for value in some], held.name), [])


def _real(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and bool((array % 1 != 0)[np.isfinite(array)].any())


def _ids(array: np.ndarray, rows: int, path: str) -> list[str]:
    names = [str(name).replace("\n", " ") for name in array.ravel()]  # ids are kept a line each
    if len(names) != rows:
        raise Mistake(f"`{path}` has {len(names)} ids and {rows} rows: expected one id for each row")
    return names
