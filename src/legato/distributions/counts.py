"""Distributions of counts: whole numbers from 0 on, of which some have a million.

Covered: Poisson, negative binomial, either with zeros beside it, multinomial; each by logarithms of its means. Not covered:
what a net's numbers mean (the families of `legato.counts`).

log P is computed in double precision where the device has it: its parts are as large as x log x, 10⁷ at a count of 10⁶, and
what is left of them is a few nats.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid

from legato.devices import widest


class Counts(Distribution):
    """The common part: log P in double precision, told in that of the parameters."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)

    @abstractmethod
    def exact(self, value: Tensor) -> Tensor:
        """log P in the widest type, nats."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats: per value, of a multinomial per row. `value` may have leading axes that broadcast against the batch's."""
        return self.exact(value).to(self.dtype)

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """The floating type of the parameters."""


class Poisson(Counts):
    """P(x) = e^{−λ} λ^x / x!, of log λ; the axes are independent (wrap in `Independent`). Variance λ, as large as the mean."""

    def __init__(self, log_rate: Tensor) -> None:
        self.log_rate = log_rate
        super().__init__(log_rate.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """λ."""
        return self.log_rate.exp()

    @property
    def variance(self) -> Tensor:
        """λ."""
        return self.mean

    @property
    def dtype(self) -> torch.dtype:
        """That of `log_rate`."""
        return self.log_rate.dtype

    def exact(self, value: Tensor) -> Tensor:
        """Nats per value."""
        x, log_rate = wide(value), wide(self.log_rate)
        return x * log_rate - log_rate.exp() - torch.lgamma(x + 1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, whole numbers of the parameters' own floating type."""
        with torch.no_grad():
            rate = wide(self.log_rate).exp().expand(Size(sample_shape) + self.batch_shape)
            return torch.poisson(rate).to(self.log_rate.dtype)


class NegativeBinomial(Counts):
    """A Poisson whose rate varies by a gamma: P(x) = Γ(x + r)/(Γ(r) x!) (r/(r + μ))^r (μ/(r + μ))^x, of log μ and log r.

    Mean μ, variance μ + μ²/r: 1/r is the dispersion, and for r → ∞ it is the Poisson. `log_r` broadcasts against `log_mean`.
    """

    def __init__(self, log_mean: Tensor, log_r: Tensor) -> None:
        self.log_mean, self.log_r = log_mean, log_r
        super().__init__(log_mean.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """μ."""
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        """μ + μ²/r."""
        return self.mean + (2 * self.log_mean - self.log_r).exp()

    @property
    def dtype(self) -> torch.dtype:
        """That of `log_mean`."""
        return self.log_mean.dtype

    def exact(self, value: Tensor) -> Tensor:
        """Nats per value."""
        x, log_mean, log_r = wide(value), wide(self.log_mean), wide(self.log_r)
        r, odds = log_r.exp(), log_mean - log_r
        # of x and r alone: an estimate scores one x under many means
        ways = torch.lgamma(x + r) - torch.lgamma(r) - torch.lgamma(x + 1)
        return ways + r * logsigmoid(-odds) + x * logsigmoid(odds)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, whole numbers: a Poisson's, whose rate is drawn from the gamma of shape r and mean μ."""
        with torch.no_grad():
            shape = Size(sample_shape) + self.batch_shape
            r, log_mean = wide(self.log_r).exp().expand(shape), wide(self.log_mean)
            rate = torch._standard_gamma(r) / r * log_mean.exp()
            return torch.poisson(rate).to(self.log_mean.dtype)


class ZeroInflated(Counts):
    """P(x) = π [x = 0] + (1 − π) P₀(x), π = σ(l): of some zeros nothing was counted at all.

    counted: P₀, of independent axes; logit l of its shape. Lambert 1992; of sequenced cells Lopez et al. 2018.
    """

    def __init__(self, counted: Poisson | NegativeBinomial, logit: Tensor) -> None:
        self.counted, self.logit = counted, logit
        super().__init__(counted.batch_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(1 − π) E₀ x."""
        return torch.sigmoid(-self.logit) * self.counted.mean

    @property
    def variance(self) -> Tensor:
        """(1 − π)(Var₀ x + π (E₀ x)²)."""
        return torch.sigmoid(-self.logit) * (self.counted.variance + torch.sigmoid(self.logit) * self.counted.mean.square())

    @property
    def dtype(self) -> torch.dtype:
        """That of `logit`."""
        return self.logit.dtype

    def exact(self, value: Tensor) -> Tensor:
        """Nats per value."""
        logit = wide(self.logit)
        counted = logsigmoid(-logit) + self.counted.exact(value)
        # both are finite everywhere, so that the one that is not chosen has no gradient that is no number
        return torch.where(value == 0, torch.logaddexp(logsigmoid(logit), counted), counted)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, whole numbers."""
        with torch.no_grad():
            drawn = self.counted.sample(sample_shape)
            return drawn * torch.bernoulli(torch.sigmoid(-self.logit).expand(drawn.shape))


class Multinomial(Counts):
    """P(x | n) = n!/∏ x_j! ∏ π_j^{x_j}, log π = log softmax of the logits: how n, a row's own total, falls to D columns.

    logits (*batch, D). log P is of a row whose total is known, and with the coefficient, so that it is a probability of x given
    n. `total`, (): the n of what is shown and drawn, where there is no row to take it from.
    """

    def __init__(self, logits: Tensor, total: Tensor) -> None:
        self.logits, self.total = logits, total
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """n π, at n = `total`."""
        return self.total * torch.softmax(self.logits, -1)

    @property
    def variance(self) -> Tensor:
        """n π (1 − π), at n = `total`."""
        return self.mean * (1 - torch.softmax(self.logits, -1))

    @property
    def dtype(self) -> torch.dtype:
        """That of `logits`."""
        return self.logits.dtype

    def exact(self, value: Tensor) -> Tensor:
        """(*batch), nats, of the row's own total."""
        x = wide(value)
        ways = torch.lgamma(x.sum(-1) + 1) - torch.lgamma(x + 1).sum(-1)
        return ways + (x * torch.log_softmax(wide(self.logits), -1)).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of `total`, to the nearest whole number: column after column, each a binomial of what is left."""
        with torch.no_grad():
            chances = torch.softmax(wide(self.logits), -1).expand(Size(sample_shape) + self.logits.shape)
            rest = chances.flip(-1).cumsum(-1).flip(-1)  # of this column and all behind it
            shares = (chances / rest.clamp(min=torch.finfo(rest.dtype).tiny)).clamp(0, 1)
            shares[..., -1] = 1  # rounding may have left less, and the total is what was asked for
            left, drawn = wide(self.total).round().expand(chances.shape[:-1]), []
            for share in shares.unbind(-1):
                drawn.append(torch.binomial(left, share))
                left = left - drawn[-1]
            return torch.stack(drawn, -1).to(self.logits.dtype)


def wide(values: Tensor) -> Tensor:
    """The values in the widest floating type of their device."""
    return values.to(widest(values.device))
