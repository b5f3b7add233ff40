"""Equivariance: a code that is turned, flipped or shrunk is to decode to the picture turned, flipped or shrunk.

Covered: quarter turns, flips, halving by averages. Not covered: shifts, which convolutions by themselves commute with.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from legato.objectives.term import Term
from legato.ranks import drawn
from legato.trace import Trace


class Equivariance(Term):
    """−log p(τx|τz), (B,), nats: p the decoder on the code z moved by τ, about the picture moved by the same τ.

    τ is one of the eight turns and flips of a square (four of another rectangle), drawn for each example; then, if `halves`,
    the mean of each 2 × 2 places, of pixels and codes alike, where the code has an even number of them. Half the size is a
    quarter of the cost of a decoder's pass. Kouzelis et al. 2025 (EQ-VAE), https://arxiv.org/abs/2502.09509, eq. 3, which puts
    it in the place of the reconstruction; here it is beside it, and z is the one draw of the pass. No likelihood: its pictures
    are not the data. Raises `Mistake` for codes that lie at no places, and for a net that takes no code of another size.
    """

    name = "equivariance"
    needs_image = True
    needs_places = True

    def __init__(self, halves: bool = True) -> None:
        super().__init__()
        self.halves = halves

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        code, x = trace.code, trace.x
        chance = drawn(lambda shape: torch.rand(shape, device=x.device), (len(x),), 0)
        x, code = turned(x, chance), turned(code.transpose(0, 1), chance).transpose(0, 1)
        if self.halves and not any(side % 2 for side in code.shape[-2:]):
            pooled = avg_pool2d(code.flatten(0, 1), 2)
            x, code = avg_pool2d(x, 2), pooled.view(*code.shape[:2], *pooled.shape[1:])
        return -trace.parts.decode(code).log_prob(x).mean(0)


def turned(values: Tensor, chance: Tensor) -> Tensor:
    """Each example (B, …, h, w) by a turn or flip that a number of 0 … 1 chooses for it, (B,)."""
    all_ways = torch.stack(ways(values))
    chosen = (chance * len(all_ways)).long().clamp(max=len(all_ways) - 1)
    return all_ways[chosen, torch.arange(len(values), device=values.device)]


def ways(values: Tensor) -> list[Tensor]:
    """What a picture (…, h, w) is turned and flipped to without a change of its shape: 8 of a square, else 4; itself first."""
    flat = [values, values.flip(-1), values.flip(-2), values.flip(-2, -1)]
    return flat if values.shape[-2] != values.shape[-1] else [*flat, *(one.transpose(-1, -2) for one in flat)]
