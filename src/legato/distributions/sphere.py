"""Directions: distributions on the unit sphere about a middle, and the uniform one.

Covered: von Mises–Fisher and power spherical, by one quadrature over the angle from the middle: what normalises them, draws
them and gives their divergence is one and the same table. Not covered: nets that give directions (posteriors.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.nn.functional import normalize

from legato.devices import widest
from legato.distributions.divergence import register_joint_kl
from legato.lazy import lazy
from legato.ranks import drawn
from legato.types import Shape

ANGLES, WIDE = 513, 10.0  # of the table; how far it reaches from the commonest angle, in widths of the density there
FLOOR = -60.0  # of log ((1 + cos θ)/2), whose −∞ opposite the middle would be no gradient
Kind = Literal["mises", "power"]


def log_area(d: int) -> float:
    """log of the area of the unit sphere in d dimensions: log 2π^{d/2}/Γ(d/2)."""
    return math.log(2) + 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d)


class Directional(Distribution):
    """p(z) ∝ e^{κ h(θ)}, θ the angle between z and `loc`, on the unit sphere of d ≥ 2 dimensions, by its area.

    `mises`: h = cos θ − 1, von Mises–Fisher; `power`: h = log ((1 + cos θ)/2), De Cao & Aziz 2020,
    https://arxiv.org/abs/2006.04437. loc (*batch, d), unit; concentration κ (*batch,), 0 or more. θ has the density
    e^{κ h(θ)} sin^{d−2} θ, which is tabulated where it is not 0: its integral normalises, its inverse draws.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor, kind: Kind = "mises") -> None:
        self.loc, self.concentration, self.kind = loc, concentration, kind
        super().__init__(concentration.shape, loc.shape[-1:], validate_args=False)

    @property
    def dimension(self) -> int:
        """d."""
        return self.event_shape[0]

    @property
    def mean(self) -> Tensor:
        """E z = E cos θ · loc, (*batch, d), shorter than 1."""
        return self._expected(torch.cos).to(self.loc.dtype)[..., None] * self.loc

    @property
    def variance(self) -> Tensor:
        """Of each coordinate: Var(cos θ) loc_j² + E sin² θ/(d − 1) (1 − loc_j²)."""
        middle = self._expected(torch.cos)[..., None]
        along = self._expected(lambda angle: (angle.cos() - middle).square())  # not E cos² − (E cos)², which cancels
        across = self._expected(lambda angle: angle.sin().square()) / (self.dimension - 1)
        along, across = (part.to(self.loc.dtype)[..., None] for part in (along, across))
        return along * self.loc.square() + across * (1 - self.loc.square())

    @lazy
    def table(self) -> tuple[Tensor, Tensor]:
        """Angles, and the log of the density there, neither normalised, (*batch, ANGLES) each."""
        kappa, d = self.concentration.to(widest(self.loc.device))[..., None], self.dimension
        with torch.no_grad():
            cosine = _commonest(kappa, d, self.kind)
            sine2 = (1 - cosine.square()).clamp(min=1e-12)
            curved = kappa * (cosine if self.kind == "mises" else 1 / (1 + cosine)) + (d - 2) / sine2
            middle, width = cosine.clamp(-1, 1).acos(), curved.clamp(min=1e-12).rsqrt()
            low, high = (middle - WIDE * width).clamp(min=0), (middle + WIDE * width).clamp(max=math.pi)
            angle = low + (high - low) * torch.linspace(0, 1, ANGLES, dtype=kappa.dtype, device=kappa.device)
            area = torch.special.xlogy(torch.full_like(angle, d - 2), angle.sin().clamp(min=0))
        return angle, kappa * self._height(angle.cos()) + area

    @lazy
    def log_integral(self) -> Tensor:
        """log ∫ e^{κ h(θ)} sin^{d−2} θ dθ, (*batch,), by Simpson's rule."""
        angle, log_density = self.table
        step = (angle[..., 1] - angle[..., 0]).log()
        return torch.logsumexp(log_density + _simpson(angle), -1) + step

    def log_prob(self, value: Tensor) -> Tensor:
        """(*lead, *batch), nats by area. value (*lead, *batch, d), unit."""
        kappa, cosine = self.concentration, (self.loc * value).sum(-1).clamp(-1, 1)
        normaliser = (self.log_integral + log_area(self.dimension - 1)).to(value.dtype)
        return kappa * self._height(cosine) - normaliser

    def entropy(self) -> Tensor:
        """−E log p(z), (*batch,), nats by area."""
        height = self._expected(lambda angle: self._height(angle.cos()))
        found = self.log_integral + log_area(self.dimension - 1) - self.concentration.to(height.dtype) * height
        return found.to(self.loc.dtype)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """cos θ · loc + sin θ · v, v a random direction across loc, (*sample_shape, *batch, d)."""
        shape = (*sample_shape, *self.batch_shape, self.dimension + 1)
        noise = drawn(self._normal, shape, len(shape) - 2)
        angle = self._angle(torch.special.ndtr(noise[..., -1].to(widest(noise.device)))).to(noise.dtype)[..., None]
        flat = noise[..., :-1]
        across = normalize(flat - (flat * self.loc).sum(-1, keepdim=True) * self.loc, dim=-1)
        return normalize(angle.cos() * self.loc + angle.sin() * across, dim=-1)

    def _normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.empty(shape, dtype=self.loc.dtype, device=self.loc.device).normal_()

    def _angle(self, share: Tensor) -> Tensor:
        """The angle below which this share lies, (*lead, *batch), with its derivative by κ."""
        angle, log_density = self.table
        density = (log_density - log_density.amax(-1, keepdim=True).detach()).exp()
        below = torch.cumulative_trapezoid(density, dim=-1)
        below = torch.cat([torch.zeros_like(below[..., :1]), below], -1) / below[..., -1:]
        lead = share.shape[: share.ndim - len(self.batch_shape)]
        # of each example all draws in one search
        asked = share.flatten(0, len(lead) - 1).movedim(0, -1) if lead else share[..., None]
        at = torch.searchsorted(below.detach(), asked.contiguous()).clamp(1, ANGLES - 1)
        low, high = below.gather(-1, at - 1), below.gather(-1, at)
        part = (asked - low) / (high - low).clamp(min=1e-300)
        found = angle.gather(-1, at - 1) + part * (angle[..., 1:2] - angle[..., :1])
        return found.movedim(-1, 0).view(share.shape) if lead else found[..., 0]

    def _height(self, cosine: Tensor) -> Tensor:
        if self.kind == "mises":
            return cosine - 1
        return (0.5 * (1 + cosine)).clamp(min=math.exp(FLOOR)).log()

    def _expected(self, of: Callable[[Tensor], Tensor]) -> Tensor:
        angle, log_density = self.table
        weights = torch.softmax(log_density + _simpson(angle), -1)
        return (weights * of(angle)).sum(-1)


