"""Convolutions as torch's, whose training step on a CPU takes the biases' gradients apart from the products.

In bfloat16 oneDNN takes as long for a transposed convolution's biases as for all its weights, and torch's own sum over three
axes first copies what it sums to single precision. Covered: the step of training on a CPU, and derivatives of its derivatives.
Everywhere else (evaluation, forward mode, other devices, what is compiled or exported) these are torch's layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

How = tuple[Any, ...]  # stride, padding, dilation, whether transposed, output padding, groups


class Conv2d(nn.Conv2d):
    """torch's own, with a quicker step."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, h, w)."""
        return _learnt(self, input) if _steps(self, input) else super().forward(input)


class ConvTranspose2d(nn.ConvTranspose2d):
    """torch's own, with a quicker step."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, h, w) -> (B, out, H, W)."""
        return _learnt(self, input) if _steps(self, input) and output_size is None else super().forward(input, output_size)


def _steps(layer: nn.Module, x: Tensor) -> bool:
    """True within a step of training on a CPU that nobody compiles."""
    return layer.training and torch.is_grad_enabled() and x.device.type == "cpu" and not torch.compiler.is_compiling()


def _learnt(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> Tensor:
    low = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    how = layer.stride, layer.padding, layer.dilation, layer.transposed, layer.output_padding, layer.groups
    # cast here, not within: what is saved is then what was given, and a second derivative finds its way through it
    known = x.to(low), layer.weight.to(low), layer.bias, how
    found: Tensor = _Convolution.apply(*known)  # type: ignore[no-untyped-call]  # torch's
    return found


class _Convolution(torch.autograd.Function):
    """x, weights, biases -> the convolution in the precision of x."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor, how: How) -> Tensor:
        context.save_for_backward(x, weight)
        context.how = how
        found: Tensor = torch.ops.aten.convolution(x, weight, bias.to(x.dtype), *how)
        return found

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight = context.saved_tensors
        asked = context.needs_input_grad[0], True, False
        by_x, by_weight, _ = torch.ops.aten.convolution_backward(gradient, x, weight, None, *context.how, asked)
        # over places, then over examples: over all three axes at once torch first copies them
        return by_x, by_weight, gradient.sum((2, 3)).sum(0), None
