"""Priors: p(z), perhaps given a label or the encoder."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from legato.arguments import checked
from legato.families import Shape
from legato.trace import Given


class Prior(nn.Module):
    """Given -> a distribution over one code, of batch shape () or (B,), event shape `event`."""

    event: Shape

    @abstractmethod
    def forward(self, given: Given) -> Distribution:
        """p(z), or p(z|given)."""


class StandardNormal(Prior):
    """N(0, I): what a VAE's codes are asked to look like as a population."""

    zero: Tensor
    one: Tensor

    @checked
    def __init__(self, event: Shape) -> None:
        super().__init__()
        self.event = event
        # Buffers, so that the prior moves to a device with the model; not stored: they say nothing that `event` does not.
        self.register_buffer("zero", torch.zeros(event), persistent=False)
        self.register_buffer("one", torch.ones(event), persistent=False)

    def forward(self, given: Given) -> Distribution:
        """The same for everything given."""
        return Independent(Normal(self.zero, self.one, validate_args=False), len(self.event), validate_args=False)
