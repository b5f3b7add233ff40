"""A critic of patches: it tells pictures from decoded ones, place by place, and the decoder learns to be taken for real.

Covered: the critic, its hinge loss, the term, the weight by which it balances the rest. Not covered: the step in which both
learn (training/learner.py), from when on it counts (`constraints.Begun`).
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from legato import ranks
from legato.arguments import checked
from legato.errors import Mistake
from legato.nets.layers import GroupNorm
from legato.objectives.term import Term
from legato.player import Player
from legato.trace import Seen, Trace

SLOPE, DELTA, MOST = 0.2, 1e-6, 1e4  # of a leaky unit; eq. 7's δ; the largest weight, as in the paper's code


class PatchCritic(nn.Module):
    """(n, C, H, W) -> a number for each patch, (n, places): more for a real one. `depth` convolutions of stride 2 and one more.

    Isola et al. 2017, https://arxiv.org/abs/1611.07004, section 3.2; here with group normalisation, which mixes no examples.
    """

    @checked
    def __init__(self, channels: int, width: int = 32, depth: int = 2) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise Mistake(f"a critic of patches has 1 channel or more and halves pictures once or more, got {width}, {depth}")
        sizes = [width * 2**level for level in range(depth)]
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        for here, below in pairwise(sizes):
            halved = nn.Conv2d(here, below, 4, stride=2, padding=1)
            layers += [halved, GroupNorm(gcd(below, 8), below), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(sizes[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """A pass."""
        found: Tensor = self.layers(2 * x - 1)
        return found.flatten(1).to(x.dtype)


class PatchAdversary(Term):
    """−T(x̂), (B,), the mean over patches of a critic's verdict on the mean x̂ of p(x|z): less where it is taken for real.

    The critic's loss is the hinge, ½ max(0, 1 − T(x)) + ½ max(0, 1 + T(x̂)), 1 where it tells nothing. No likelihood, and no
    nats. It is charged at its weight times λ = ‖∇_L fidelity‖/(‖∇_L of this term‖ + δ), L the weights of the decoder's last
    layer, fidelity all terms of x beside x̂ at their weights: at weight 1 both pull at that layer alike. λ is found anew in each
    step and is a number: nothing is learnt through it. Esser et al. 2021, https://arxiv.org/abs/2012.09841, eq. 6 and 7;
    δ = 10⁻⁶ and λ ≤ 10⁴. Raises `Mistake` for what is no image, when the recipe is built.
    """

    name = "patch adversary"
    needs_image = True
    balances = True

    @checked
    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return -self._verdicts(trace.likelihood.mean).mean((0, 2))

    def balance(self, found: Tensor, fidelity: Tensor, trace: Trace) -> Tensor:
        """λ, ()."""
        last = last_layer(trace.parts.decoder)
        by_fidelity, by_own = (_norm_by(last, value) for value in (fidelity, found))
        return (by_fidelity / (by_own + DELTA)).clamp(max=MOST)

    def mistaken(self, seen: Seen) -> Tensor:
        """The critic's hinge loss, (B,)."""
        real, decoded = self._verdicts(seen.x[None]), self._verdicts(seen.decoded)
        return 0.5 * (relu(1 - real).mean((0, 2)) + relu(1 + decoded).mean((0, 2)))

    def _verdicts(self, x: Tensor) -> Tensor:
        """T of images (S, B, *data), (S, B, places)."""
        found: Tensor = self.critic(x.flatten(0, 1))
        return found.view(*x.shape[:2], -1)

    @property
    def player(self) -> Player:
        """The critic."""
        return Player("critic", self.critic, self.mistaken, betas=(0.5, 0.9), blind=1.0)


def last_layer(decoder: nn.Module) -> Tensor:
    """The weights of the last layer of a decoder that makes maps or sums."""
    layers = [part for part in decoder.modules() if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    return layers[-1].weight


def _norm_by(weight: Tensor, value: Tensor) -> Tensor:
    """‖∂value/∂weight‖, (), of the mean over the whole batch, where ranks share it."""
    (gradient,) = torch.autograd.grad(value, weight, retain_graph=True)
    found: Tensor = torch.linalg.vector_norm(ranks.mean(gradient.detach()[None]))
    return found
