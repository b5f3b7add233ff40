"""The continuous Bernoulli in its natural parameter: a density on [0, 1] at any logit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

SMALL = 0.1  # below it a series is exact to rounding, where the closed forms cancel


class ContinuousBernoulli(Distribution):
    """p(x) = exp(t x − A(t)) on [0, 1], A(t) = log((eᵗ − 1)/t), mean A′(t) = 1/(1 − e⁻ᵗ) − 1/t; t the logit.

    Loaiza-Ganem & Cunningham 2019, https://arxiv.org/abs/1907.06845. Where we differ from torch's: no clamp of the probability,
    which loses 47 % of the mass at a logit of ±30 in float32, where a picture's black and white pixels lie.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = False

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """A′(t)."""
        t = self.logits
        small, s, a = _split(t)
        a = a.copysign(t)
        return torch.where(small, 0.5 + s / 12 - s**3 / 720 + s**5 / 30240, -1 / torch.expm1(-a) - 1 / a)

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats per value. A(t) − t/2 is even in t, so one branch serves both signs."""
        t = self.logits
        small, s, a = _split(t)
        # a = |t|: e⁻ᵃ never overflows, as eᵗ does.
        even = torch.where(small, s**2 / 24 - s**4 / 2880 + s**6 / 181440, a / 2 + torch.log(-torch.expm1(-a) / a))
        return (value - 0.5) * t - even

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws by the inverse of the distribution function, log(1 + u(eᵗ − 1))/t."""
        t = self.logits
        u = torch.rand(Size(sample_shape) + t.shape, dtype=t.dtype, device=t.device)
        a = t.abs().clamp(min=1e-6)  # at 0 it is uniform; log1p and expm1 keep the tilt of any other
        draw = 1 + torch.log1p((1 - u) * torch.expm1(-a)) / a  # for t > 0; 1 − x is a draw for −t
        return torch.where(t > 0, draw, 1 - draw).clamp(0, 1)  # rounding may step beyond an end


def _split(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Places where |t| is small, t there, and |t| elsewhere: neither branch of a `where` divides by 0, in value or gradient."""
    small = t.abs() < SMALL
    return small, torch.where(small, t, 0.0), torch.where(small, 1.0, t.abs())
