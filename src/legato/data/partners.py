"""Partners of rows: to each another whose factors differ from its own in few, so that a batch comes in pairs.

Covered: which pairs there are among rows whose factors are known, and an order of all rows in pairs that a generator fixes. Not
covered: drawing pictures of other combinations (factors.py), what is learnt of a pair (posteriors.py).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.types import Integers, Rows


class Partners:
    """Pairs among n rows with different factors (n, f), such that the two of a pair differ in 1 to `differ` of them.

    A row without any such partner is in no pair. Raises `Mistake` where there is no pair at all.
    """

    def __init__(self, factors: Integers, differ: int) -> None:
        count = factors.shape[1]
        if not 1 <= differ <= count:
            raise Mistake(f"`differ` is by how many factors the two of a pair differ, 1 to {count}; got {differ}")
        kept = combinations(range(count), count - differ)
        # (m, n) each: for every choice of factors that stay, all rows in groups that agree in them
        tables = zip(*(_groups(factors[:, some]) for some in kept), strict=True)
        self._order, self._start, self._count, self._place = map(np.stack, tables)
        self._first = np.flatnonzero((self._count > 1).any(0))
        if not len(self._first):
            raise Mistake(f"no two of the {len(factors):,} rows differ in {differ} factors or fewer: raise `differ`")

    def order(self, rng: np.random.Generator) -> Rows:
        """n rows (one less where n is odd) as places, the two of a pair side by side: a row, and any of its partners.

        Rows that have partners come first in a pair once before one of them does twice. Which factors may differ is drawn among
        the choices that leave a partner, each alike, and the partner among those.
        """
        first = np.resize(rng.permutation(self._first), self._order.shape[1] // 2)
        chance = rng.random((len(self._count), len(first))) * (self._count[:, first] > 1)
        which = chance.argmax(0)
        start, count, place = (table[which, first] for table in (self._start, self._count, self._place))
        # so many places further round the group: never the row itself
        other = start + (place + rng.integers(1, count)) % count
        return np.stack([first, self._order[which, other]], 1).ravel()


def _groups(kept: Integers) -> tuple[NDArray[np.int64], ...]:
    """Rows in the order of their groups, and of each row where its group begins there, how many are in it, its place in it."""
    # one number for each combination: by rows `unique` takes a hundred times as long
    digits = np.cumprod([1, *(kept.max(0) + 1)])[:-1]
    _, group = np.unique(kept @ digits[: kept.shape[1]], return_inverse=True)
    order, counts = np.argsort(group, kind="stable"), np.bincount(group)
    starts, place = np.cumsum(counts) - counts, np.empty(len(kept), np.int64)
    place[order] = np.arange(len(kept)) - starts[group[order]]
    return order, starts[group], counts[group], place
