"""A dense network of residual blocks: the best of what is cheap on two cores for small images and for vectors."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from legato.defaults import NETS
from legato.types import Shape

DEFAULT = NETS["residual"]


def residual(given: Shape, out: Shape, *, width: int = DEFAULT.width, depth: int = DEFAULT.depth) -> nn.Module:
    """Flatten, an affine map to `width`, `depth` residual blocks, an affine map out.

    Each block adds to its input, so gradients reach the first layer whatever the depth (He et al. 2016, https://arxiv.org/abs/1603.05027).
    """
    return nn.Sequential(
        nn.Flatten(1),
        nn.Linear(prod(given), width),
        *(DenseBlock(width) for _ in range(depth)),
        nn.LayerNorm(width),  # blocks only add to it: else its size would grow with the depth
        nn.SiLU(),
        nn.Linear(width, prod(out)),
        nn.Unflatten(1, out),
    )


class DenseBlock(nn.Module):
    """h + W₂ φ(W₁ φ(norm h)): pre-activation, both maps width × width, φ = SiLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, h: Tensor) -> Tensor:
        """(B, width) -> (B, width)."""
        change: Tensor = self.change(h)
        return h + change
