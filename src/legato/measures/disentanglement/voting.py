"""The FactorVAE score: whether the dimension that varies least tells which factor was held fixed.

Kim & Mnih 2018, https://arxiv.org/abs/1802.05983, section 4: one vote is L = 64 images that share one value of one factor, and
the dimension whose variance among them, relative to that over all images, is smallest; a majority vote for each dimension is
the classifier. Where we differ: images that share a value are drawn from those at hand, so no simulator is needed, and the
classifier is tested on other votes than it was made of.
"""

from __future__ import annotations

import numpy as np

from legato.measures.disentanglement.known import Known
from legato.types import Integers

VOTES, SHARING = 800, 64
METHODS = {"factor_vae": "FactorVAE score (Kim & Mnih 2018), 800 votes of 64 images; 1 at best, 1/factors by guessing"}


def scores(known: Known, seed: int = 0) -> dict[str, float]:
    """`factor_vae`: the accuracy of the majority vote on 800 new votes. Maximum 1, guessing gives 1/f."""
    rng, f = np.random.default_rng(seed), len(known.ordered)
    table = np.zeros((known.codes.shape[1], f))
    np.add.at(table, votes(known, VOTES, rng), 1)
    # New votes: a classifier tested on the votes that it was made of would score its own memory.
    dimension, factor = votes(known, VOTES, rng)
    return {"factor_vae": float((table.argmax(1)[dimension] == factor).mean())}


def votes(known: Known, n: int, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """(dimension, factor) of n votes, each (n,)."""
    factor = rng.integers(0, len(known.ordered), n)
    rows = np.empty((n, SHARING), np.int64)
    for k in range(len(known.ordered)):
        rows[factor == k] = _sharing(known.factors[:, k], int((factor == k).sum()), rng)
    # relative to all images, or the dimension of the smallest scale would always win
    spread = known.codes[rows].var(1) / known.codes.var(0)
    return spread.argmin(1), factor


def _sharing(column: Integers, n: int, rng: np.random.Generator) -> Integers:
    # Sorted once: the rows of a value then lie in one stretch, and a draw is a number within it.
    """n sets of rows (n, 64) with one value each, every value with the same chance."""
    order, counts = np.argsort(column, kind="stable"), np.bincount(column)
    starts = np.cumsum(counts) - counts
    there = np.flatnonzero(counts)  # in a subset of the images a value may be missing
    value = there[rng.integers(0, len(there), n)]
    within = (rng.random((n, SHARING)) * counts[value][:, None]).astype(np.int64)
    return np.asarray(order[starts[value][:, None] + within])
