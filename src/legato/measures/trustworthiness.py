"""Trustworthiness and continuity: whether neighbours in latent space are neighbours as images, and the reverse.

Trustworthiness falls where codes bring unlike images together, continuity where they tear like ones apart; each is 1 for a
perfect map and about ½ for a random one. Covered: both, by exact ranks, on a sample. Not covered: labels (semantics.py).

Venna & Kaski 2001, https://doi.org/10.1007/3-540-44668-0_68; scikit-learn has the first of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.measures.estimate import Estimate, absent, subsampled
from legato.types import Doubles

K = 10  # below half of any sample that is measured, as the factor asks, and as many as purity looks at
SAMPLE = 2000  # rows: all of their distances are kept, 8n² bytes on either side
BLOCK = 200  # rows whose ranks are counted at once: (200, n) comparisons for each neighbour, whatever n is
DRAWS = 20  # subsets for the interval, each of half of the rows: the ranks of each are counted anew


@dataclass(frozen=True)
class Preserved:
    """`trustworthiness` and `continuity` of each row (n,), whose means are the figures, and those with their intervals.

    An interval is from subsets without replacement: a bootstrap's copies would be each other's nearest neighbours.
    """

    # of the sample, (n,): the same for every model of the same size and seed, so that models compare image by image
    rows: NDArray[np.int64]
    trustworthiness: Doubles
    continuity: Doubles
    estimates: dict[str, Estimate]


def preserved(codes: NDArray[Any], images: NDArray[Any], k: int = K, sample: int = SAMPLE, seed: int = 0) -> Preserved:
    """The neighbours of images or features (N, *data) that (whitened) codes (N, d) keep, on up to `sample` rows. Euclidean.

    Images that are exact copies of each other share the better rank. Raises `Mistake` unless k is below half of the rows.
    """
    if len(codes) != len(images):
        raise Mistake(f"codes belong to images: got {len(codes)} codes and {len(images)} images")
    rows = np.sort(np.random.default_rng(seed).permutation(len(codes))[:sample])
    near, like = squared_distances(codes[rows]), squared_distances(images[rows])
    trust, whole = kept_neighbours(near, like, k), kept_neighbours(like, near, k)
    estimates = {
        "trustworthiness": _interval(near, like, k, float(trust.mean()), "trustworthiness", seed),
        "continuity": _interval(like, near, k, float(whole.mean()), "continuity", seed),
    }
    return Preserved(rows, trust, whole, estimates)


def squared_distances(points: NDArray[Any]) -> Doubles:
    """‖p_i − p_j‖², (n, n); the diagonal is inf, for no point is its own neighbour."""
    # double precision, as the expansion below is a difference of large squares
    flat = np.asarray(points, np.float64).reshape(len(points), -1)
    flat = flat - flat.mean(0)  # else the expansion cancels where the points lie far from 0
    norms = (flat**2).sum(1)
    found = norms[:, None] + norms - 2 * flat @ flat.T
    if not np.isfinite(found).all():
        raise Mistake("a code or an image is not finite: the run diverged, train it anew")
    np.fill_diagonal(found, np.inf)
    return np.asarray(found)


def kept_neighbours(near: Doubles, like: Doubles, k: int) -> Doubles:
    """1 − 2/(k(2n − 3k − 1)) Σ_j max(0, r(i, j) − k) for each row i, (n,), j its k nearest by `near`, r its rank by `like`.

    `near` and `like` are (n, n) as of `squared_distances`. The factor makes the worst order 0 where 2k < n.
    """
    n = len(near)
    if not 0 < 2 * k < n:
        raise Mistake(f"`k` must be at least 1 and below half of the {n} rows, got {k}")
    excess = [_excess(near[at : at + BLOCK], like[at : at + BLOCK], k) for at in range(0, n, BLOCK)]
    return np.asarray(1 - np.concatenate(excess) * (2 / (k * (2 * n - 3 * k - 1))))


def _excess(near: Doubles, like: Doubles, k: int) -> Doubles:
    nearest = np.argpartition(near, k - 1, axis=1)[:, :k]
    theirs = np.take_along_axis(like, nearest, 1)
    # Ranks by counting what is strictly nearer: sorting all n columns for each row would cost more, and ties share the better.
    ranks = np.stack([(like < column[:, None]).sum(1) for column in theirs.T]) + 1
    return np.asarray(np.maximum(ranks - k, 0).sum(0), np.float64)


def _interval(near: Doubles, like: Doubles, k: int, value: float, name: str, seed: int) -> Estimate:
    n, method = len(near), f"{name} of codes against images, k = {k}"
    if n // 2 <= 2 * k:
        return absent(f"{n} images are too few for an interval from halves of them", "share", method)

    def of(rows: NDArray[np.int64]) -> float:
        square = np.ix_(rows, rows)
        return float(kept_neighbours(near[square], like[square], k).mean())

    return subsampled(of, n, n // 2, "share", method, value, DRAWS, seed)
