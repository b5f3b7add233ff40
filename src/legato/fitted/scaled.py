"""A prior of codes that were first brought to mean 0 and deviation 1, in units of which it was learnt."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from legato.priors import Prior
from legato.trace import Given
from legato.types import Shape


class Scaled(Prior):
    """p(z) = p₁((z − m)/s)/∏ s: m and s (*event) are the codes' mean and deviation, `inner` is p₁."""

    has_moments = False
    centre: Tensor
    scale: Tensor

    def __init__(self, event: Shape, inner: Prior) -> None:
        super().__init__()
        self.event, self.inner = event, inner
        self.register_buffer("centre", torch.zeros(event))
        self.register_buffer("scale", torch.ones(event))

    def forward(self, given: Given) -> Distribution:
        """p(z), or p(z|given)."""
        return Moved(self.inner(given), self.centre, self.scale)


class Moved(Distribution):
    """The distribution of m + s u, u of another one. torch's own transforms keep a cache, which a copy would share."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = False

    def __init__(self, of: Distribution, centre: Tensor, scale: Tensor) -> None:
        self.of, self.centre, self.scale = of, centre, scale
        super().__init__(of.batch_shape, of.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*lead,), nats."""
        found: Tensor = self.of.log_prob((value - self.centre) / self.scale) - self.scale.log().sum()
        return found

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """(*sample_shape, *batch, *event)."""
        return torch.as_tensor(self.centre + self.scale * self.of.sample(sample_shape))
