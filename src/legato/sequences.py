"""A prior over a codebook's indices in which each token depends on all before it.

Covered: a recurrent net over the tokens in a row, learnt with the model. Not covered: tokens that are independent
(codebooks.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.distributions import Categorical, Distribution
from torch.nn.functional import pad

from legato.arguments import checked
from legato.codebooks import Codebook
from legato.devices import exact
from legato.distributions.divergence import register_kl
from legato.distributions.grid import Chosen
from legato.priors import Prior
from legato.trace import Given
from legato.types import Shape


class Sequential(Prior):
    """p(z) = Π_t p(index_t | index_{<t}), by a gated recurrent net over the tokens in a row (of a grid, line by line).

    Learnt with the model: the indices that the encoder chooses are its data, and no gradient of it reaches them. van den Oord
    et al. 2017, https://arxiv.org/abs/1711.00937, section 3.3, with a recurrent net (Cho et al. 2014,
    https://arxiv.org/abs/1406.1078) in the place of convolutions. Its first guess is that all tokens are alike.
    """

    has_moments = False

    @checked
    def __init__(self, book: Codebook, event: Shape, width: int = 128) -> None:
        super().__init__()
        self.event = event
        self._book = [book]  # in a list: it is the posterior's, and is stored once
        self.before = nn.Embedding(book.size + 1, width)  # the last is what stands before the first token
        self.memory = nn.GRU(width, width, batch_first=True)
        self.ahead = nn.Linear(width, book.size)
        nn.init.zeros_(self.ahead.weight)
        nn.init.zeros_(self.ahead.bias)

    def forward(self, given: Given) -> Distribution:
        """The same for everything given."""
        return InSequence(self, self._book[0])

    def indices(self, code: Tensor) -> Tensor:
        """The indices of codes (N, *event), (N, *tokens)."""
        return self._book[0].indices(code)

    def log_chances(self, index: Tensor) -> Tensor:
        """log p(each index | those before it), (N, n), of indices (N, n)."""
        with exact(index.device):
            started = pad(index[:, :-1], (1, 0), value=self.before.num_embeddings - 1)
            found, _ = self.memory(self.before(started))
            chances = torch.log_softmax(self.ahead(found), -1)
        return chances.gather(-1, index.unsqueeze(-1)).squeeze(-1)

    @torch.no_grad()
    def draws(self, count: int, length: int) -> Tensor:
        """Indices (count, n), one token after the other."""
        device = self.ahead.weight.device
        last = torch.full((count, 1), self.before.num_embeddings - 1, device=device)
        state, found = None, []
        with exact(device):
            for _ in range(length):
                out, state = self.memory(self.before(last), state)
                chances = Categorical(logits=self.ahead(out[:, 0]), validate_args=False)
                last = chances.sample()[:, None]  # type: ignore[no-untyped-call]  # torch's
                found.append(last)
        return torch.cat(found, 1)


class InSequence(Distribution):
    """The distribution of codes whose indices come one after the other."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = False

    def __init__(self, prior: Sequential, book: Codebook) -> None:
        self.prior, self.book = prior, book
        super().__init__(Size(), Size(prior.event), validate_args=False)

    def of_index(self, index: Tensor) -> Tensor:
        """log p of each token given those before it, (*lead, *tokens), nats."""
        tokens = self.book.tokens(self.prior.event)
        flat = index.reshape(-1, Size(tokens).numel())
        return self.prior.log_chances(flat).view(index.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*lead,), nats."""
        found = self.of_index(self.book.indices(value))
        return found.flatten(value.ndim - len(self.event_shape)).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Codes (*sample_shape, *event)."""
        tokens = self.book.tokens(self.prior.event)
        index = self.prior.draws(Size(sample_shape).numel(), Size(tokens).numel())
        return self.book.values(index.view(*sample_shape, *tokens)).detach()


@register_kl(Chosen, InSequence)
def _chosen_in_sequence(q: Chosen, p: InSequence) -> Tensor:
    """−log p of each token that was chosen, given those before it, (*batch, *tokens)."""
    return -p.of_index(q.index)
