"""Terms that no formula gives: a critic learns them from draws, beside the model.

Covered: the total correlation of the codes by the density-ratio trick, codes told from draws of the prior, images told from
decoded ones. Not covered: the step in which both learn (training/learner.py).
"""

from __future__ import annotations

import math
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
    least_batch = 2  # of one, each dimension's values can be dealt in one way alone

    @checked
    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return self.log_ratio(trace.code.flatten(2)).mean(0)

    def log_ratio(self, code: Tensor) -> Tensor:
        """T: codes (S, B, d) -> log q(z)/∏ q(z_j) as the critic has it, (S, B), nats."""
        return _logit(self.critic, code)

    def mistaken(self, seen: Seen) -> Tensor:
        """The critic's cross-entropy, (B,), nats: log 2 where it cannot tell codes from permuted ones."""
        code = seen.code.flatten(2)
        together, apart = self.log_ratio(code), self.log_ratio(permuted(code, seen.stream))
        return 0.5 * (softplus(-together) + softplus(apart)).mean(0)

    @property
    def player(self) -> Player:
        """The critic, with the decays of Adam that Kim and Mnih give it."""
        return Player("critic", self.critic, self.mistaken, betas=(0.5, 0.9), blind=math.log(2))


class Adversary(Term):
    """A critic's verdict on the codes: −log σ(T(z)), (B,), nats; T is trained to tell draws of the prior from codes.

    Where it cannot tell, all codes together lie as the prior does; neither density need be known, so that it applies to points
    and to any prior that can be drawn from. Makhzani et al. 2015, https://arxiv.org/abs/1511.05644; Tolstikhin et al. 2018
    (WAE-GAN), https://arxiv.org/abs/1711.01558, algorithm 1. The critic's loss is a cross-entropy, log 2 where it cannot tell.
    """

    name = "adversary"
    reads_prior = True

    @checked
    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return softplus(-_logit(self.critic, trace.code.flatten(2))).mean(0)

    def mistaken(self, seen: Seen) -> Tensor:
        """The critic's cross-entropy, (B,), nats."""
        of_prior, of_codes = (_logit(self.critic, code.flatten(2)) for code in (seen.prior_code, seen.code))
        return 0.5 * (softplus(-of_prior) + softplus(of_codes)).mean(0)

    @property
    def player(self) -> Player:
        """The critic."""
        return Player("critic", self.critic, self.mistaken, betas=(0.5, 0.9), blind=math.log(2))


class ImageCritic(nn.Module):
    """A net that tells images from decoded ones: (B, *data) -> features (B, K), and one logit of them, (B,)."""

    def __init__(self, features: nn.Module, size: int) -> None:
        super().__init__()
        self.features, self.head = features, nn.Linear(size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, *data) -> (B, 1)."""
        logit: Tensor = self.head(nn.functional.leaky_relu(self.features(x), SLOPE))
        return logit


class FeatureDistortion(Term):
    """½‖f(x) − f(x̂)‖² in the features f of an image critic, (B,): what N(f(x̂), I) would charge, but no likelihood of x.

    The critic learns nothing from it. Larsen et al. 2016 (VAE/GAN), https://arxiv.org/abs/1512.09300, eq. 7.
    """

    name = "feature distortion"
    is_likeness = True

    def __init__(self, critic: ImageCritic) -> None:
        super().__init__()
        self._critic = [critic]  # in a list: it is the adversary's, whose player it is

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        features, decoded = self._critic[0].features, trace.likelihood.mean
        found: list[Tensor] = [features(x).to(trace.x.dtype) for x in (trace.x, decoded.flatten(0, 1))]
        return 0.5 * (found[0] - found[1].view(*decoded.shape[:2], -1)).square().sum(2).mean(0)


class ImageAdversary(Term):
    """A critic's verdict on what is decoded: −log σ(T(x̂)), (B,), nats, half of reconstructions and half of draws of the prior.

    It teaches the decoder to be taken for real, and tells the encoder nothing: codes reach it without a gradient. Larsen et
    al. 2016 (VAE/GAN), https://arxiv.org/abs/1512.09300, algorithm 1, with the loss that does not saturate.
    """

    name = "image adversary"

    @checked
    def __init__(self, critic: ImageCritic) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        again = trace.parts.decode(trace.code.detach()).mean
        return 0.5 * (softplus(-self._verdict(again)) + softplus(-self._verdict(trace.imagined))).mean(0)

    def mistaken(self, seen: Seen) -> Tensor:
        """The critic's cross-entropy, (B,), nats: half of it of images, half of what is decoded."""
        real = softplus(-self._verdict(seen.x[None])).mean(0)
        decoded = (softplus(self._verdict(seen.decoded)) + softplus(self._verdict(seen.imagined))).mean(0)
        return 0.5 * real + 0.25 * decoded

    def _verdict(self, x: Tensor) -> Tensor:
        """T of images (S, B, *data), (S, B)."""
        logit: Tensor = self.critic(x.flatten(0, 1))
        return logit.view(x.shape[:2]).to(x.dtype)

    @property
    def player(self) -> Player:
        """The critic."""
        return Player("critic", self.critic, self.mistaken, betas=(0.5, 0.9), blind=math.log(2))


def _logit(critic: nn.Module, code: Tensor) -> Tensor:
    """One logit of each code (S, B, d), (S, B)."""
    logit: Tensor = critic(code.flatten(0, 1))
    # single precision again, where products were of half: sums need its digits
    return logit.view(code.shape[:2]).to(code.dtype)
