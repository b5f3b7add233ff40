"""How many steps each gradient estimator needs to a given loss: a small experiment whose loss and optimum are known exactly.

The loss is E_q ½a‖z − t‖² + KL(q ‖ N(0, I)), the negative ELBO of a Gaussian observation of z itself; its optimum is
σ² = 1/(1 + a), μ = a t/(1 + a). Plain stochastic gradient descent on (μ, log σ), at the step size that suits each
estimator best: with one for all, the comparison would be one of step sizes. The KL's gradient is exact; only E_q is estimated.
Covered: this toy. Not covered: adaptive optimisers, amortised encoders.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from legato.errors import Mistake
from legato.measures.estimate import Estimate, absent, mean_over
from legato.measures.gradients import Pair, leave_one_out, pathwise, score_function
from legato.types import Doubles

CURVATURE, PLACE = 4.0, 2.0  # a, and every coordinate of t
RATES = tuple(0.5 ** np.arange(1, 11))  # step sizes that are tried: ½ to 2⁻¹⁰
TRIALS = 32  # of each step size: one that brings only most of them there is not chosen

ESTIMATORS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Pair]] = {  # (f, ∇f, σ, ε) -> by μ, by log σ
    "pathwise": lambda f, slope, sigma, noise: pathwise(slope, sigma, noise),
    "score": lambda f, slope, sigma, noise: score_function(f, sigma, noise),
    "baseline": lambda f, slope, sigma, noise: score_function(leave_one_out(f), sigma, noise),
}


def steps_to_loss(
    name: str, d: int = 10, draws: int = 4, within: float = 0.01, most: int = 2000, repetitions: int = 16, seed: int = 0
) -> Estimate:
    """Steps until the loss is within `within` of its way to the optimum, from μ = 0, σ = 1, with `draws` draws a step.

    `name`: pathwise, score or baseline. The step size is chosen on repetitions of its own, else the luckiest would be measured.
    Absent where no step size brings every repetition there in `most` steps.
    """
    if name not in ESTIMATORS:
        raise Mistake(f"no estimator is named `{name}`: there are {', '.join(ESTIMATORS)}")
    generator = torch.Generator().manual_seed(seed)
    method = f"{name} gradient, SGD, {draws} draws a step, d = {d}, to {within:.0%} of the initial excess loss"
    tried = _descend(name, d, draws, within, most, _each(RATES, TRIALS), generator)
    slowest = tried.reshape(len(RATES), TRIALS).max(1)  # the mean would choose a step size that sometimes diverges
    best = int(slowest.argmin())
    if np.isinf(slowest[best]):
        return absent(f"no step size brings every repetition there in {most} steps", "steps", method)
    found = _descend(name, d, draws, within, most, _each(RATES[best : best + 1], repetitions), generator)
    if np.isinf(found).any():
        return absent(f"some repetitions do not get there in {most} steps", "steps", method)
    return mean_over(found, "steps", f"{method}, step size {RATES[best]:g}")


def _each(rates: tuple[float, ...], times: int) -> Tensor:
    return torch.tensor(rates, dtype=torch.double).repeat_interleave(times)


def exact_loss(mu: Tensor, log_sigma: Tensor) -> Tensor:
    """The loss in closed form, (R, d) -> (R,), nats."""
    variance = (2 * log_sigma).exp()
    distortion = 0.5 * CURVATURE * ((mu - PLACE) ** 2 + variance)
    return (distortion + 0.5 * (mu**2 + variance - 1) - log_sigma).sum(-1)


def optimum(d: int) -> tuple[Tensor, Tensor]:
    """(μ, log σ) of the least loss, (d,) each."""
    mu = torch.full((d,), CURVATURE * PLACE / (1 + CURVATURE), dtype=torch.double)
    return mu, torch.full_like(mu, -0.5 * float(np.log(1 + CURVATURE)))


@torch.no_grad()
def _descend(name: str, d: int, draws: int, within: float, most: int, rates: Tensor, generator: torch.Generator) -> Doubles:
    """The step at which each row first gets there, (R,) for R step sizes; inf where none does or it diverged."""
    mu, log_sigma = torch.zeros(2, len(rates), d, dtype=torch.double).unbind()
    best = exact_loss(*optimum(d))
    target = best + within * (exact_loss(mu, log_sigma)[0] - best)
    reached = torch.full((len(rates),), torch.inf, dtype=torch.double)
    for step in range(1, most + 1):
        by_mu, by_log_sigma = _gradient(name, mu, log_sigma, draws, generator)
        mu, log_sigma = mu - rates[:, None] * by_mu, log_sigma - rates[:, None] * by_log_sigma
        there = exact_loss(mu, log_sigma) <= target  # of a diverged row it is NaN, and False for good
        reached = torch.where(there & reached.isinf(), step, reached)
        if not reached.isinf().any():
            break
    return np.asarray(reached.numpy())


def _gradient(name: str, mu: Tensor, log_sigma: Tensor, draws: int, generator: torch.Generator) -> Pair:
    """Of E_q f by the estimator, mean of the draws, and of the KL exactly."""
    sigma = log_sigma.exp()
    noise = torch.randn((draws, *mu.shape), generator=generator, dtype=torch.double)
    away = mu + sigma * noise - PLACE
    f, slope = 0.5 * CURVATURE * (away**2).sum(-1), CURVATURE * away
    by_mu, by_log_sigma = (part.mean(0) for part in ESTIMATORS[name](f, slope, sigma, noise))
    return by_mu + mu, by_log_sigma + sigma**2 - 1
