"""Tails of importance weights, which say whether to trust them: k̂ of a generalised Pareto distribution of the largest.

k̂ tells how many moments the weights have: below ½ the variance is finite, from 1 on not even the mean. Above 0.7 an average of
any practical number of weights is governed by the few largest that happened to be drawn, and so is a bound on log p(x).
Covered: the diagnosis. Not covered: smoothed weights (PSIS proper), which would no longer give a bound.

Vehtari, Simpson, Gelman, Yao & Gabry 2024, https://arxiv.org/abs/1507.02646.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.alarm import ALONE
from legato.errors import Mistake
from legato.measures.estimate import Estimate, absent, mean_over
from legato.types import Doubles

UNTRUSTED = 0.7  # above it an average of any practical number of weights is governed by its largest (Vehtari et al. 2024)
FEWEST = 5  # tail weights: a shape is not fitted to fewer
ROUNDING = 1e-4  # of log w, nats, in float32: weights that agree to within it have no tail but that of the rounding
TOO_FEW = "no tail can be fitted to fewer than 21 importance weights per example"
BLOCK = 128  # images at a time: a grid of 50 candidates for each of 200 weights is 10 MB


def tail_length(k: int) -> int:
    """The number of k weights that are the tail: min(k/5, 3√k), rounded up. Vehtari et al. 2024, section 2.4."""
    return math.ceil(min(0.2 * k, 3 * math.sqrt(k)))


def pareto_k(log_w: NDArray[Any]) -> Doubles | None:
    """k̂ of each image's weights, log_w (k, n) in nats -> (n,); None below 21 draws, of which no tail can be fitted.

    0 where the weights are equal up to rounding (the posterior is exact); inf where one is e⁷⁰⁰ times the rest.
    Raises `Mistake` on a weight that is NaN or +inf, and where an image has no weight above 0.
    """
    log_w = np.asarray(log_w, np.float64)  # in double precision: k̂ is fitted to differences of logarithms of thousands of nats
    top = log_w.max(0)
    if not np.isfinite(top).all():
        raise Mistake(f"{int((~np.isfinite(top)).sum())} of {len(top)} examples have no finite importance weight")
    length = tail_length(len(log_w))
    if length < FEWEST:
        return None
    # Partitioned first: of 10⁴ draws only the 300 of the tail need be in order.
    largest = np.partition(log_w, len(log_w) - length - 1, 0)[-length - 1 :] - top
    largest.sort(0)
    cut, tail = largest[0], largest[1:]
    excess = np.exp(tail) - np.exp(cut)  # the tail's scale is no matter: the largest weight is 1
    blocks = [_shape(excess[:, at : at + BLOCK]) for at in range(0, len(top), BLOCK)]
    return np.where(cut > -ROUNDING, 0.0, np.concatenate(blocks))


def _shape(excess: Doubles) -> Doubles:
    found = np.full(excess.shape[1], np.inf)
    fits = excess[_quarter(len(excess))] > 0  # else three quarters of the tail vanish beside its largest weight
    found[fits] = fit_pareto(excess[:, fits])[0]
    return found


def fit_pareto(excess: Doubles) -> tuple[Doubles, Doubles]:
    """(k, σ) of generalised Pareto distributions, each (n,), from samples (m, n) that are sorted along m and above 0.

    Zhang & Stephens 2009, https://doi.org/10.1198/tech.2009.08017: θ = k/σ is averaged over a grid of about √m candidates by
    its profile likelihood, under a prior that the data scale; then k = mean log(1 + θx). As in PSIS, k is drawn towards ½ with
    the weight of ten observations, which keeps short tails from random alarms.
    """
    m, count = len(excess), 30 + int(math.sqrt(len(excess)))
    grid = 1 - np.sqrt(count / (np.arange(1, count + 1) - 0.5))[:, None]  # (count, 1); b is −θ of the paper
    # (count, n); no candidate reaches −1/max, where a Pareto with k < 0 has its end and the likelihood none
    b = grid / (3 * excess[_quarter(m)]) + 1 / excess[-1]
    k = np.log1p(-b[:, None] * excess).mean(1)
    profile = m * (np.log(-b / k) - k - 1)
    weights = np.exp(profile - profile.max(0))  # less the largest: m times a logarithm overflows exp
    b_mean = (b * weights).sum(0) / weights.sum(0)
    k_mean = np.log1p(-b_mean * excess).mean(0)
    return (m * k_mean + 10 * 0.5) / (m + 10), -k_mean / b_mean


def _quarter(m: int) -> int:
    """The place of the first quartile among m sorted values."""
    return max(int(m / 4 + 0.5) - 1, 0)


def settled(k: int) -> float:
    """The largest k̂ of k draws at which an average of as many can be relied upon: min(1 − 1/log₁₀ k, 0.7).

    k̂ of few draws is itself uncertain; from 2,155 draws on this is 0.7. Vehtari et al. 2024, eq. 13.
    """
    return min(1 - 1 / math.log10(k), UNTRUSTED)


def untrusted_share(k_hat: Doubles | None) -> Estimate:
    """The share of examples whose bound is not to be trusted: k̂ > 0.7. Where k̂ is NaN there are no weights to distrust."""
    method, unit = f"Pareto k-hat of the importance weights > {UNTRUSTED}", "share of examples"
    if k_hat is None:
        return absent(TOO_FEW, unit, method)
    # Annealed examples have no weights to distrust; the method says that they count as 0.
    if without := int(np.isnan(k_hat).sum()):
        method += f"; {without:,} annealed examples, of which k-hat says nothing, count as 0"
    return mean_over((k_hat > UNTRUSTED).astype(np.float64), unit, method)


def dominated(ess: Doubles | None, k: int) -> str:
    """Words to add where the largest of an example's k weights is nearly all, by their effective numbers (n,); else none."""
    few = 0 if ess is None or k < 2 else int((ess < ALONE).sum())
    if not few or ess is None:
        return ""
    return (
        f"; in {few:,} of {len(ess):,} examples one of {k:,} draws carries nearly all the weight (effective number below "
        f"{ALONE:g}), so that the bound is that draw's: more draws, or a model of fewer latents"
    )


def trust(k_hat: Doubles | None) -> str:
    """The same in words, and what follows for the bound."""
    if k_hat is None:
        return f"{TOO_FEW}: whether the bound on log p(x) can be trusted is not known"
    known, others = k_hat[~np.isnan(k_hat)], int(np.isnan(k_hat).sum())
    bad, beside = (
        int((known > UNTRUSTED).sum()),
        f"; {others:,} others were annealed, of which k-hat says nothing" if others else "",
    )
    if not bad:
        worst = f" (Pareto k-hat at most {known.max():.2f})" if len(known) else ""
        return f"no example's weights have a heavy tail{worst}: the bound on log p(x) can be trusted{beside}"
    return (
        f"the bound on log p(x) is not to be trusted for {bad:,} of {len(k_hat):,} examples, whose weights have too heavy a "
        f"tail (Pareto k-hat above {UNTRUSTED}): no interval holds how loose it is there, and more draws or annealing would "
        f"tighten it{beside}"
    )
