"""Rows in blocks, and their names: made on demand, from numbers or from the bytes of a file, so that 10⁶ need little memory.

Covered: numbered names in parts with a prefix each; names that a source gives itself; finding a row by its name or number.
Not covered: few names, which are a plain list.
"""

from __future__ import annotations

import difflib
import mmap
from collections.abc import Iterator, Sequence
from itertools import islice
from math import prod
from pathlib import Path
from typing import overload

import numpy as np

from legato.errors import Mistake
from legato.types import RowArray, Rows

BLOCK = 2**24  # bytes looked at or written at once, so that memory stays flat
NEAR_BY = 20_000  # names compared when one is misspelt; all pairs of 10⁶ would take a minute


def plain(rows: RowArray) -> RowArray:
    """A mapped file as a plain array: a memmap's own indexing runs Python at each block. What is streamed stays so."""
    return np.asarray(rows) if isinstance(rows, np.ndarray) else rows


def taken(rows: RowArray, numbers: Rows) -> np.ndarray:
    """These rows, (n, *example), as they are stored."""
    return np.asarray(plain(rows)[numbers])


def blocks(rows: RowArray) -> Iterator[np.ndarray]:
    """Consecutive rows, about `BLOCK` bytes at a time."""
    step = max(1, BLOCK // max(1, prod(rows.shape[1:]) * rows.dtype.itemsize))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
        # Pages of a mapped file count as this process's memory until they are given back: a pass over 50 GB would seem
        # to need 50.
        _let_go(rows)


def _let_go(rows: RowArray) -> None:
    """Gives back the pages of a file that were looked at: they are the system's to keep, and no part of this process."""
    mapped: np.ndarray | None = None
    base: object = rows  # of what is streamed nothing is mapped
    while isinstance(base, np.ndarray):
        mapped, base = base if isinstance(base, np.memmap) else mapped, base.base
    # Only where no page can differ from the file: of any other map it would throw away what was written.
    if isinstance(mapped, np.memmap) and mapped.mode == "r" and isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


class _Sought(Sequence[str]):
    """Names of which `index` finds one without making the others."""

    def __contains__(self, value: object) -> bool:
        try:
            self.index(value)
        except ValueError:
            return False
        return True


class RowNumbers(_Sought):
    """The names prefix + number of each part in turn: [("train-", range(3)), ("test-", range(2))] is train-0 … test-1.

    `numbers` may be an increasing array where some rows of the source were skipped.
    """

    def __init__(self, parts: Sequence[tuple[str, range | np.ndarray]]) -> None:
        self.parts = tuple(parts)

    def __len__(self) -> int:
        return sum(len(numbers) for _, numbers in self.parts)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        left = row + len(self) if row < 0 else int(row)
        for prefix, numbers in self.parts:
            if 0 <= left < len(numbers):
                return f"{prefix}{numbers[left]}"
            left -= len(numbers)
        raise IndexError(row)

    def index(self, value: object, start: int = 0, stop: int | None = None) -> int:
        """The row of a name, without making the others."""
        before = 0
        for prefix, numbers in self.parts:
            tail = str(value).removeprefix(prefix)
            number = int(tail) if tail.isascii() and tail.isdigit() else 0
            at = int(np.searchsorted(numbers, number)) if isinstance(numbers, np.ndarray) else number
            if at < len(numbers) and f"{prefix}{numbers[at]}" == value:
                return before + at
            before += len(numbers)
        raise ValueError(f"{value!r} is not among the rows")


class Names(_Sought):
    """The lines of a file as text, like a list of them. (As a list, 10⁶ short names would take 100 MB.)

    The file is mapped and stays so: a name is found in it without making the others.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        with open(place, "rb") as file:
            self._text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        # A carriage return belongs to a name, so that bytes are looked at and no text is read; some at a time, for the marks of
        # line ends take as much as the text.
        ends = [
            start + 1 + np.flatnonzero(np.frombuffer(self._text, np.uint8, min(BLOCK, len(self._text) - start), start) == 10)
            for start in range(0, len(self._text), BLOCK)
        ]
        self._bounds = np.concatenate([np.zeros(1, np.int64), *ends])

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self._at(i) for i in range(*row.indices(len(self)))]
        at = int(row) + len(self) if row < 0 else int(row)
        if not 0 <= at < len(self):
            raise IndexError(row)
        return self._at(at)

    def _at(self, row: int) -> str:
        return as_text(self._text[self._bounds[row] : self._bounds[row + 1] - 1])

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), 4096):
            yield from self[start : start + 4096]

    def index(self, value: object, start: int = 0, stop: int | None = None) -> int:
        """The first row of a name."""
        first, last, _ = slice(start, stop).indices(len(self))
        if isinstance(value, str) and "\n" not in value:
            if "\\" in value:  # what is no UTF-8 in the file is shown by a backslash, and is not found as bytes
                found = next((i for i, name in enumerate(islice(self, first, last), first) if name == value), None)
            else:
                found = self._searched(value, first, last)
            if found is not None:
                return found
        raise ValueError(f"{value!r} is not among the rows")

    def _searched(self, value: str, first: int, last: int) -> int | None:
        try:
            line = value.encode() + b"\n"
        except UnicodeEncodeError:  # half a character is in no text that was read
            return None
        at, end = int(self._bounds[first]), int(self._bounds[last])
        while (at := self._text.find(line, at, end)) >= 0:
            row = int(np.searchsorted(self._bounds, at))
            if self._bounds[row] == at:
                return row
            at += 1  # the end of another name
        return None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) or not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list has none

    def __reduce__(self) -> tuple[type[Names], tuple[Path]]:
        return Names, (self._place,)  # a map is a process's own

    def __repr__(self) -> str:
        return f"Names({self[:3]!r}, {len(self):,} in all)"


def as_text(name: bytes) -> str:
    """A line of a file of names. As bytes, since reading text would turn the carriage return in a name into a line's end."""
    return name.decode("utf-8", "backslashreplace")


def find(ids: Sequence[str], name: str) -> int:
    """The row of an id, or of a row number that is no id. Raises `Mistake` with the nearest name."""
    try:
        return ids.index(name)
    except ValueError:
        pass
    # `isdigit` alone also takes ², for which `int` has no number; a table's own row numbers are names already.
    if name.isascii() and name.isdigit() and int(name) < len(ids) and not _numbered(ids):
        return int(name)
    near = difflib.get_close_matches(name, ids[:NEAR_BY], n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`? " if near and not _numbered(ids) else ""
    raise Mistake(
        f"no row is named `{name}`: {hint}names go from `{ids[0]}` to `{ids[-1]}`, row numbers from 0 to {len(ids) - 1}"
    )


def _numbered(ids: Sequence[str]) -> bool:
    """True where the names are the source's own row numbers, which a number then always means."""
    return isinstance(ids, RowNumbers) and all(prefix == "" for prefix, _ in ids.parts)
