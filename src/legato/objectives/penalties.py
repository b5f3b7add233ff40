"""Penalties on the decoder, in the place of noise: what keeps it smooth where no noise does.

Covered: the square of its weights and of its slope. Not covered: weights that are bounded as they are made (nets/bounded.py).
"""

from __future__ import annotations

import torch
from torch import Tensor

from legato.objectives.term import Term
from legato.ranks import drawn
from legato.trace import Trace


class DecoderWeights(Term):
    """‖θ‖² of all weights of the decoder, (B,): one number for all. Ghosh et al. 2020 (RAE-L2),
    https://arxiv.org/abs/1903.12436, section 4.
    """

    name = "decoder's weights"
    aggregate = True

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return sum((w.square().sum() for w in trace.parts.decoder.parameters()), start=torch.zeros(())).expand(len(trace.x))


class DecoderSlope(Term):
    """‖∂g(z)/∂z‖²_F of the decoded mean g at each code, (B,), an unbiased estimate from one random direction per draw.

    E ‖vᵀ ∂g/∂z‖² = ‖∂g/∂z‖²_F for v of mean 0 and covariance I. The gradient of the sum of all outputs, which libraries take
    instead, is vᵀ∂g/∂z of v = (1, …, 1): outputs that rise and fall alike cancel in it. It moves the decoder alone. Ghosh et
    al. 2020 (RAE-GP), https://arxiv.org/abs/1903.12436, eq. 10.
    """

    name = "decoder's slope"

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        with torch.enable_grad():  # also where nothing is learnt: a slope is a gradient
            code = trace.code.detach().requires_grad_()
            mean = trace.parts.decode(code).mean
            signs = drawn(lambda shape: _signs(shape, mean), mean.shape, 1)
            (slope,) = torch.autograd.grad((mean * signs).sum(), code, create_graph=True)
        return slope.square().flatten(2).sum(2).mean(0)


def _signs(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """±1: of all v with covariance I those whose estimate has the least noise."""
    return torch.empty(shape, dtype=like.dtype, device=like.device).bernoulli_(0.5) * 2 - 1
