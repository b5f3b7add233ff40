"""Distances between images, or their features, row by row.

Covered: Euclidean distances of decoded means, and what they are compared with: an unrelated image. Not covered: distances to
the nearest of many (neighbours.py), between distributions (fidelity.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.streams import random_stream
from legato.types import Doubles, Floats

PARTNERS = 4  # unrelated images that each is compared with: their mean is steadier than the distance to one

Map = Callable[[Floats], Floats]  # codes -> images, or images -> features, row by row


def euclidean(a: NDArray[Any], b: NDArray[Any]) -> Doubles:
    """‖a − b‖ of rows, (n, *data) each: (n,), in double precision. Raises `Mistake` on NaN and on unequal shapes."""
    if a.shape != b.shape:
        raise Mistake(f"a distance needs rows of one shape, got {a.shape} and {b.shape}")
    # in double precision: small differences of large images would lose their digits in the sum of squares
    found = np.linalg.norm((np.asarray(a, np.float64) - b).reshape(len(a), -1), axis=1)
    if broken := int((~np.isfinite(found)).sum()):
        raise Mistake(f"{broken} of {len(found)} distances are not finite: the run diverged, train it anew")
    return np.asarray(found)


def partners(n: int, seed: int) -> NDArray[np.int64]:
    """Up to four others for each of n rows, (k, n): the next ones on a random circle. Each row is as often partner as any."""
    # A circle and no independent draws: no row is its own partner, and none counts more often than another.
    circle = random_stream(seed, "partners").permutation(n)
    found = np.empty((min(PARTNERS, n - 1), n), np.int64)
    for k, row in enumerate(found, 1):
        row[circle] = np.roll(circle, k)
    return found


def at_both_ends(found: Doubles, others: NDArray[np.int64]) -> Doubles:
    """The mean distance of each row to all that it met, (n,), from distances (k, n) to `others` (k, n)."""
    ends = found.sum(0) + np.bincount(others.ravel(), found.ravel(), found.shape[1])
    return np.asarray(ends / (2 * len(found)))


def relative(moved: Doubles, whole: Doubles, weights: Doubles) -> Doubles:
    """E moved/E whole under weights (draws, n) of the rows, (draws,); `whole` as of `at_both_ends`.

    A distance has two ends, both of which are resampled: its mean is a U-statistic of order 2, and moves twice as much with the
    weights as one that counts each row once (Hoeffding's projection). Counted once, intervals would be too narrow.
    """
    whole = 2 * (weights @ whole) - whole.mean()
    return np.asarray((weights @ moved) / np.where(whole > 0, whole, np.nan))  # of few examples that differ it may have none


def pixels(images: Floats) -> Floats:
    """Images as their own features."""
    return images
