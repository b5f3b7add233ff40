"""Terms that no formula gives: a critic learns them from draws, beside the model.

Covered: the total correlation of the codes, by the density-ratio trick. Not covered: the step in which both learn
(training/learner.py).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from legato import ranks
from legato.arguments import checked
from legato.errors import Mistake
from legato.objectives.term import Term
from legato.player import Player
from legato.trace import Seen, Trace

SLOPE = 0.2  # of a leaky unit below 0, as Kim and Mnih have it


@checked
def critic(size: int, width: int = 256, depth: int = 3) -> nn.Module:
    """A net that tells two populations apart: rows (B, size) -> one logit each, (B, 1), by `depth` layers of leaky units.

    Kim and Mnih take 6 layers of 1,000, which make a step of a small VAE fourteen times as long; three of 256, 1.4 times.
    """
    if width < 1 or depth < 0:
        raise Mistake(f"a critic has 1 unit or more in each of 0 layers or more, got width {width} and depth {depth}")
    sizes = (size, *[width] * depth)
    hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU(SLOPE))]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], 1))


def permuted(code: Tensor, stream: torch.Generator | None = None) -> Tensor:
    """Each dimension's values dealt anew among the examples: code (S, B, d) -> (S, B, d), by the numbers of `stream`.

    What is left is a draw from the product of the marginals, but that two dimensions of a row are of one example once in B.
    """
    everyone, at = ranks.whole(code, 1), ranks.place(code, 1)
    # one sort of all dimensions; `randperm` would be called for each
    order = torch.rand(everyone.shape, device=code.device, generator=stream).argsort(1)
    return everyone.gather(1, order)[:, at]


class TotalCorrelation(Term):
    """KL(q(z) ‖ ∏_j q(z_j)) of the codes of all examples: what one latent tells of the others, (B,), nats per example.

    q(z) is known by draws alone. A critic T learns to tell codes from codes whose dimensions were permuted among examples; the
    best one is T(z) = log q(z) − Σ_j log q(z_j), whose mean over codes is the total correlation. While the critic still learns
    it is an estimate of that, too low where it tells too little apart, and may be below 0.

    The critic's loss is ½ E_q softplus(−T) + ½ E_∏ softplus(T), a cross-entropy in nats: log 2 where it cannot tell. One logit
    stands for the difference of the two that Kim and Mnih have. Both halves are of the same codes, where theirs takes a second
    batch for the second half: either half is an unbiased estimate whatever the other is made of, so that their sum is, and an
    encoder's pass is saved. Kim & Mnih 2018, https://arxiv.org/abs/1802.05983, eq. 2 and 3, algorithm 2.
    """

    name = "total correlation"

    @checked
    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return self.log_ratio(trace.code.flatten(2)).mean(0)

    def log_ratio(self, code: Tensor) -> Tensor:
        """T: codes (S, B, d) -> log q(z)/∏ q(z_j) as the critic has it, (S, B), nats."""
        logit: Tensor = self.critic(code.flatten(0, 1))
        # single precision again, where products were of half: sums need its digits
        return logit.view(code.shape[:2]).to(code.dtype)

    def mistaken(self, seen: Seen) -> Tensor:
        """The critic's cross-entropy, (B,), nats: log 2 where it cannot tell codes from permuted ones."""
        code = seen.code.flatten(2)
        together, apart = self.log_ratio(code), self.log_ratio(permuted(code, seen.stream))
        return 0.5 * (softplus(-together) + softplus(apart)).mean(0)

    @property
    def player(self) -> Player:
        """The critic, with the decays of Adam that Kim and Mnih give it."""
        return Player("critic", self.critic, self.mistaken, betas=(0.5, 0.9))
