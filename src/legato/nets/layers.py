"""Layers as torch's, where torch's own on a CPU are slow or lose digits.

Convolutions: in bfloat16 oneDNN takes as long for a transposed convolution's biases as for all its weights, and torch's own sum
over three axes first copies what it sums to single precision. Covered: the step of training on a CPU, and derivatives of its
derivatives. Everywhere else (evaluation, forward mode, other devices, what is compiled or exported) they are torch's.

Group normalisation: with channels last torch takes a variance as E x² − (E x)², in single precision. Of numbers of mean 100 and
deviation 1 the result is wrong by 3 %, of mean 1,000 it is noise alone. Here it is of numbers about their groups' means.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

FAR = 100.0  # a mean² this many times the variance: up to it torch's kernel is right to 10⁻³, of which a step takes no notice

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


class GroupNorm(nn.GroupNorm):
    """torch's own, right for channels last: (x − m)/√(s² + ε) is the same of x and of x less its groups' means.

    To centre costs two passes over the numbers: in a step of training it is done where a group's m² is `FAR` times its s².
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if input.ndim != 4 or input.is_contiguous() or input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        input = input.contiguous(memory_format=torch.channels_last)  # which a part of an image is not
        if _steps(self, input):
            sizes = (*input.shape[:2], input.shape[2] * input.shape[3])
            known = input, self.weight, self.bias, *sizes, self.num_groups, self.eps
            found, mean, rate = torch.ops.aten.native_group_norm(*known)
            if float((mean * rate).detach().square().max()) < FAR:
                return found  # type: ignore[no-any-return]
        each = input.mean((2, 3)).view(len(input), self.num_groups, -1)
        return super().forward(input - each.mean(-1, keepdim=True).expand_as(each).flatten(1)[..., None, None])


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
