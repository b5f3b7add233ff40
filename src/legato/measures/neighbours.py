"""Nearest neighbours of features by squared Euclidean distance, in blocks: exact, and never a whole matrix of distances.

Covered: each point's nearest others, kept as lists from which the radius of its k-th neighbour *within any half* of the points
follows without a new search. Not covered: approximate search; at 10,000 points of 64 numbers, matrix products are fast enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legato.errors import Mistake
from legato.types import Rows

ENTRIES = 500_000  # distances at a time: 2 MB stay in a core's cache, which halves the time
LIST = 8  # neighbours kept for each of the k: in a random half, fewer than k of 8k are left once in ten million (k = 5)


class Cloud:
    """Points (n, f) in single precision, and the squared distances of each to its 8k nearest others, ascending.

    `centre` is subtracted: ‖x‖² + ‖y‖² − 2⟨x, y⟩ loses to rounding what lies far from the origin. Clouds that are compared need
    the same one. Raises `Mistake` on fewer than 2k + 2 points (a half needs k neighbours), and on what is not finite.
    """

    def __init__(self, points: NDArray[Any], k: int = 5, centre: NDArray[Any] | None = None) -> None:
        if points.ndim != 2 or k < 1 or len(points) < 2 * k + 2:
            raise Mistake(f"{k} neighbours in each half need points (n, f) with n of {2 * k + 2} or more, got {points.shape}")
        if broken := int((~np.isfinite(points)).any(1).sum()):
            raise Mistake(f"{broken} of {len(points)} examples have features that are not finite")
        # double precision for the mean, which single precision would round by more than near points are apart
        self.k, self.centre = k, np.asarray(points, np.float64).mean(0) if centre is None else centre
        self.points = torch.from_numpy(np.asarray(points - self.centre, np.float32))
        self.squares, self.others = self._lists(min(LIST * k, len(points) - 1))

    def __len__(self) -> int:
        return len(self.points)

    def _lists(self, length: int) -> tuple[Tensor, Tensor]:
        squares, others = [], []
        for rows, found in blocks(self.points, self.points):
            # no point is its own neighbour, though its distance of 0 is the least of all
            found[torch.arange(len(found)), torch.arange(len(found)) + rows.start] = torch.inf
            near = found.topk(length, largest=False)
            squares.append(near.values)
            others.append(near.indices)
        return torch.cat(squares), torch.cat(others)

    def radii(self, rows: Rows | None = None, k: int | None = None) -> Tensor:
        """The squared distance to the k-th nearest other point; with `rows` among these points alone, (len(rows),)."""
        k = k or self.k
        if rows is None:
            return self.squares[:, k - 1]
        kept = torch.from_numpy(rows)
        inside = torch.zeros(len(self), dtype=torch.bool)
        inside[kept] = True
        # How many of a point's neighbours within the half come up to each place of its list.
        rank = inside[self.others[kept]].cumsum(1)
        # the first place with k inside; the last where a half holds fewer, once in ten million
        at = (rank < k).sum(1, keepdim=True).clamp(max=rank.shape[1] - 1)
        return self.squares[kept].gather(1, at)[:, 0]


def blocks(x: Tensor, y: Tensor, entries: int | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Rows of x and their squared distances to every y, (rows, len(y)), which the caller may overwrite.

    About `entries` of them at a time, and never fewer than 32 rows: a product of a few rows reads all of y for little work.
    """
    squares, size = (y * y).sum(1), max(32, (entries or ENTRIES) // len(y))
    for start in range(0, len(x), size):
        part = x[start : start + size]
        # clamped: rounding may leave the square of equal points a little below 0
        found = torch.addmm(squares, part, y.T, alpha=-2).add_((part * part).sum(1, keepdim=True)).clamp_(min=0)
        yield slice(start, start + len(part)), found
