"""A Gaussian likelihood whose one scale is solved from the data it is asked about."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from legato.ranks import mean

MIN_VARIANCE = 1e-8  # a perfect reconstruction would otherwise have an infinite density


class SolvedNormal(Distribution):
    """N(mean, σ*²) with σ*² = mean over batch, draws and values of (x − mean)², the maximum-likelihood scale.

    With `per_column` each column of a table has a σ* of its own (a mean over all axes but the last). `counts` (B,), of mean 1:
    what each example counts in σ*², where they do not count alike; their nats must then be weighed so, too.

    log p = −(x − mean)²/2σ*² − ½log 2πσ*², elementwise. Only for training: the scale reads the very `x` it scores, so an
    evaluation with it would be no likelihood. At σ* the derivative of log p by σ is 0, so no gradient need flow through it.

    Rybkin, Daniilidis & Levine 2021, https://arxiv.org/abs/2006.13202, eq. 8. Repeating the batch leaves every value unchanged.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)

    def __init__(self, mean: Tensor, per_column: bool = False) -> None:
        self.loc = mean
        self.per_column = per_column
        self.counts: Tensor | None = None
        super().__init__(mean.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The decoded mean."""
        return self.loc

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats per value, at the scale that is best for `value`."""
        square = (value - self.loc) ** 2
        # no gradient: at the best scale it is 0
        found = square.detach()
        found = found if self.counts is None else found * self.counts.reshape(-1, *[1] * (found.ndim - 2))
        variance = mean_square(found, self.per_column).clamp(min=MIN_VARIANCE)
        return -0.5 * (square / variance + torch.log(variance) + math.log(2 * math.pi))


def mean_square(square: Tensor, per_column: bool) -> Tensor:
    """The mean of squares (…, D): of all, (), or of each column, (D,)."""
    return mean(square.flatten(0, -2)) if per_column else mean(square, None)
