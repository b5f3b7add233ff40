"""Figures of a whole family: whether a space that is continuous and semantic is one that can be sampled.

What is said of spaces in general is said of no single member. Over the trained members of one seed, by ranks: how much noise
a space bears (r₅₀), how often its neighbours share a class (where nobody knows classes, how far they are the images' own), and
how near samples come to real images, given reconstructions. Covered: these rank correlations, one figure for each seed. Not
covered: the members' own figures (survey/), what is concluded (conclusion.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from legato.measures.estimate import Estimate, absent
from legato.types import Doubles

Figures = Mapping[str, Estimate]
SAMPLES, RECONSTRUCTIONS = "frechet mixture", "frechet reconstruction"
BEARS, MEANS = "r50", ("purity", "trustworthiness")
LEAST = 5  # members: of fewer ranks say nothing


def across(found: Mapping[str, Sequence[Figures]]) -> list[dict[str, Estimate]]:
    """Of each seed that all of `found`'s members have: how well continuity, meaning and both foretell sampling, in −1 … 1.

    1: the more of it, the nearer samples of several Gaussians fitted to the codes, in times of the reconstructions' distance.
    """
    seeds = min((len(seeds) for seeds in found.values()), default=0)
    return [_of_seed([figures[seed] for figures in found.values()]) for seed in range(seeds)]


def _of_seed(members: Sequence[Figures]) -> dict[str, Estimate]:
    beyond, bears = _beyond(members), _of(members, BEARS)
    means = next((values for name in MEANS if np.isfinite(values := _of(members, name)).sum() >= LEAST), _of(members, MEANS[0]))
    known = np.isfinite(beyond) & np.isfinite(bears) & np.isfinite(means)
    near, bears, means = -beyond[known], bears[known], means[known]
    both = rankdata(bears) + rankdata(means)
    told = {"continuity": bears, "meaning": means, "both": both}
    return {f"sampling told by {name}": _correlation(values, near) for name, values in told.items()}


def _beyond(members: Sequence[Figures]) -> Doubles:
    """log of the samples' distance in times of the reconstructions'."""
    samples, rebuilt = _of(members, SAMPLES), _of(members, RECONSTRUCTIONS)
    known = (samples > 0) & (rebuilt > 0)
    return np.log(np.where(known, samples, np.nan)) - np.log(np.where(known, rebuilt, np.nan))


def _of(members: Sequence[Figures], name: str) -> Doubles:
    values = (figures[name].value if name in figures else None for figures in members)
    return np.array([math.nan if value is None else value for value in values], float)


def _correlation(x: Doubles, y: Doubles) -> Estimate:
    """Spearman's ρ."""
    unit, method = "rank correlation", f"Spearman's ρ over {len(x)} members of one seed"
    if len(x) < LEAST:
        return absent(f"ranks of fewer than {LEAST} members say nothing, and {len(x)} have all figures", unit, method)
    if len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
        return absent("members that are all alike have no ranks", unit, method)
    return Estimate(float(np.corrcoef(rankdata(x), rankdata(y))[0, 1]), None, None, len(x), unit, method)
