"""Priors that are one Gaussian or several with full covariances, fitted to codes: fixed, in a model's place for p(z)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Size, Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal

from legato.devices import doubled
from legato.priors import Prior
from legato.trace import NOTHING, Given
from legato.types import Precision, Shape


class Gaussians(Prior):
    """Σ_k w_k N(m_k, L_k L_kᵀ) of codes as vectors of d numbers: weights (K,), means (K, d), roots (K, d, d)."""

    has_moments = False
    weights: Tensor
    means: Tensor
    roots: Tensor

    def __init__(self, event: Shape, components: int) -> None:
        super().__init__()
        self.event, d = event, prod(event)
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, d))
        self.register_buffer("roots", torch.eye(d).expand(components, d, d).clone())

    def forward(self, given: Given) -> Distribution:
        """The same for everything given."""
        return Shaped(self.weights, self.means, self.roots, self.event)

    def draw(
        self, n: int, rng: np.random.Generator, temperature: float = 1.0, dtype: Precision = np.float32, given: Given = NOTHING
    ) -> NDArray[Any]:
        """A component by its weight, then m + temperature · L ε."""
        weights, means, roots = (doubled(each).cpu().numpy() for each in (self.weights, self.means, self.roots))
        of = rng.choice(len(weights), n, p=weights / weights.sum())
        noise = rng.standard_normal((n, means.shape[1]))
        drawn = means[of] + temperature * np.einsum("nij,nj->ni", roots[of], noise)
        return np.asarray(drawn.reshape(n, *self.event), dtype)


class Shaped(Distribution):
    """A mixture of Gaussians over codes of any shape."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = False

    def __init__(self, weights: Tensor, means: Tensor, roots: Tensor, event: Shape) -> None:
        parts = MultivariateNormal(means, scale_tril=roots, validate_args=False)
        self.dtype = means.dtype
        self.of = MixtureSameFamily(Categorical(weights, validate_args=False), parts, validate_args=False)
        super().__init__(Size(), Size(event), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*lead,), nats."""
        flat = value.reshape(*value.shape[: value.ndim - len(self.event_shape)], -1)
        found: Tensor = self.of.log_prob(flat.to(self.dtype))  # type: ignore[no-untyped-call]  # torch's
        return found.to(value.dtype)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """(*sample_shape, *event)."""
        found: Tensor = self.of.sample(sample_shape)  # type: ignore[no-untyped-call]  # torch's
        return found.reshape(*sample_shape, *self.event_shape)
