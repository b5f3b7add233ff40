"""Fisher information of a likelihood in what its decoder puts out: how far p(x|z) moves, in nats, as those numbers move.

Covered: W where it is diagonal, as a quadratic form; W of the discretised logistic, summed over the 256 values. Not covered:
which likelihood has which, which its family says.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from legato.devices import doubled, widest
from legato.distributions.continuous_bernoulli import ContinuousBernoulli
from legato.distributions.pixels import BIN

Quadratic = Callable[[Tensor], Tensor]  # a change of theta (B, *shape) -> ½ of it is the KL it makes, (B,), nats
BLOCK = 4096  # values whose 256 probabilities are held at a time: 8 MB for each of some ten arrays


def diagonal(w: Tensor) -> Quadratic:
    """t ↦ Σ w t²: W of values that are independent and have one number each."""
    # double: squares of very different sizes are summed over all pixels
    return lambda tangent: (w * tangent**2).flatten(1).sum(1, dtype=widest(w.device))


def variance_by_logit(logits: Tensor) -> Tensor:
    """Var(x) of the continuous Bernoulli = ∂E[x]/∂logit: the logit is the natural parameter."""
    with torch.enable_grad():  # measures run without a graph, and this derivative is wanted all the same
        leaf = logits.detach().requires_grad_()
        (found,) = torch.autograd.grad(ContinuousBernoulli(leaf).mean.sum(), leaf)
    return found


def logistic_form(mean: Tensor, log_scale: Tensor, pair_axis: int) -> Quadratic:
    """tᵀWt of the discretised logistic; t has mean and log scale along `pair_axis`, which the two given have not."""
    flat = zip(*(torch.split(part.flatten(), BLOCK) for part in (mean, log_scale)), strict=True)
    entries = zip(*(logistic_information(*block) for block in flat), strict=True)
    by_mean, mixed, by_scale = (torch.cat(parts).reshape(mean.shape) for parts in entries)

    def form(tangent: Tensor) -> Tensor:
        m, s = doubled(tangent).unbind(pair_axis)
        return (by_mean * m**2 + 2 * mixed * m * s + by_scale * s**2).flatten(1).sum(1)

    return form


def logistic_information(mean: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """E[(∂ log P)²] of the discretised logistic by (mean, log scale), each (m,): the entries (1,1), (1,2), (2,2), exact sums.

    Well inside [0, 1] and for scales above a bin they are 1/(3s²), 0 and (3 + π²)/9, those of the logistic density. At a
    black or white pixel, where all the probability lies in one end bin, they are near 0 while the density's are huge.
    """
    inverse = torch.exp(-log_scale).unsqueeze(-1)
    # Double precision: neighbouring edges' probabilities differ by less than float32 resolves.
    edges = (torch.arange(1, 256, dtype=torch.double, device=mean.device) - 0.5) * BIN
    u = (edges - mean.unsqueeze(-1)) * inverse  # the inner edges; the outer ones are at ∓∞, since the end bins take the tails
    below = torch.sigmoid(u)
    slope = below * torch.sigmoid(-u)  # not below − below²: that loses its digits in the upper tail
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
