"""Codes that are counted: a value of a finite grid for each dimension, or a row of a codebook for each token.

Covered: the point that an encoder chooses, with its probability 1 and its straight-through gradient; priors over the indices.
Not covered: how a point is chosen (codebooks.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Categorical, Distribution

from legato.distributions.divergence import register_kl
from legato.distributions.point import Fixed
from legato.types import Shape


class Chosen(Fixed):
    """The one code that q(z|x) chooses among finitely many: probability 1, so that KL(q ‖ p) = −log p(z).

    value (*batch, *event): the chosen code, whose gradient goes to the encoder as if nothing had been rounded (Bengio et al.
    2013, https://arxiv.org/abs/1308.3432). index (*batch, *tokens), int64. `away` (*batch, *event): what the encoder gave,
    before; `rows`: the same as value with a gradient to a codebook that learns by one, where there is such; `odds`
    (*batch, *tokens, D): of a token of D bits, log q(1)/q(0) of each, had it been drawn.
    """

    def __init__(
        self,
        value: Tensor,
        index: Tensor,
        away: Tensor,
        event_dims: int,
        rows: Tensor | None = None,
        odds: Tensor | None = None,
    ) -> None:
        super().__init__(value, event_dims)
        self.index, self.away, self.rows, self.odds = index, away, rows, odds

    def log_prob(self, value: Tensor) -> Tensor:
        """0 nats: the probability of what was chosen."""
        # a probability, not a density: log 1
        return torch.zeros(value.shape[: value.ndim - len(self.event_shape)], dtype=value.dtype, device=value.device)


class Tokens(Distribution):
    """Independent categoricals over the indices of a code: log p(z) = Σ_t log π_t[index_t], nats.

    log_weights (*tokens, K); `values`: index (*lead, *tokens) -> code (*lead, *event), `indices` its inverse. Uniform weights
    give −n log K for n tokens.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = False

    def __init__(self, log_weights: Tensor, values: Any, indices: Any, event: Shape) -> None:
        self.log_weights, self.values, self.indices = log_weights, values, indices
        super().__init__(Size(), Size(event), validate_args=False)

    def of_index(self, index: Tensor) -> Tensor:
        """log π of each token, (*lead, *tokens), nats."""
        spread = self.log_weights.expand(*index.shape, self.log_weights.shape[-1])
        return spread.gather(-1, index.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*lead,), nats. value (*lead, *event), codes of the grid or the nearest to them."""
        found = self.of_index(self.indices(value))
        return found.flatten(found.ndim - self.log_weights.ndim + 1).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Codes (*sample_shape, *event)."""
        with torch.no_grad():
            chances = Categorical(logits=self.log_weights, validate_args=False)
            index: Tensor = chances.sample(Size(sample_shape))  # type: ignore[no-untyped-call]  # torch's
            return torch.as_tensor(self.values(index))


@register_kl(Chosen, Tokens)
def _chosen_tokens(q: Chosen, p: Tokens) -> Tensor:
    """−log π of each token that was chosen, (*batch, *tokens)."""
    return -p.of_index(q.index)
