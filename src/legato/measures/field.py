"""The field of the KL: where it pulls μ and log σ, beside where reconstruction pulls them. Arrows as arrays, for a figure.

Covered: diagonal Gaussians against N(0, I), by autograd of the very formula that training uses. Not covered: other priors,
whose field is no function of (μ, σ) alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Normal

from legato.devices import doubled
from legato.distributions import kl_per_dimension
from legato.errors import Mistake
from legato.measures.posterior import distortion, gaussian_posterior, still
from legato.model import LatentVariableModel
from legato.types import Doubles

BLOCK = 2048  # decoded examples at a time, of all draws together: the graph of a backward pass is what takes memory


def kl_field(mu: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """∂KL/∂μ and ∂KL/∂log σ of KL(N(μ, σ²) ‖ N(0, 1)) by autograd, each of mu's shape, nats per unit.

    In closed form μ and σ² − 1: a spring to 0 on μ, and on log σ a pull to 0 that is strong above it and at most 1 below.
    """
    # Gradients are asked for even where the caller has switched them off, as measures do.
    with torch.enable_grad():
        mu, log_sigma = (part.detach().requires_grad_() for part in (mu, log_sigma))
        kl = kl_per_dimension(_normal(mu, log_sigma.exp()), _normal(torch.zeros_like(mu), torch.ones_like(mu)))
        if kl is None:
            raise Mistake("no closed form of the KL between Gaussians is registered")
        by_mu, by_log_sigma = torch.autograd.grad(kl.sum(), (mu, log_sigma))
    return by_mu, by_log_sigma


def _normal(mu: Tensor, sigma: Tensor) -> Normal:
    """A Normal that is not checked: of a value that is not finite the field is not finite either, and a figure says so."""
    return Normal(mu, sigma, validate_args=False)


@dataclass(frozen=True)
class Arrows:
    """Gradients at each image's posterior, (n, d), nats per unit: descent goes against them. At an optimum the two cancel."""

    mu: Doubles
    log_sigma: Doubles
    distortion_by_mu: Doubles
    distortion_by_log_sigma: Doubles
    kl_by_mu: Doubles  # times β, the force that training itself applies
    kl_by_log_sigma: Doubles


def arrows(model: LatentVariableModel, x: Tensor, beta: float = 1.0, draws: int = 64, seed: int = 0) -> Arrows:
    """The field of the distortion (pathwise, mean of `draws`) and of β·KL at the posteriors of x (n, *data)."""
    with still(model, seed):
        with torch.no_grad():
            mu, sigma = gaussian_posterior(model, x)
        log_sigma = sigma.log()
        by_mu, by_log_sigma = _distortion_field(model, x, mu, sigma, draws)
    # In double precision: near σ = 1 the pull σ² − 1 is a difference of nearly equal numbers.
    kl_by_mu, kl_by_log_sigma = kl_field(doubled(mu), doubled(log_sigma))
    parts = mu, log_sigma, by_mu, by_log_sigma, beta * kl_by_mu, beta * kl_by_log_sigma
    return Arrows(*(doubled(part).cpu().numpy() for part in parts))


def _distortion_field(model: LatentVariableModel, x: Tensor, mu: Tensor, sigma: Tensor, draws: int) -> tuple[Tensor, Tensor]:
    """The mean over draws of ∇f(z) and of ∇f(z)·σε, f = −log p(x|z): the pathwise gradient, without keeping the draws."""
    cost, most = distortion(model, x), max(BLOCK // len(x), 1)
    by_mu, by_log_sigma = (torch.zeros_like(doubled(mu)) for _ in range(2))
    for done in range(0, draws, most):
        noise = torch.randn((min(most, draws - done), *mu.shape), device=mu.device, dtype=mu.dtype)
        with torch.enable_grad():
            z = (mu + sigma * noise).requires_grad_()
            # The sum: each z has its own distortion, so that one backward pass gives all gradients.
            (slope,) = torch.autograd.grad(cost(z).sum(), z)
        # Summed in double precision, and not kept: 64 draws of each image would be as many gradients.
        by_mu += doubled(slope).sum(0)
        by_log_sigma += doubled(slope * sigma * noise).sum(0)
    return by_mu / draws, by_log_sigma / draws
