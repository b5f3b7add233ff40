"""Posterior collapse: which dimensions carry nothing, for how many of the images, and what to do about it.

Covered: active units, KL per dimension, the share of images to which a dimension says nothing, and advice in words, a function
of those figures alone. Not covered: whether the decoder listens to what a dimension carries (geometry); discrete latents.

A dimension carries nothing where its posterior is the prior's for every image: μ = 0, σ = 1, KL 0. That alone is no fault: it
is how a VAE says that it has more latents than its rate can fill. All of them at once is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.measures.estimate import Estimate, absent, mean_over
from legato.measures.rate import THRESHOLDS, active_units, kl_per_dimension
from legato.types import Doubles

QUIET = 0.01  # nats below which a dimension tells an image nothing; of a KL, so that it holds in whatever units codes are
IDLE = 0.01  # of Var μ_j, the threshold of active units (Burda et al. 2016): less does not move with the image
PAID = 0.1  # nats of mean KL, ten times what counts as nothing: who pays that pays for something
NO_DENSITY = "a point mass has no KL: an autoencoder has no prior to collapse to"
State = Literal["points", "uncharged", "collapsed", "unsettled", "mostly unused", "some unused", "all used"]


@dataclass(frozen=True)
class Advice:
    """One of a handful of states, and the sentence that says what it means and what to do."""

    state: State
    sentence: str


@dataclass(frozen=True)
class Collapse:
    """Estimates over images of what each dimension carries, and what advice is drawn from, (d,).

    active: by threshold, the dimensions with Var μ_j above it; kl (nats) and quiet (share of images with KL_j < 0.01 nats) per
    dimension, absent for points; signal: Var μ_j; width: the geometric mean of σ_j, 0 for points.
    """

    active: dict[float, Estimate]
    kl: list[Estimate] | Estimate
    quiet: list[Estimate] | Estimate
    mean_kl: Doubles | None
    signal: Doubles
    width: Doubles

    def advice(self, charged: bool = True) -> Advice:
        """`charged`: whether the objective charged the KL."""
        return advise(self.mean_kl, self.signal, self.width, charged)


def collapse(mu: NDArray[Any], sigma: NDArray[Any] | None) -> Collapse:
    """The collapse of posteriors N(μ, diag σ²), each (n, d), against N(0, I); σ None for points. Raises `Mistake` on NaN."""
    mu = np.asarray(mu, np.float64)
    if mu.ndim != 2 or (sigma is not None and sigma.shape != mu.shape):
        raise Mistake(f"needs mu and sigma (n, d) alike, got {mu.shape} and {None if sigma is None else sigma.shape}")
    if not np.isfinite(mu).all():
        raise Mistake("`mu` is not finite: the run diverged, train it anew")
    kl = None if sigma is None else divergence(mu, np.asarray(sigma, np.float64))
    return Collapse(
        active={threshold: active_units(mu, threshold) for threshold in THRESHOLDS},
        kl=kl_per_dimension(kl) if kl is not None else absent(NO_DENSITY, "nats"),
        quiet=quiet_share(kl),
        mean_kl=None if kl is None else kl.mean(0),
        signal=mu.var(0),
        # geometric: widths range over decades, and the arithmetic mean is that of the widest images
        width=np.zeros(mu.shape[1]) if sigma is None else np.exp(np.log(np.asarray(sigma, np.float64)).mean(0)),
    )


def divergence(mu: Doubles, sigma: Doubles) -> Doubles:
    """KL(N(μ_j, σ_j²) ‖ N(0, 1)) = ½(μ² + σ² − 1 − log σ²), (n, d), nats. Raises `Mistake` where σ is 0 or infinite."""
    # σ = 0 would have an infinite KL and pass as a very informative dimension.
    if not ((sigma > 0) & np.isfinite(sigma)).all():
        raise Mistake("`sigma` must be finite and above 0 everywhere: give None for points")
    log_variance = 2 * np.log(sigma)
    # expm1: near σ = 1, where collapse is, σ² − 1 − log σ² cancels to the square of what is left.
    return np.asarray(0.5 * (mu**2 + np.expm1(log_variance) - log_variance))


def quiet_share(kl: Doubles | None) -> list[Estimate] | Estimate:
    """The share of images with KL_j < 0.01 nats, per dimension, kl (n, d): in between, a dimension is kept for some images."""
    unit = "share of images"
    if kl is None:
        return absent(NO_DENSITY, unit)
    return [mean_over((column < QUIET).astype(np.float64), unit, f"KL(q_j || p_j) < {QUIET:g} nats") for column in kl.T]


def advise(mean_kl: Doubles | None, signal: Doubles, width: Doubles, charged: bool = True) -> Advice:
    """Mean KL (None for points), Var μ_j and the geometric mean of σ_j, each (d,), put into words.

    A dimension is unused where its mean KL is below 0.01 nats; it is unsettled where it pays 0.1 nats or more and yet its mean
    does not move with the image (Var μ_j < 0.01).
    """
    d = len(signal)
    if mean_kl is None:
        return Advice("points", f"{NO_DENSITY}. {int((signal > IDLE).sum())} of its {d} dimensions vary with the image.")
    # Without a charge the KL is no price: a small one would not mean collapse, nor a large one content.
    if not charged:
        return Advice("uncharged", _uncharged(signal, width))
    unused, rate = int((mean_kl < QUIET).sum()), float(mean_kl.sum())
    if unused == d:
        return Advice("collapsed", _collapsed(d))
    # Before the unused are counted: nats that carry nothing say that training is not done, and then no count is final.
    if unsettled := int(((mean_kl >= PAID) & (signal < IDLE)).sum()):
        return Advice("unsettled", _unsettled(unsettled, d))
    if not unused:
        return Advice("all used", _all_used(d, rate, float(mean_kl.min())))
    return Advice("mostly unused" if 2 * unused > d else "some unused", _unused(unused, d, rate))


def _uncharged(signal: Doubles, width: Doubles) -> str:
    alive = signal > 0
    # A geometric mean: widths and spreads range over decades, and a mean of ratios would be that of the largest.
    ratio = np.exp(np.log(width[alive] / np.sqrt(signal[alive])).mean()) if alive.any() else 0.0
    now = f"σ/Std μ is {ratio:.2g}, a geometric mean" if alive.any() else "no mean varies with the image"
    return (
        f"No KL is charged, so nothing draws codes to the prior and nothing holds σ up: it shrinks (now {now}) and the codes "
        "become an autoencoder's. The KL says how far they have left the prior, not what they carry. To sample, fit a Gaussian "
        "to the codes, or train with the rate."
    )


def _collapsed(d: int) -> str:
    return (
        f"All {d} dimensions have collapsed: every image has the prior for its posterior, the decoder ignores the code, "
        "and samples are all alike. Longer training does not mend it. Lower β, warm the KL up from 0, give each dimension some "
        "free bits, or raise the likelihood's precision: under a scale as wide as the data no code is worth its rate."
    )


def _unsettled(unsettled: int, d: int) -> str:
    pay = "pays" if unsettled == 1 else "pay"
    return (
        f"{unsettled} of {d} dimensions {pay} nats of KL and yet the mean is the same for every image: where nothing is "
        "carried the posterior has not come to the prior. Training has not converged: train longer before reading these."
    )


def _all_used(d: int, rate: float, least: float) -> str:
    return (
        f"No dimension has collapsed: all {d} carry something, {rate:.1f} nats in all, the least of them {least:.2g}. "
        "More latents might be used as well."
    )


def _unused(unused: int, d: int, rate: float) -> str:
    size = f"{d - unused} would do" if 2 * unused > d else "they may stay"
    return (
        f"{unused} of {d} dimensions are unused: the {rate:.1f} nats that are worth their price fit into the other "
        f"{d - unused}. That is no fault, for an unused dimension costs nothing and harms nothing; {size}. If reconstructions "
        "are too coarse, it is the rate that is too small: lower β, or raise the likelihood's precision."
    )
