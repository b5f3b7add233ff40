"""The plain multi-layer perceptron: the network of the first VAE papers."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from legato.defaults import NETS
from legato.types import Shape

DEFAULT = NETS["mlp"]


def mlp(given: Shape, out: Shape, *, width: int = DEFAULT.width, depth: int = DEFAULT.depth) -> nn.Module:
    """`depth` hidden layers of `width` rectified units on the flattened input; depth 0 is one affine map.

    The final affine map has no non-linearity: its reader (a family) decides what the numbers mean.
    """
    return Perceptron((prod(given), *[width] * depth, prod(out)), out)


class Perceptron(nn.Module):
    """Affine maps between `sizes`, rectified in between: (B, *given) -> (B, *out). One call, for speed with small batches."""

    def __init__(self, sizes: tuple[int, ...], out: Shape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.out = out

    def forward(self, x: Tensor) -> Tensor:
        """x (B, *given) -> (B, *out)."""
        *hidden, last = self.layers
        h = x.flatten(1)
        for layer in hidden:
            h = torch.relu_(layer(h))  # in place: the derivative of an affine map does not read its output
        y: Tensor = last(h)
        return y.view(-1, *self.out)
