"""A distribution over codes in a row, of which each depends on those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution


class Joint(Distribution):
    """p(z) = p(z₁) Π p(z_l|z_{<l}) over z = (z₁, z₂, …) in one vector.

    `first`: p(z₁), of batch shape (). `then`: z_{<l} (*lead, d_{<l}) -> p(z_l|z_{<l}), of batch shape `lead` and one event
    axis.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)

    def __init__(self, first: Distribution, then: Sequence[Callable[[Tensor], Distribution]]) -> None:
        self.first, self.then = first, tuple(then)
        super().__init__(first.batch_shape, first.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z), (*lead,), nats. value (*lead, d)."""
        done = self.event_shape[0]
        total: Tensor = self.first.log_prob(value[..., :done])
        for conditional in self.then:
            # Networks compute in single precision, whatever the codes are asked in.
            p = conditional(value[..., :done].to(torch.float32))
            width = p.event_shape[0]
            total = total + p.log_prob(value[..., done : done + width])
            done += width
        return total

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """z from the first to the last, (*sample_shape, d)."""
        with torch.no_grad():
            z: Tensor = self.first.sample(Size(sample_shape))
            for conditional in self.then:
                z = torch.cat([z, conditional(z).sample()], -1)
        return z
