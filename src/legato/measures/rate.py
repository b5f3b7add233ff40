"""The rate by dimension: what it is spent on, and which latent dimensions are used at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from legato.measures.estimate import Estimate, absent, bootstrap, mean_over
from legato.moments import LARGEST

THRESHOLDS = (0.001, 0.01, 0.1)  # 0.01 is Burda et al.'s; a decade on either side shows whether the count hangs on it


def active_units(mu: NDArray[np.float64], threshold: float) -> Estimate:
    """The number of dimensions j with Var_x(μ_j(x)) > threshold; mu (n, d).

    Burda et al. 2016, https://arxiv.org/abs/1509.00519, section 5.2 (they use 0.01). The interval is a bootstrap over images.
    Absent where no means were kept.
    """
    if not mu.shape[1]:
        return absent(f"dimensions are counted one by one up to {LARGEST:,} of them", "dimensions")
    centred = mu - mu.mean(0)  # centred once: the moments below are differences, which would cancel for means far from 0

    def count(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        first = weights @ centred
        return np.asarray(((weights @ centred**2 - first**2) > threshold).sum(1), np.float64)

    value = float((centred.var(0) > threshold).sum())
    return bootstrap(count, value, len(mu), "dimensions", f"Var(mu_j) > {threshold:g}")


def kl_per_dimension(kl: NDArray[np.float64] | None, channels: bool = False) -> list[Estimate] | Estimate:
    """The mean KL of each dimension, kl (n, d), nats; absent where it has no closed form. `channels`: what kl is of instead."""
    if kl is None:
        return absent("the KL has no closed form per dimension", "nats")
    of = "closed-form KL(q || p) of a channel, summed over its places" if channels else "closed-form KL(q_j || p_j)"
    return [mean_over(column, "nats", of) for column in kl.T]