class UniformSphere(Distribution):
    """Every direction alike, by area, in d ≥ 2 dimensions."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)

    def __init__(self, like: Tensor) -> None:
        self.like = like
        super().__init__(Size(), like.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """−log area, (*lead,), nats."""
        return value.new_full(value.shape[:-1], -log_area(self.event_shape[0]))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """(*sample_shape, d)."""
        shape: Shape = (*sample_shape, *self.event_shape)
        return normalize(torch.randn(shape, dtype=self.like.dtype, device=self.like.device), dim=-1)


@register_joint_kl(Directional, UniformSphere)
def _directional_uniform(q: Directional, p: UniformSphere) -> Tensor:
    """log area − the entropy of q."""
    return log_area(q.dimension) - q.entropy()


def _commonest(kappa: Tensor, d: int, kind: Kind) -> Tensor:
    """The cosine of the angle at which e^{κ h} sin^{d−2} is largest."""
    if kind == "power":
        return kappa / (kappa + (d - 2)).clamp(min=1e-12)
    return 2 * kappa / ((d - 2) + ((d - 2) ** 2 + 4 * kappa.square()).sqrt()).clamp(min=1e-12)


def _simpson(angle: Tensor) -> Tensor:
    """log of the weights of Simpson's rule, in steps: 1, 4, 2, 4, …, 1 thirds."""
    weights = torch.full((angle.shape[-1],), 2 / 3, dtype=angle.dtype, device=angle.device)
    weights[1::2], weights[0], weights[-1] = 4 / 3, 1 / 3, 1 / 3
    return weights.log()
