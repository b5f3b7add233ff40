"""A point mass: what a plain autoencoder's encoder gives instead of a cloud."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from legato.errors import Mistake

NO_DENSITY = (
    "a point mass has no density, so it has neither a log-probability nor a KL divergence: "
    "use a Gaussian posterior (as `vae` does), or leave the rate out of the objective (as `autoencoder` does)"
)


class Fixed(Distribution):
    """A distribution whose draws are all `value`, with gradients flowing straight through; log p is the subclass's to say.

    value (*batch, *event), of which the last `event_dims` axes are one event.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = True

    def __init__(self, value: Tensor, event_dims: int = 1) -> None:
        self.value = value
        split = value.ndim - event_dims
        super().__init__(value.shape[:split], value.shape[split:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The value itself."""
        return self.value

    @property
    def stddev(self) -> Tensor:
        """Zero in every dimension."""
        return torch.zeros_like(self.value)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """`value`, repeated over `sample_shape` without a copy."""
        return self.value.expand(Size(sample_shape) + self.value.shape)


class PointMass(Fixed):
    """δ(z − value). There is no density with respect to Lebesgue measure, so `log_prob` raises `Mistake` rather than return a
    number that could be summed into a bound.
    """

    def log_prob(self, value: Tensor) -> NoReturn:
        """Raises `Mistake`: there is none."""
        raise Mistake(NO_DENSITY)
