"""Gradients of E_q f(z) by the μ and log σ of q = N(μ, diag σ²): with the reparameterisation trick and without it.

Covered: that nothing reaches the encoder through a detached draw; pathwise against score-function estimates draw by draw, the
latter with a baseline and without: bias, ratio of variances, signal to noise. Not covered: how many steps that costs,
relaxations of discrete latents.

Mohamed, Rosca, Figurnov & Mnih 2020, https://arxiv.org/abs/1906.10652.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from legato.devices import doubled
from legato.errors import Mistake
from legato.measures.clusters import mean_over_images
from legato.measures.estimate import Estimate, absent, mean_over
from legato.measures.posterior import distortion, gaussian_posterior, still
from legato.model import LatentVariableModel
from legato.trace import Given
from legato.types import Bools, Doubles

Function = Callable[[Tensor], Tensor]  # z (S, n, d) -> (S, n)
Pair = tuple[Tensor, Tensor]  # by μ, by log σ
BLOCK = 2048  # draws × images that f sees at a time: the graph of so many decodings is what takes memory


def pathwise(gradient: Tensor, sigma: Tensor, noise: Tensor) -> Pair:
    """∇f(z) and ∇f(z)·σε at z = μ + σε: the chain rule through the draw. gradient and noise (S, n, d), sigma (n, d)."""
    return gradient, gradient * sigma * noise


def score_function(f: Tensor, sigma: Tensor, noise: Tensor) -> Pair:
    """f(z) ε/σ and f(z) (ε² − 1): f times the gradient of log q(z). f (S, n). Needs no derivative of f. Williams 1992."""
    f = f.unsqueeze(-1)
    return f * noise / sigma, f * (noise**2 - 1)


def leave_one_out(f: Tensor) -> Tensor:
    """f minus the mean of the other draws' f, (S, n): a baseline that leaves score-function estimates unbiased.

    A baseline that includes the draw itself would shrink the gradient by (S − 1)/S. Kool et al. 2019,
    https://openreview.net/forum?id=r1lgTGL5DE.
    """
    draws = len(f)
    if draws < 2:
        raise Mistake(f"a leave-one-out baseline needs 2 draws or more, got {draws}")
    return (f - f.mean(0)) * (draws / (draws - 1))


@dataclass(frozen=True)
class Estimators:
    """Three estimates of one gradient from the same draws, (S, n, d) each: their means over S agree, their variances do not."""

    pathwise: Doubles
    score: Doubles
    baseline: Doubles  # the score function less the other draws' mean: unbiased still, and the fair opponent of the trick


def estimators(f: Function, mu: Tensor, sigma: Tensor, draws: int = 1000, seed: int = 0) -> dict[str, Estimators]:
    """Per-draw gradients of E_q f by `mu` and by `log_sigma`, for n posteriors with mu and sigma (n, d).

    f maps z (S, n, d) to (S, n), each entry from its own z. The baseline is over all `draws`.
    """
    mu, sigma = mu.detach(), sigma.detach()
    # A generator of its own, on the device: all three estimates then share one noise, and differ by their formula alone.
    generator = torch.Generator(mu.device).manual_seed(seed)
    noise = torch.randn((draws, *mu.shape), generator=generator, device=mu.device, dtype=mu.dtype)
    values, slopes = _with_slopes(f, mu + sigma * noise)
    # Double precision from here on: f ε/σ of a narrow posterior is a large number whose mean over draws is a small one.
    sigma, noise = doubled(sigma), doubled(noise)
    by_mu, by_log_sigma = zip(
        pathwise(slopes, sigma, noise),
        score_function(values, sigma, noise),
        score_function(leave_one_out(values), sigma, noise),
        strict=True,
    )
    return {
        "mu": Estimators(*(part.cpu().numpy() for part in by_mu)),
        "log_sigma": Estimators(*(part.cpu().numpy() for part in by_log_sigma)),
    }


def _with_slopes(f: Function, z: Tensor) -> tuple[Tensor, Tensor]:
    """f(z), (S, n), and its gradient by z, (S, n, d), float64, a few draws at a time."""
    values, slopes = [], []
    # At least one draw a block, however many images there are: torch refuses to split by 0.
    for part in torch.split(z, max(BLOCK // z.shape[1], 1)):
        with torch.enable_grad():
            leaf = part.requires_grad_()
            value = f(leaf)
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        # Detached before it is kept: else each block's graph would live until the last.
        values.append(doubled(value.detach()))
        slopes.append(doubled(slope))
    return torch.cat(values), torch.cat(slopes)


def model_estimators(model: LatentVariableModel, x: Tensor, draws: int = 1000, seed: int = 0) -> dict[str, Estimators]:
    """The same of a model's distortion, f(z) = −log p(x|z), at its posteriors of x (n, *data)."""
    with still(model, seed), torch.no_grad():
        mu, sigma = gaussian_posterior(model, x)
        return estimators(distortion(model, x), mu, sigma, draws, seed)


