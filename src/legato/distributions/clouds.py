"""Clouds of other shapes than that of a Gaussian with independent dimensions: with long tails, or oblique.

Covered: Laplace, logistic, a Gaussian with every covariance; draws that ranks share as they share a Gaussian's, and the
divergences that have a closed form. Not covered: distributions on curved spaces (sphere.py, hyperbolic.py).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Laplace, MultivariateNormal, Normal, constraints
from torch.nn.functional import softplus

from legato.distributions.divergence import register_joint_kl, register_kl
from legato.ranks import drawn


def noise_of(like: Distribution, sample_shape: Any, uniform: bool = False) -> Tensor:
    """ε ~ N(0, 1), or on (0, 1), for draws of a distribution whose first batch axis counts the examples."""
    parameter = next(iter(getattr(like, name) for name in like.arg_constraints))
    shape = (*sample_shape, *like.batch_shape, *like.event_shape)

    def make(shape: tuple[int, ...]) -> Tensor:
        found = torch.empty(shape, dtype=parameter.dtype, device=parameter.device)
        return found.uniform_() if uniform else found.normal_()

    return drawn(make, shape, len(sample_shape))


class Laplacian(Laplace):
    """p(z) = e^{−|z − μ|/b}/2b, b in the place of σ: sharp at its middle, long in its tails."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """μ − b sign(u) log(1 − 2|u|), u uniform on (−½, ½)."""
        u = noise_of(self, sample_shape, uniform=True) - 0.5
        # of a number below 1: log 0 would be a draw at infinity
        return self.loc - self.scale * u.sign() * torch.log1p(-2 * u.abs().clamp(max=0.5 - 1e-7))


class Logistic(Distribution):
    """p(z) = e^{−y}/(s (1 + e^{−y})²), y = (z − μ)/s: the log odds of a uniform number, moved and scaled."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.loc: Tensor = loc
        self.scale: Tensor = scale.expand_as(loc)
        super().__init__(loc.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """μ."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """s² π²/3."""
        return self.scale.square() * (math.pi**2 / 3)

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, of each number."""
        y = (value - self.loc) / self.scale
        return -y - 2 * softplus(-y) - self.scale.log()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """μ + s (log u − log(1 − u)), u uniform."""
        u = noise_of(self, sample_shape, uniform=True).clamp(1e-7, 1 - 1e-7)
        return self.loc + self.scale * (u.log() - torch.log1p(-u))


class FullNormal(MultivariateNormal):
    """N(μ, LLᵀ), L lower triangular: a cloud that may lie obliquely."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """μ + Lε."""
        noise = noise_of(self, sample_shape)
        found: Tensor = self.loc + (self.scale_tril @ noise[..., None])[..., 0]
        return found


@register_kl(Laplacian, Normal)
def _laplacian_normal(q: Laplacian, p: Normal) -> Tensor:
    """½ log 2πs² − 1 − log 2b + ((μ − m)² + 2b²)/2s²: the Laplace's entropy is 1 + log 2b, its variance 2b²."""
    squares = ((q.loc - p.loc).square() + 2 * q.scale.square()) / (2 * p.scale.square())
    return 0.5 * math.log(2 * math.pi) + p.scale.log() - 1 - (2 * q.scale).log() + squares


@register_joint_kl(FullNormal, Normal)
def _full_normal(q: FullNormal, p: Normal) -> Tensor:
    """½ Σ_i ((LLᵀ)_ii + (μ_i − m_i)²)/s_i² − ½ d − Σ_i log L_ii/s_i."""
    squares = (q.scale_tril.square().sum(-1) + (q.loc - p.loc).square()) / p.scale.square()
    return (0.5 * (squares - 1) - (q.scale_tril.diagonal(dim1=-2, dim2=-1) / p.scale).log()).sum(-1)
