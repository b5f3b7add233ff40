"""The rate by dimension: what it is spent on, and which latent dimensions are used at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def rate_per_level(levels: NDArray[np.float64] | None, names: Sequence[str]) -> list[Estimate] | Estimate:
    """The mean rate of each level, the top first: levels (n, L), nats, which add up to the rate. Absent of one group."""
    if levels is None:
        return absent("the latents are one group and have no levels", "nats")
    return [mean_over(column, "nats", f"KL(q || p) of the level {name}") for column, name in zip(levels.T, names, strict=True)]


def codebook_perplexity(index: NDArray[np.float64] | None, books: int) -> Estimate:
    """exp H of the codes that are chosen, of several codebooks exp of their mean H: from 1, one code alone, to all alike.

    index (n, m): what was chosen for each token, those of each book in a row. H = −Σ p log p, p the shares of all n·m/books
    tokens: too low where tokens are few beside codes. The interval is that of a mean over examples of −log p.
    """
    if index is None:
        return absent("nothing is chosen from a codebook", "codes")
    surprise = np.mean([_surprise(part) for part in np.split(index, books, 1)], 0)
    of = mean_over(surprise, "nats", f"exp H of the shares of {index.shape[1] // books:,} tokens an example")
    value, low, high = (None if end is None else math.exp(end) for end in (of.value, of.low, of.high))
    return Estimate(value, low, high, of.n, "codes", of.method)


def _surprise(index: NDArray[np.float64]) -> NDArray[np.float64]:
    """−log of the share of what each example's tokens chose, their mean, (n,), nats."""
    _, which, counts = np.unique(index, return_inverse=True, return_counts=True)
    return np.asarray(-np.log(counts / index.size)[which.reshape(index.shape)].mean(1))
