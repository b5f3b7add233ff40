"""Disentanglement: whether single dimensions of the code are the known factors of the images, by every score in use.

Covered: MIG, modularity, DCI, SAP, the FactorVAE score, explicitness, IRS, of any codes: a model's, an untrained encoder's (the
floor that matters), PCA's; the true factors as a code (the ceiling) and noise as a code (the floor of the formula itself). The
scores disagree by design, and for several noise is far from 0: all are given, each beside its floor and ceiling.
Not covered: factors that are not known; images that are not at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.measures.disentanglement import explicitness, importance, information, robustness, separation, voting
from legato.measures.disentanglement.known import Known
from legato.measures.estimate import Estimate, absent, subsampled
from legato.types import Integers

UNIT = "score"
FEWEST = 200  # images: halves of halves must still hold every value of a factor, or a forest never sees one


@dataclass(frozen=True)
class Family:
    """Scores that one computation gives, on at most so many images, with so many subsets for the interval."""

    scores: Callable[[Known, int], dict[str, float]]
    methods: dict[str, str]
    images: int
    subsets: int


# What fits a classifier is slow, and fewer images are enough for it.
FAMILIES = (
    Family(information.scores, information.METHODS, 10_000, 50),
    Family(importance.scores, importance.METHODS, 4_000, 10),
    Family(separation.scores, separation.METHODS, 10_000, 20),
    Family(voting.scores, voting.METHODS, 10_000, 20),
    Family(explicitness.scores, explicitness.METHODS, 5_000, 10),
    Family(robustness.scores, robustness.METHODS, 10_000, 20),
)
NAMES = tuple(name for family in FAMILIES for name in family.methods)


def disentanglement(
    codes: NDArray[Any],
    factors: NDArray[Any],
    ordered: tuple[bool, ...] | None = None,
    noise: NDArray[Any] | None = None,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Every score by its name, of codes (n, d), posterior means, and factors (n, f), integers.

    `ordered` (f,): whether the order of a factor's values means something; `noise` (d,): the encoder's mean σ², by which dead
    dimensions are known and left out (`Known.of`). Intervals from half-sized subsets of the images: copies, as a bootstrap
    makes them, would lie on both sides of a split. They say how a score varies between samples of so many images. Its bias at
    that number (few images per bin or value) is in the floor and the ceiling too: compare only what was scored on the same
    images. Raises `Mistake` on what cannot be scored.
    """
    known = Known.of(codes, factors, ordered, noise)
    if len(known) < FEWEST:
        raise Mistake(f"{len(known)} images are too few to score disentanglement: give {FEWEST} or more")
    if not known.codes.shape[1]:
        why = "no dimension of the code is alive: the encoder gives every image the same"
        return {name: absent(why, UNIT, method) for family in FAMILIES for name, method in family.methods.items()}
    return {name: one for family in FAMILIES for name, one in estimates(family, known, seed).items()}


def ceiling(factors: NDArray[Any], ordered: tuple[bool, ...] | None = None, seed: int = 0) -> dict[str, Estimate]:
    """The scores of the true factors as a code: each score's own maximum on these images."""
    return disentanglement(np.asarray(factors, np.float64), factors, ordered, seed=seed)


def floor(
    factors: NDArray[Any], latent_dim: int, ordered: tuple[bool, ...] | None = None, seed: int = 0
) -> dict[str, Estimate]:
    """The scores of Gaussian noise as a code: what a formula gives for nothing, on these images."""
    # A generator of its own: the noise is the same whatever else was scored before.
    drawn = np.random.default_rng(seed).normal(size=(len(factors), latent_dim))
    return disentanglement(drawn, factors, ordered, seed=seed)


def estimates(family: Family, known: Known, seed: int) -> dict[str, Estimate]:
    """The scores of one family, each with its interval."""
    # A seeded draw and never the first rows, which factors' own order would make a part of the grid.
    if len(known) > family.images:
        known = known.rows(np.sort(np.random.default_rng(seed).permutation(len(known))[: family.images]))
    found: dict[bytes, dict[str, float]] = {}

    def at(name: str, rows: Integers) -> float:
        key = rows.tobytes()  # the subsets are the same for all scores of a family: computed once
        if key not in found:
            found[key] = family.scores(known.rows(rows), seed)
        return found[key][name]

    n = len(known)
    return {
        name: subsampled(partial(at, name), n, n // 2, UNIT, method, draws=family.subsets, seed=seed)
        # m = n/2: the spread over subsets then needs no rescaling (measures/estimate.py).
        for name, method in family.methods.items()
    }
