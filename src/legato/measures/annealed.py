"""log p(x) by annealed importance sampling from q(z|x) to the posterior, and on data of the model's own how far off it is.

Covered: a stochastic lower bound for any x; for x *simulated from the model*, whose posterior is sampled exactly by the z that
made it, the reverse chain's stochastic upper bound as well: the truth lies between the two (bidirectional Monte Carlo).
On real images only the lower bound is one. Not covered: discrete latents, several groups of latents.

Neal 2001, https://arxiv.org/abs/physics/9803008; Grosse, Ghahramani & Adams 2015, https://arxiv.org/abs/1511.02543;
Wu, Burda, Salakhutdinov & Grosse 2017, https://arxiv.org/abs/1611.04273. Where we differ: the path starts at the encoder's
q(z|x) and not at the prior, and the step sizes are frozen, for a chain that adapts while it runs gives no bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from legato.devices import doubled
from legato.errors import Mistake
from legato.measures.estimate import Estimate, absent, mean_over
from legato.measures.hamiltonian import Tempered, adapted, move, noise
from legato.measures.posterior import Density, gaussian_posterior, log_joint, prior_of, still
from legato.model import LatentVariableModel
from legato.types import Doubles


@dataclass(frozen=True)
class Effort:
    """The work that is done: the gap between the bounds closes as it grows. Cost: chains × temperatures × leapfrogs gradients.

    Two runs: the first finds each chain's step size, the second, with those frozen, is measured.
    """

    chains: int = 8
    temperatures: int = 100
    leapfrogs: int = 5
    block: int = 100  # images at a time: with 8 chains 800 codes are decoded at once, which bounds memory whatever n

    def __post_init__(self) -> None:
        if wrong := [field.name for field in fields(self) if getattr(self, field.name) < 1]:
            raise Mistake(f"`{wrong[0]}` must be 1 or more, got {getattr(self, wrong[0])}")

    def path(self) -> list[float]:
        """β from 0 to 1 on a sigmoid: small steps where q ends and where p begins. Wu et al. 2017, section 5."""
        curve = 1 / (1 + np.exp(-np.linspace(-4, 4, self.temperatures + 1)))
        return list((curve - curve[0]) / (curve[-1] - curve[0]))

    def __str__(self) -> str:
        return f"{self.chains} chains, {self.temperatures} temperatures, {self.leapfrogs} leapfrogs"


@dataclass(frozen=True)
class Annealed:
    """The bounds of n images, nats; `upper` only where an exact posterior sample was given.

    lower (n,): log (1/C) Σ w, below log p(x) in expectation; acceptance (n,): the mean of the measured run.
    """

    lower: Doubles
    acceptance: Doubles
    upper: Doubles | None
    effort: Effort

    def estimate(self) -> Estimate:
        """The mean lower bound with its interval over images."""
        return mean_over(
            self.lower, "nats", f"annealed importance sampling from q(z|x), lower bound on log p(x); {self.effort}"
        )

    def gap(self) -> Estimate:
        """The mean of upper − lower: how far either can be off, on data of the model's own. It may dip below 0 by chance."""
        method = f"bidirectional Monte Carlo on images simulated from the model, upper - lower bound; {self.effort}"
        if self.upper is None:
            return absent("no exact posterior sample: only an image simulated from the model has one", "nats", method)
        return mean_over(self.upper - self.lower, "nats", method)


def anneal(
    log_joint: Density, mu: Tensor, sigma: Tensor, effort: Effort, generator: torch.Generator, exact: Tensor | None = None
) -> Annealed:
    """Both bounds for n images with q = N(mu, diag sigma²), each (n, d); `log_joint` maps z (C, n, d) to log p(x, z), (C, n).

    `exact` (n, d): a sample of the true posterior for each image. It starts all reverse chains: each alone has E[1/w] = 1/p(x),
    so their mean has too, whether or not they share a start.
    """
    tempered, path = Tempered(log_joint, mu, sigma), effort.path()
    # Every random number is from the caller's generator: torch's own is left as it was.
    start = noise((effort.chains, *mu.shape), mu, generator)
    # Frozen before anything is weighed: a step size that followed the chain would make the weights no bound.
    steps = adapted(tempered, start, path, effort.leapfrogs, generator)
    log_w, accepted = _forward(tempered, path, effort, steps, generator)
    upper = None
    if exact is not None:
        u = ((exact - mu) / sigma).expand(effort.chains, *mu.shape)
        # 1/w is averaged, since E[1/w] = 1/p(x): by Jensen minus the log of that mean is above log p(x).
        upper = -_log_mean(-_reverse(tempered, u, path, effort, steps, generator)).cpu().numpy()
    return Annealed(_log_mean(log_w).cpu().numpy(), accepted.cpu().numpy(), upper, effort)


