"""The Fisher information of a likelihood in what its decoder puts out: how far p(x|z) moves, in nats, as those numbers move.

Covered: W of Bernoulli and continuous Bernoulli (by logits), of a Gaussian with one scale (by the mean), of the discretised
logistic (by mean and log scale, summed over the 256 values). Not covered: a family that is not in the table, which is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from legato.distributions import BIN
from legato.distributions import ContinuousBernoulli as ContinuousBernoulliDistribution
from legato.errors import Mistake
from legato.families import Bernoulli, ContinuousBernoulli, Discretized, Family, Homoscedastic

Quadratic = Callable[[Tensor], Tensor]  # a change of theta (B, *shape) -> ½ of it is the KL it makes, (B,), nats
Information = Callable[[Tensor], Quadratic]  # theta (B, *shape) -> the quadratic form there
BLOCK = 4096  # values whose 256 probabilities are held at a time: 8 MB for each of some ten arrays


def information_of(family: Family, event_dims: int) -> Information:
    """theta ↦ (t ↦ tᵀWt) for this likelihood; `event_dims` axes are one example. Raises `Mistake` for an unknown one."""
    made = _TABLE.get(type(family))
    if made is None:
        known = ", ".join(sorted(known.__name__ for known in _TABLE))
        raise Mistake(f"the Fisher information of `{type(family).__name__}` is not known: there are {known}")
    found: Information = made(family, event_dims)
    return found


def _diagonal(weight: Callable[[Tensor], Tensor]) -> Information:
    """W is diagonal in theta: Σ w t²."""

    def at(theta: Tensor) -> Quadratic:
        w = weight(theta)
        return lambda tangent: (w * tangent**2).flatten(1).sum(1, dtype=torch.double)

    return at


def _bernoulli(family: Bernoulli, event_dims: int) -> Information:
    """p(1 − p) by the logits."""
    return _diagonal(lambda logits: torch.sigmoid(logits) * torch.sigmoid(-logits))


def _continuous_bernoulli(family: ContinuousBernoulli, event_dims: int) -> Information:
    """Var(x) = ∂E[x]/∂logit: the logit is the natural parameter."""

    def variance(logits: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            (found,) = torch.autograd.grad(ContinuousBernoulliDistribution(leaf).mean.sum(), leaf)
        return found

    return _diagonal(variance)


def _homoscedastic(family: Homoscedastic, event_dims: int) -> Information:
    """1/σ² by the mean; σ is the same for every z, so nothing of it enters."""
    return _diagonal(lambda mean: family.scale.detach() ** -2 * torch.ones_like(mean))


def _discretized(family: Discretized, event_dims: int) -> Information:
    """Σ over values and the pair (mean, log scale); theta (B, 2, *event), as `Discretized` reads it."""

    pair_axis = -1 - event_dims

    def at(theta: Tensor) -> Quadratic:
        mean, log_scale = theta.double().unbind(pair_axis)
        flat = zip(*(torch.split(part.flatten(), BLOCK) for part in (mean + 0.5, log_scale - 2.0)), strict=True)
        entries = zip(*(logistic_information(*block) for block in flat), strict=True)
        by_mean, mixed, by_scale = (torch.cat(parts).reshape(mean.shape) for parts in entries)

        def form(tangent: Tensor) -> Tensor:
            m, s = tangent.double().unbind(pair_axis)
            return (by_mean * m**2 + 2 * mixed * m * s + by_scale * s**2).flatten(1).sum(1)

        return form

    return at


def logistic_information(mean: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """E[(∂ log P)²] of the discretised logistic by (mean, log scale), each (m,): the entries (1,1), (1,2), (2,2), exact sums.

    Well inside [0, 1] and for scales above a bin they are 1/(3s²), 0 and (3 + π²)/9, those of the logistic density. At a
    black or white pixel, where all the probability lies in one end bin, they are near 0 while the density's are huge.
    """
    inverse = torch.exp(-log_scale).unsqueeze(-1)
    edges = (torch.arange(1, 256, dtype=torch.double, device=mean.device) - 0.5) * BIN
    u = (edges - mean.unsqueeze(-1)) * inverse  # the inner edges; the outer ones are at ∓∞, since the end bins take the tails
    below = torch.sigmoid(u)
    slope = below * torch.sigmoid(-u)
    probability = _between(below, 1.0)
    by_mean, by_scale = _between(-slope * inverse, 0.0), _between(-slope * u, 0.0)
    # Values of a probability that a difference of float64 does not resolve add as little to the sums.
    weight = torch.where(probability > 1e-13, 1 / probability, 0.0)
    pairs = (by_mean, by_mean), (by_mean, by_scale), (by_scale, by_scale)
    first, second, third = ((a * b * weight).sum(-1) for a, b in pairs)
    return first, second, third


def _between(inner: Tensor, end: float) -> Tensor:
    """Differences of neighbouring edges, (m, 256): 0 at −∞ and `end` at +∞."""
    lead = inner.shape[:-1]
    return torch.cat([inner.new_zeros(*lead, 1), inner, inner.new_full((*lead, 1), end)], -1).diff(dim=-1)


_TABLE: dict[type[Family], Callable[[Any, int], Information]] = {
    Bernoulli: _bernoulli,
    ContinuousBernoulli: _continuous_bernoulli,
    Homoscedastic: _homoscedastic,
    Discretized: _discretized,
}
