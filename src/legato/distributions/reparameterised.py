"""Draws z = μ + σ⊙ε that keep their ε, so that log q(z|x) is that of the draw that was meant, however z was rounded.

Where σ is near the spacing of floating-point numbers about μ (noise without a KL term shrinks it to there), what is stored is
not μ + σ⊙ε but a neighbour of it: in float32, ((z − μ)/σ)² averages 1.06 at σ = |μ|·10⁻⁷, 1.2 at 3·10⁻⁸ and 0.02 at 10⁻⁸. A
log q taken at that z is no log density of what was drawn, and p(x, z)/q(z|x) no importance weight. From ε it is exact.
Covered: Gaussians of independent dimensions. Other distributions are drawn by their own `rsample`, and keep nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from legato.ranks import drawn

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def reparameterised(q: Distribution, draws: int) -> tuple[Tensor, Tensor | None]:
    """z ~ q, (draws, *batch, *event), with gradients to q's parameters, and the ε it was made of; None where there is none.

    Bit for bit `q.rsample((draws,))`, from the same place of the generator.
    """
    if not isinstance(q, Independent) or type(q.base_dist) is not Normal:  # exactly: a subclass may draw otherwise
        return q.rsample((draws,)), None
    mu, sigma = q.base_dist.loc, q.base_dist.scale
    axis = len(q.batch_shape)  # the last of q's batch, behind that of the draws: it counts the examples
    # the very call of torch's `rsample`, so that a seed gives its numbers
    noise = drawn(lambda shape: torch.empty(shape, dtype=mu.dtype, device=mu.device).normal_(), (draws, *mu.shape), axis)
    z = mu + noise * sigma
    return z, noise


def log_density(q: Distribution, z: Tensor, noise: Tensor | None) -> Tensor:
    """log q(z), (S, *batch), nats, of z and noise as `reparameterised` gave them: −½ Σ ε² − Σ log σ − ½ d log 2π.

    The value is that of ε; the derivatives by z, μ and σ are those of `q.log_prob(z)` at the z that was meant, −ε/σ, ε/σ and
    (ε² − 1)/σ: so a gradient through z alone, as one that leaves the score out, stays what it is.
    """
    if noise is None:
        return q.log_prob(z)
    assert isinstance(q, Independent)
    mu: Tensor = q.base_dist.loc
    sigma: Tensor = q.base_dist.scale
    if torch.is_grad_enabled():  # for its derivative alone: its value is 0
        left = z - mu - noise * sigma  # what rounding left over: it is taken off again, its derivative stays
        noise = noise + (left - left.detach()) / sigma.detach()
    event = tuple(range(-len(q.event_shape), 0))
    return -0.5 * (noise * noise).sum(event) - (sigma.log() + HALF_LOG_2PI).sum(event)