def _forward(
    tempered: Tempered, path: list[float], effort: Effort, steps: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """log w (C, n) and the mean acceptance (n,): weigh at β_t, then move under β_t. After the last weight nothing need move."""
    u = noise((effort.chains, *tempered.mu.shape), tempered.mu, generator)
    # The first weight is at the start itself: u is an exact draw of q, so nothing need move before it, and that counts as
    # accepted.
    # β rises before z moves (as in Neal 2001): the last move would change no weight, and is saved.
    log_w, accepted = tempered.log_ratio(u) * path[1], torch.ones(len(tempered.mu), device=u.device)
    for before, beta in pairwise(path[1:]):
        u, chance = move(tempered, u, before, steps, effort.leapfrogs, generator)
        log_w += tempered.log_ratio(u) * (beta - before)
        accepted = accepted + chance.mean(0)
    return log_w, accepted / (len(path) - 1)


def _reverse(
    tempered: Tempered, u: Tensor, path: list[float], effort: Effort, steps: Tensor, generator: torch.Generator
) -> Tensor:
    """log w (C, n) of the chain run backwards from exact samples u: a move is its own reversal, so only the order turns."""
    log_w = tempered.log_ratio(u) * (path[-1] - path[-2])
    for beta, before in pairwise(reversed(path[:-1])):
        u, _ = move(tempered, u, beta, steps, effort.leapfrogs, generator)
        log_w += tempered.log_ratio(u) * (beta - before)
    return log_w


def _log_mean(log_w: Tensor) -> Tensor:
    # logsumexp, as w itself is e to the power of some thousand nats
    return torch.logsumexp(doubled(log_w), 0) - float(np.log(len(log_w)))


def annealed_likelihood(model: LatentVariableModel, x: Tensor, effort: Effort | None = None, seed: int = 0) -> Annealed:
    """The lower bound for x (n, *data), as the model sees it."""
    effort = effort or Effort()
    with still(model, seed) as device:
        return _in_blocks(
            lambda rows, generator: _of_model(model, x[rows].to(device), effort, generator), len(x), effort, seed, device
        )


def bidirectional(model: LatentVariableModel, n: int = 100, effort: Effort | None = None, seed: int = 0) -> Annealed:
    """Both bounds for n images drawn from the model itself: z ~ p(z), x ~ p(x|z). What `gap` says is of these images."""
    effort = effort or Effort()
    with still(model, seed) as device, torch.no_grad():
        z = prior_of(model).sample((n,))
        x = model.likelihood(z).sample()
        return _in_blocks(
            lambda rows, generator: _of_model(model, x[rows], effort, generator, z[rows]), n, effort, seed, device
        )


def _of_model(
    model: LatentVariableModel, x: Tensor, effort: Effort, generator: torch.Generator, exact: Tensor | None = None
) -> Annealed:
    with torch.no_grad():
        mu, sigma = gaussian_posterior(model, x)
    return anneal(log_joint(model, x), mu, sigma, effort, generator, exact)


def _in_blocks(
    part: Callable[[slice, torch.Generator], Annealed], n: int, effort: Effort, seed: int, device: torch.device
) -> Annealed:
    # One generator for all blocks: with a seed for each, all blocks would begin with the same noise.
    generator = torch.Generator(device).manual_seed(seed)
    parts = [part(slice(at, at + effort.block), generator) for at in range(0, n, effort.block)]
    uppers = [one.upper for one in parts if one.upper is not None]
    return Annealed(
        np.concatenate([one.lower for one in parts]),
        np.concatenate([one.acceptance for one in parts]),
        np.concatenate(uppers) if uppers else None,
        effort,
    )
