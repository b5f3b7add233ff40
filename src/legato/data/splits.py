"""Splits: which rows train, which validate, which test.

Covered: a source's own splits, else a seeded 80/10/10; near-copies kept together; at least one row in each; samples of them.
Not covered: balancing labels across splits.

Each row gets a key from its name and the seed, and rows are cut in the order of their keys. So the splits depend on
names and seed alone: not on the order of files on a disk, nor on NumPy's generators, whose streams may change between
versions; and a picture added later moves only rows at the borders, never a tenth of the test set into training.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.data.rows import RowNumbers
from legato.errors import Mistake
from legato.streams import random_stream
from legato.types import Rows

NAMES = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
TENTH = 2**64 // 10 + 1  # of all keys
PARTS = 100  # of a split, in the source's order, each of which gives its share to a sample


class Split:
    """The rows of one split. It has no first ones: they can be had all, or as a sample.

    Rows come in the source's order, and that order means something: folders are read class by class, tables come sorted.
    The first n are one class or one month, and what is measured on them is of it alone. So a split cannot be sliced.
    """

    __slots__ = ("_rows",)

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows: Rows = np.asarray(rows, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Split({len(self):,} rows)"

    def all(self) -> Rows:
        """Every row, in the source's order, (N,)."""
        return self._rows

    def draw(self, n: int, purpose: str, seed: int = 0) -> Rows:
        """min(n, N) different rows in a random order, each row as likely as any other; the same for one purpose and seed.

        Even over the split: each hundredth of it, in the source's order, gives its share to within one row, so that a sample of
        a sorted source is no worse than one of a shuffled source. In a random order: any part of a sample is a sample.
        Raises `Mistake` where n is below 1.
        """
        if n < 1:
            raise Mistake(f"a sample needs 1 row or more, got {n}")
        rng, count = random_stream(seed, purpose, "rows"), len(self)
        if n >= count:
            return np.asarray(rng.permutation(self._rows))
        edges = np.arange(min(n, PARTS) + 1) * count // min(n, PARTS)
        # Shares are rounded from one random start, so that each row is taken with probability n/N exactly.
        taken = np.diff(np.floor(edges * n / count + rng.random()).astype(np.int64))
        parts = [rng.choice(b - a, k, replace=False) + a for a, b, k in zip(edges[:-1], edges[1:], taken, strict=True)]
        return np.asarray(self._rows[rng.permutation(np.concatenate(parts))])


def split(
    ids: Sequence[str],
    seed: int,
    *,
    own: np.ndarray | None = None,
    group: str | None = None,
    held: int | None = None,
    by_key: bool = False,
) -> dict[str, Split]:
    """Split name -> its rows. `own` (N,) indexes `NAMES`; `held` is the validation size where it is fixed.

    `by_key`: a row's split is a function of its name and the seed alone, a tenth of all keys each for test and validation, so
    that rows which are added move no other; where this would leave a part without any, the smallest keys are taken as ever.

    Where `own` lacks validation or test, a tenth of its training rows becomes it. Raises `Mistake` on fewer than
    three rows, or three groups.
    """
    if len(ids) < 3:
        raise Mistake(f"the source holds {len(ids)} rows: at least 3 are needed, for training, validation and test")
    codes = np.zeros(len(ids), np.uint8) if own is None else own.copy()
    keys = _keys(_groups(ids, group) if group else ids, seed)
    tenth = max(1, round(np.count_nonzero(codes == TRAIN) / 10))
    if by_key:
        _by_key(codes, keys)
    # The test split first: it stays the same whatever size of validation is asked for.
    for part in (TEST, VALIDATION):
        if not (codes == part).any():
            _draw(codes, keys, part, held if held is not None and part == VALIDATION else tenth)
    return {name: Split(np.flatnonzero(codes == code)) for code, name in enumerate(NAMES)}


def _by_key(codes: np.ndarray, keys: np.ndarray) -> None:
    """Moves training rows to test and validation by their keys alone, to those that have no rows of their own."""
    empty = [part for part in (TEST, VALIDATION) if not (codes == part).any()]
    drawn = [(codes == TRAIN) & (keys // np.uint64(TENTH) == np.uint64(place)) for place in range(len(empty))]
    if all(some.any() for some in drawn) and not np.logical_or.reduce([codes != TRAIN, *drawn]).all():
        for part, some in zip(empty, drawn, strict=True):
            codes[some] = part


def _draw(codes: np.ndarray, keys: np.ndarray, part: int, size: int) -> None:
    """Moves whole groups with the smallest keys from training to `part` until it holds `size` rows."""
    rows = np.flatnonzero(codes == TRAIN)
    # So many groups must stay for the parts that come after: one for training, and one for validation where it has none.
    still_needed = 2 if part == TEST and not (codes == VALIDATION).any() else 1
    # By whole groups: pictures of one person on both sides of a split would make what is learnt by heart look like skill.
    # `unique` sorts: the smallest keys come first, whatever order the rows are in.
    groups, member, counts = np.unique(keys[rows], return_inverse=True, return_counts=True)
    most = len(groups) - still_needed
    if most < 1:
        raise Mistake(
            f"only {len(groups)} rows or groups of rows are left to share out over training, validation and test: "
            "bring more training rows, or give another `group`"
        )
    taken = min(int(np.searchsorted(np.cumsum(counts), size)) + 1, most)
    codes[rows[member < taken]] = part


def _keys(names: Sequence[str], seed: int) -> np.ndarray:
    """A pseudo-random uint64 for each name, (N,): splitmix64 of its number or checksum, started by the seed."""
    if isinstance(names, RowNumbers):  # numbers need no text: 10⁶ keys in milliseconds
        # 2⁴⁸ apart, so that the first rows of two parts have two keys
        parts = [np.asarray(numbers, np.uint64) + np.uint64(i << 48) for i, (_, numbers) in enumerate(names.parts)]
        base = np.concatenate(parts)
    else:
        base = np.fromiter((checksum(name) for name in names), np.uint64, len(names))
    with np.errstate(over="ignore"):  # arithmetic modulo 2⁶⁴ is the algorithm
        return _mix(base + _mix(np.array([seed % 2**64], np.uint64)))


def checksum(name: str) -> int:
    """64 bits of a name: two CRCs of different starts are quick, and equal names are all that must be equal."""
    text = name.encode(errors="surrogateescape")
    return zlib.crc32(text) << 32 | zlib.crc32(text[::-1], 0x9E3779B9)


def _mix(x: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser (Steele, Lea & Flood 2014): every input bit moves half of the output bits."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _groups(ids: Sequence[str], pattern: str) -> list[str]:
    """The group of each row: what the pattern matches, else the id itself. Raises `Mistake` where nothing matches."""
    compiled = re.compile(pattern)
    groups, matched = [], 0
    for name in ids:
        match = compiled.search(name)
        matched += match is not None
        # The marks keep a group `a` and a lone row `a` apart.
        groups.append(f"row\0{name}" if match is None else f"group\0{match[1] if compiled.groups else match[0]}")
    if not matched:
        raise Mistake(f"`group` `{pattern}` matches no id, for example not `{ids[0]}`: give a pattern that does")
    return groups
