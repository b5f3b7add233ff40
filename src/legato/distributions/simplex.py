"""Relaxed choices: one of K, nearly, as a point of the simplex, in logarithms.

Covered: the concrete distribution by its logarithms, alone or beside a Gaussian in one vector. Not covered: coins, which are
logistics (clouds.py).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Normal

from legato.distributions.clouds import noise_of


class LogConcrete(Distribution):
    """y = log softmax((θ + g)/t), g of Gumbel: the logarithm of a point of the simplex, near a corner at a low t.

    log p(y) = log (K − 1)! + (K − 1) log t + Σ_k a_k − K log Σ_k e^{a_k}, a = θ − t y, by the gaps y_k − y_K of
    k < K, of which it is the density (a coin's logistic at K = 2). logits (*batch, K). Maddison, Mnih &
    Teh 2017, https://arxiv.org/abs/1611.00712, eq. 10 and appendix C.
    """

    arg_constraints: dict[str, Any] = {"logits": None}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float) -> None:
        self.logits, self.temperature = torch.log_softmax(logits, -1), temperature
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Where each number would be without noise: the logarithm of the chances (no mean)."""
        return self.logits

    @property
    def stddev(self) -> Tensor:
        """Of g/t, π/(√6 t)."""
        return torch.full_like(self.logits, math.pi / (math.sqrt(6) * self.temperature))

    def log_prob(self, value: Tensor) -> Tensor:
        """(*lead, *batch), nats."""
        k, t = self.logits.shape[-1], self.temperature
        a = self.logits - t * value
        return math.lgamma(k) + (k - 1) * math.log(t) + a.sum(-1) - k * torch.logsumexp(a, -1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """(*sample_shape, *batch, K)."""
        u = noise_of(self, sample_shape, uniform=True).clamp(1e-7, 1 - 1e-7)
        return torch.log_softmax((self.logits - torch.log(-u.log())) / self.temperature, -1)


class Beside(Distribution):
    """A Gaussian of d numbers and a relaxed choice of K beside each other, (*batch, d + K), independent of each other."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = True

    def __init__(self, numbers: Normal, choice: LogConcrete) -> None:
        self.numbers, self.choice = numbers, choice
        self.sizes = [numbers.batch_shape[-1], choice.event_shape[0]]
        super().__init__(choice.batch_shape, Size((sum(self.sizes),)), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Of the numbers; of the choice what `LogConcrete.mean` is."""
        return torch.cat([self.numbers.mean, self.choice.mean], -1)

    @property
    def stddev(self) -> Tensor:
        """Each one's own."""
        return torch.cat([self.numbers.stddev, self.choice.stddev], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*lead, *batch), nats."""
        numbers, choice = torch.split(value, self.sizes, -1)
        found: Tensor = self.numbers.log_prob(numbers).sum(-1) + self.choice.log_prob(choice)  # type: ignore[no-untyped-call]
        return found

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """(*sample_shape, *batch, d + K)."""
        noise = noise_of(self.numbers, sample_shape)
        return torch.cat([self.numbers.loc + self.numbers.scale * noise, self.choice.rsample(sample_shape)], -1)
