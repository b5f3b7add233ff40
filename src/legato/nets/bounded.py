"""Layers whose largest singular value is bounded, by how their weights are made.

Covered: affine maps and convolutions of any net, by one step of power iteration in each training step. Not covered: a
convolution's exact norm as a map of images, of which its matrix of weights is a bound up to the kernel's size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

from legato.errors import Mistake


def bounded(net: nn.Module, most: float) -> nn.Module:
    """The net itself, each of whose layers' weights W are now W · min(1, most/σ(W)), σ the largest singular value.

    Miyato et al. 2018, https://arxiv.org/abs/1802.05957, which divides by σ whether it is large or small.
    """
    if not most > 0:
        raise Mistake(f"a bound of singular values is a positive number, got {most}")
    for layer in [*net.modules()]:
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            parametrize.register_parametrization(layer, "weight", Bounded(layer.weight, most))
    return net


class Bounded(nn.Module):
    """W -> W · min(1, most/σ(W)): W (out, …) as a matrix (out, rest), σ = ‖Wv‖ of the direction v that it stretches most.

    `direction`, v, follows the weights by a step of power iteration, v ← WᵀWv normalised, in each step of training.
    """

    learnt = ("direction",)
    direction: Tensor

    def __init__(self, weight: Tensor, most: float) -> None:
        super().__init__()
        self.most = most
        self.register_buffer("direction", torch.ones(weight[0].numel()))

    def forward(self, weight: Tensor) -> Tensor:
        """Of the weight's shape."""
        matrix = weight.flatten(1)
        if self.training and torch.is_grad_enabled():
            with torch.no_grad():
                # a whole step, not a share: the start forgets itself by powers of σ₂/σ₁
                self.direction.copy_(normalize(matrix.T @ (matrix @ self.direction), dim=0))
        # again of length 1: the average of directions, which evaluation reads, is shorter
        norm = (matrix @ normalize(self.direction.clone(), dim=0)).norm()
        found: Tensor = weight * (self.most / norm.clamp(min=self.most))
        return found
