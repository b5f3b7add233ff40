"""Clouds in the Poincaré ball: Gaussians of a tangent plane, wrapped onto a space of constant negative curvature.

Covered: the ball's maps, and the wrapped normal with its density by the ball's own volume. Not covered: nets that give its
middle (posteriors.py).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from legato.distributions.clouds import noise_of
from legato.distributions.reparameterised import HALF_LOG_2PI

EDGE = 1 - 1e-5  # of the ball's radius: beyond it float32 knows no distance
TINY = 1e-15


def added(a: Tensor, b: Tensor, c: float) -> Tensor:
    """a ⊕ b, Möbius addition in the ball of curvature −c: what a + b is in a flat space. (*lead, d) each."""
    aa, bb, ab = a.square().sum(-1, keepdim=True), b.square().sum(-1, keepdim=True), (a * b).sum(-1, keepdim=True)
    top = (1 + 2 * c * ab + c * bb) * a + (1 - c * aa) * b
    found: Tensor = top / (1 + 2 * c * ab + c * c * aa * bb).clamp(min=TINY)
    return found


def within(z: Tensor, c: float) -> Tensor:
    """z, drawn back to where float32 can tell it from the edge."""
    length = z.norm(dim=-1, keepdim=True).clamp(min=TINY)
    found: Tensor = z * (EDGE * c**-0.5 / length).clamp(max=1)
    return found


def from_origin(v: Tensor, c: float) -> Tensor:
    """exp₀(v) = tanh(√c ‖v‖) v/(√c ‖v‖): the point in the direction v, at the distance 2‖v‖."""
    length = c**0.5 * v.norm(dim=-1, keepdim=True).clamp(min=TINY)
    return within(v * length.tanh() / length, c)


def to_origin(z: Tensor, c: float) -> Tensor:
    """log₀(z), the inverse of `from_origin`; of points at the edge or beyond, as of the last ones within."""
    inside = within(z, c)
    length = c**0.5 * inside.norm(dim=-1, keepdim=True).clamp(min=TINY)
    found: Tensor = inside * length.atanh() / length
    return found


class WrappedNormal(Distribution):
    """z = exp_μ(v/λ_μ), v ~ N(0, diag σ²), λ_μ = 2/(1 − c‖μ‖²): distances from μ are those of v, in every direction.

    log p(z) = log N(v; 0, σ²) + (d − 1) log (√c r/sinh √c r), r = ‖v‖, by the ball's own volume. loc, scale (*batch, d).
    Mathieu et al. 2019, https://arxiv.org/abs/1901.06033, section 3.1.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, c: float = 1.0) -> None:
        self.loc: Tensor = loc
        self.scale: Tensor = scale
        self.c = c
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def _factor(self) -> Tensor:
        """λ_μ, (*batch, 1)."""
        return 2 / (1 - self.c * self.loc.square().sum(-1, keepdim=True)).clamp(min=TINY)

    @property
    def mean(self) -> Tensor:
        """μ, the middle (no mean of the ball's coordinates)."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """σ/λ_μ: the width about μ in the ball's coordinates, where σ is small."""
        return self.scale / self._factor

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """(*sample_shape, *batch, d)."""
        v = self.scale * noise_of(self, sample_shape)
        r = self.c**0.5 * v.norm(dim=-1, keepdim=True).clamp(min=TINY)
        meant = added(self.loc.expand_as(v), v * (0.5 * r).tanh() / r, self.c)
        z = within(meant, self.c)
        # Where z was drawn back from the edge its density is that of where it lies, if that is more: p(z) is taken there, too,
        # and by the v that was meant log q falls without end as σ grows, so that a training widens its clouds for ever. Less
        # it is for a narrow cloud at the edge, where z tells v to some rounding, which is many σ.
        found = self.tangent(z)
        back = (meant.norm(dim=-1) > EDGE * self.c**-0.5) & (self._density(found) > self._density(v))
        self._last = z, torch.where(back[..., None], found, v)
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """(*lead, *batch), nats. Of its own last draws by the v they were made of: near the edge z no longer tells it."""
        return self._density(self._last[1] if self._last is not None and self._last[0] is value else self.tangent(value))

    def _density(self, v: Tensor) -> Tensor:
        r = self.c**0.5 * v.norm(dim=-1).clamp(min=TINY)
        flat = -0.5 * (v / self.scale).square() - self.scale.log() - HALF_LOG_2PI
        # log (r/sinh r): sinh itself overflows at 89
        wrapped = r.log() - (r + torch.log1p(-(-2 * r).exp()) - math.log(2))
        found: Tensor = flat.sum(-1) + (v.shape[-1] - 1) * wrapped
        return found

    def tangent(self, value: Tensor) -> Tensor:
        """v of z: λ_μ log_μ(z), (*lead, *batch, d)."""
        away = added(-self.loc.expand_as(value), value, self.c)
        length = self.c**0.5 * away.norm(dim=-1, keepdim=True).clamp(TINY, EDGE)
        found: Tensor = away * 2 * length.atanh() / length
        return found