def bias(found: Estimators, other: Doubles) -> Estimate:
    """The bias of `other` beside the pathwise mean: the mean over dimensions of t², t their difference in standard errors.

    1 where both estimate the same gradient, and growing with the number of draws where they do not. The differences are taken
    draw by draw. The interval is over images: their draws are independent, those of one image's dimensions are not.
    """
    difference = other - found.pathwise
    error = difference.var(0, ddof=1) / len(difference)
    varies = error > 0
    # Where both agree in every draw there is no standard error to divide by.
    if not varies.any():
        return absent("the two estimates agree in every draw", "squared standard errors")
    squares = np.where(varies, difference.mean(0) ** 2 / np.where(varies, error, 1.0), np.nan)
    # an image of which no dimension varies has no t: a mean of none would be NaN
    images = squares[varies.any(1)]
    return mean_over(
        np.nanmean(images, 1), "squared standard errors", f"bias of the gradient, {len(difference)} draws; 1: none"
    )


def variance_ratio(found: Estimators, other: Doubles, active: Bools | None = None) -> Estimate:
    """The geometric mean of Var(other)/Var(pathwise) over images and dimensions, its interval over images.

    `active` (d,) keeps the dimensions that the decoder reads: in the others the pathwise variance is near 0, and so the ratio
    near infinite, without anything to be learned there. A variance of exactly 0 is left out always (where σ is far below the
    rounding of f's argument, every draw gives the same f).

    Images differ in their ratios, and each has draws of its own: both are in the spread over images. An interval over draws
    would be that of these few images alone.
    """
    keep = (found.pathwise.var(0) > 0) & (other.var(0) > 0) & (True if active is None else active)
    unit, draws = "times the variance", len(other)
    method = f"geometric mean of Var(score function)/Var(pathwise), {draws} draws of each image"
    if not keep.any():
        return absent("no dimension has a pathwise gradient that varies", unit, method)
    if draws < 2:
        return absent("one draw has no variance", unit, method)
    logs = _log_variances(other[:, keep]) - _log_variances(found.pathwise[:, keep])
    log = mean_over_images(logs, np.nonzero(keep)[0], unit, method)
    value, low, high = (None if end is None else math.exp(end) for end in (log.value, log.low, log.high))
    return Estimate(value, low, high, log.n, unit, log.method)


def _log_variances(part: Doubles) -> Doubles:
    """log Var of each column of (S, m), (m,).

    The logarithm of an estimated variance is too low by half its squared relative error: 7 % for a score function of 400 draws.
    That much is put back.
    """
    variance = part.var(0)
    influence = (part - part.mean(0)) ** 2 / variance - 1
    return np.asarray(np.log(variance) + (influence**2).mean(0) / (2 * len(part)))


def signal_to_noise(found: Estimators, other: Doubles) -> Estimate:
    """‖E g‖/√tr Cov(g) of one draw of `other`, its mean over images.

    The signal is the pathwise mean for every estimator, since all have the same expectation and this one the least noise in
    it; that noise is taken off its square. 0.01 means that 10,000 draws make the noise as small as the gradient.
    """
    draws = len(other)
    signal = (found.pathwise.mean(0) ** 2 - found.pathwise.var(0, ddof=1) / draws).sum(1).clip(0)
    noise = other.var(0, ddof=1).sum(1)
    moves = noise > 0
    if not moves.any():
        return absent("the gradient has no noise", "signal / noise")
    return mean_over(np.sqrt(signal[moves] / noise[moves]), "signal / noise", f"of a gradient from one draw, {draws} draws")


def detach_test(loss: Callable[[Tensor], Tensor], draw: Callable[[], Tensor], parameters: Sequence[Tensor]) -> Estimate:
    """‖∇ loss(z detached)‖/‖∇ loss(z)‖ by `parameters`, z = draw(): exactly 0 where they reach the loss through z alone.

    Exact, not estimated: the interval is the value.
    """
    # Gradients are asked for even where the caller has switched them off.
    with torch.enable_grad():
        z = draw()
        whole = _norm(loss(z), parameters)
        cut = _norm(loss(z.detach()), parameters)
    method = "gradient of the reconstruction by the encoder with z detached / with z = mu + sigma eps, one pass"
    if whole == 0:
        return absent("the reconstruction has no gradient by the encoder", "share of the gradient", method)
    share = cut / whole
    return Estimate(share, share, share, z.shape[-2], "share of the gradient", method)


def model_detach_test(model: LatentVariableModel, x: Tensor, seed: int = 0) -> Estimate:
    """The same for a model's encoder and its distortion of x (n, *data)."""
    parameters = list(model.latent.parameters())
    # Put back in `finally`: a loaded model is shared, and its weights are frozen for a reason.
    wanted = [parameter.requires_grad for parameter in parameters]
    with still(model, seed):
        try:
            for parameter in parameters:
                parameter.requires_grad_()  # a loaded model's are frozen, and frozen weights have no gradient to measure
            with torch.enable_grad():
                encoded = model.latent.encode(x)
            cost = distortion(model, x)
            return detach_test(lambda z: cost(z).sum(), lambda: model.latent.draw(encoded, 1, Given())[0], parameters)
        finally:
            for parameter, before in zip(parameters, wanted, strict=True):
                parameter.requires_grad_(before)


def _norm(loss: Tensor, parameters: Sequence[Tensor]) -> float:
    """The norm of the gradient by all parameters together; 0 where the loss does not depend on them at all."""
    if not loss.requires_grad:
        return 0.0
    # The graph is kept, since the second loss goes through the same draw; parameters of a prior have no part in it.
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return math.sqrt(sum(float((doubled(part) ** 2).sum()) for part in found if part is not None))
