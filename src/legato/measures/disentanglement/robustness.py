"""IRS: whether a dimension stays where it is while all factors but its own change.

Suter, Miladinović, Schölkopf & Bauer 2019, https://arxiv.org/abs/1811.00007. For a dimension and a factor: how far codes lie
from their mean among images that share the factor's value (the 99 % quantile, averaged over values), relative to how far they
lie from it among all; 1 minus that, for the factor that suits the dimension best; averaged over dimensions, weighted by those
deviations. Where we differ: their code divides a 99 % quantile by a maximum, which gives Gaussian noise a third at 10⁴ images;
here both are 99 % quantiles, and noise scores about 0.
"""

from __future__ import annotations

import numpy as np

from legato.measures.disentanglement.known import Known
from legato.types import Doubles

QUANTILE = 0.99  # and not the maximum, beside which Gaussian noise would score a third (see above)
METHODS = {"irs": "interventional robustness score (Suter et al. 2019), 99 % quantiles; 1 at best, about 0 for noise"}


def scores(known: Known, seed: int = 0) -> dict[str, float]:
    """`irs`. Nothing is drawn. Maximum 1."""
    total = _deviation(known.codes)
    # (d, f): how far codes scatter while one factor is held at a value
    within = np.stack([_within(known, k) for k in range(len(known.ordered))], 1)
    robust = np.maximum(1 - within / total[:, None], 0).max(1)
    return {"irs": float((robust @ total) / total.sum())}


def _within(known: Known, k: int) -> Doubles:
    column = known.factors[:, k]
    return np.asarray(np.mean([_deviation(known.codes[column == value]) for value in np.unique(column)], 0))


def _deviation(codes: Doubles) -> Doubles:
    return np.asarray(np.quantile(np.abs(codes - codes.mean(0)), QUANTILE, 0))
