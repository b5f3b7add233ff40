"""Labels as integers with names, from arrays, columns and files.

Covered: integers, texts, missing values (-1), files of one label per line or id,label. Not covered: several labels per
row, real-valued targets.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from legato.data.dataset import Content
from legato.data.idx import header, is_idx, read_array
from legato.data.npy import map_npy
from legato.errors import Mistake
from legato.types import Shape

LINE, LEAST_TEXT = 1024, 2**26  # bytes of a label file, for each row and at least: a text fills memory several times over
Labels = tuple[np.ndarray, tuple[str, ...]]  # (N,) int64, -1 where unknown; index -> name
NUMBER = re.compile(r"-?[0-9]{1,18}")
HEADS = frozenset({"id", "file", "filename", "path", "image", "name", "row", "label", "labels", "class"})


def encode(values: Sequence[object] | np.ndarray, name: str) -> Labels:
    """Distinct values in order (numbers as numbers) become 0, 1, …; None, NaN, "" and negative numbers become -1.

    Texts stand as they are: "01" and "1" are two classes, in the order of their numbers.

    Raises `Mistake` where values are not one per row, or are real numbers.
    """
    # As objects: NumPy would make text of the numbers beside a text.
    array = np.asarray(values) if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:  # the column that Keras's data sets have
        array = array[:, 0]
    if array.ndim != 1:
        raise Mistake(f"labels of `{name}` have the shape {array.shape}: expected (N,), one per row")
    if array.dtype.kind not in "biuf":
        return _texts([_text(value) for value in array])
    if array.dtype.kind == "f":
        if (array % 1 != 0)[np.isfinite(array)].any():
            raise Mistake(f"labels of `{name}` are real numbers: expected classes, as integers or texts")
        array = np.where(np.isfinite(array), array, -1).astype(np.int64)
    known = array >= 0
    names, inverse = np.unique(array[known], return_inverse=True)
    codes = np.full(len(array), -1, np.int64)
    codes[known] = inverse
    return codes, tuple(str(int(n)) for n in names)


def _texts(texts: list[str]) -> Labels:
    """Labels from texts. Of texts that are whole numbers, one below 0 is unknown, as it is of numbers, and 10 comes after 9."""
    named = {text for text in texts if text}
    if all(NUMBER.fullmatch(text) for text in named):
        # of 01 and 1, one number, the text decides
        names = sorted((text for text in named if int(text) >= 0), key=lambda text: (int(text), text))
    else:
        names = sorted(named)
    place = {name: code for code, name in enumerate(names)}
    return np.array([place.get(text, -1) for text in texts], np.int64), tuple(names)


def _text(value: object) -> str:
    """The text of a label; empty where there is none."""
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def check_length(said: int | tuple[int, ...], rows: int, name: str) -> None:
    """Raises `Mistake` with both lengths; `said` may be the first of a shape."""
    count = said if isinstance(said, int) else next(iter(said), 0)
    if count != rows:
        raise Mistake(f"labels of `{name}` are {count} and its rows are {rows}: expected one label for each row")


def from_file(path: str, content: Content) -> Labels:
    """Labels of a source's rows out of a file. Raises `Mistake` on a missing file, wrong length, or foreign ids."""
    place = Path(path).expanduser()
    if not place.is_file():
        raise Mistake(f"no file of labels is at `{path}`: give a .npy, IDX, .csv or .txt file")
    if place.suffix.lower() in (".csv", ".txt"):
        _check_size(place, content)
        lines = _lines(place)
        if lines and all(len(line) > 1 for line in lines):
            return _by_id(lines, path, content)
        return _in_order([",".join(line) for line in lines], path, content)
    return _in_order(_load(place, content), path, content)


def _check_size(place: Path, content: Content) -> None:
    """A text is held in memory several times over, so one that is far too long for the rows is not read."""
    size, most = place.stat().st_size, max(LEAST_TEXT, LINE * (len(content.rows) + len(content.problems)))
    if size > most:
        raise Mistake(
            f"labels `{place}` are {size:,} bytes, and the rows are {len(content.rows):,}: at most {most:,} are read; leave "
            "out what is no label of these rows"
        )


def _load(place: Path, content: Content) -> np.ndarray:
    """Labels of as many rows as the source has; told by the header first, so that no other is read."""
    if place.suffix.lower() == ".npy":
        array = map_npy(place, str(place))
    elif is_idx(place):
        _check_count(header(place)[1], str(place), content)
        array = read_array(place)
    else:
        raise Mistake(f"`{place}` is no file of labels: expected .npy, IDX, .csv or .txt")
    _check_count(array.shape, str(place), content)
    return np.array(array)


def _check_count(shape: Shape, name: str, content: Content) -> None:
    rows = len(content.rows)
    if shape[:1] != (rows + len(content.problems),):
        check_length(shape, rows, name)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _lines(place: Path) -> list[list[str]]:
    try:
        with open(place, newline="", encoding="utf-8-sig") as file:  # spreadsheets put a byte-order mark before the first id
            return [[field.strip() for field in line] for line in csv.reader(file) if any(line)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Mistake(f"labels `{place}` are no text in UTF-8: {_one_line(error)}") from error


def _by_id(lines: list[list[str]], path: str, content: Content) -> Labels:
    table = {line[0]: line[1] for line in lines}
    # also without its suffix, which many files leave out
    found = [table.get(id, table.get(id.rsplit(".", 1)[0])) for id in content.ids]
    if not any(value is not None for value in found):
        raise Mistake(
            f"labels `{path}` name none of the rows: its first id is `{lines[-1][0]}`, and ids here look like "
            f"`{content.ids[0]}`"
        )
    return encode(found, path)


def _in_order(values: np.ndarray | list[str], path: str, content: Content) -> Labels:
    rows = len(content.rows)
    # one line too many, which begins as a head does
    if isinstance(values, list) and len(values) == rows + len(content.problems) + 1 and values[0].lower() in HEADS:
        values = values[1:]
    codes, names = encode(values, path)
    # A file made for the whole source has lines for what was skipped too.
    if content.positions is not None and len(codes) == rows + len(content.problems):
        codes = codes[content.positions]
    check_length(len(codes), rows, path)
    return codes, names
