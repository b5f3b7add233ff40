"""The plain multi-layer perceptron: the network of the first VAE papers."""

from __future__ import annotations

from math import prod

from torch import nn

from legato.nets.shapes import Shape


def mlp(given: Shape, out: Shape, *, width: int = 512, depth: int = 2) -> nn.Module:
    """`depth` hidden layers of `width` rectified units on the flattened input; depth 0 is one affine map.

    The final affine map has no non-linearity: its reader (a family) decides what the numbers mean.
    """
    layers: list[nn.Module] = [nn.Flatten(1)]
    size = prod(given)
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.ReLU()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, prod(out)), nn.Unflatten(1, out))
