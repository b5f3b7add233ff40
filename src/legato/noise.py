"""Noise on a code in training: what a decoder reads is near z, and not z, so that codes nearby decode alike.

Of the likelihood all stays: in evaluation there is no noise, and ELBO and log p(x) are those of the model without it. In
training the distortion is −E log p(x|z + noise), that of a decoder which is told less.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from legato.arguments import checked
from legato.errors import Mistake
from legato.ranks import drawn


class Noisy(nn.Module):
    """z -> z + s · rms(z) · ε, ε ~ N(0, I), in training; z itself in evaluation. (n, *code) -> (n, *code).

    rms(z) is the root of the mean square of an example's own code, a number that nothing is learnt through: noise of a given
    size would be undone by a code that grows. Raises `Mistake` where s is no finite number of 0 or more.
    """

    @checked
    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < math.inf:
            raise Mistake(f"`noise` is a share of the code's own size, 0 or more, got {share}")
        self.share = share

    def forward(self, code: Tensor) -> Tensor:
        """A pass."""
        if not self.training:
            return code
        size = code.detach().flatten(1).square().mean(1).sqrt().view(-1, *[1] * (code.ndim - 1))
        return code + self.share * size * drawn(lambda shape: torch.randn(shape, device=code.device), code.shape, 0)


def noisy(share: float) -> Noisy | None:
    """That of a share above 0; None for 0."""
    return Noisy(share) if share else None
