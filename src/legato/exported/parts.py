"""The two halves of a model as networks of tensors: what an ONNX file holds.

    encoder: x (B, *shape), prepared -> μ, σ of q(z|x), (B, latent_dim) each; of a point mass μ alone
    decoder: z (B, latent_dim)       -> the mean of p(x|z), (B, *shape), in prepared units

Covered: every latent shape (codes are flat outside) and every family. Not covered: draws, densities.
"""

from __future__ import annotations

from copy import deepcopy
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from legato.distributions import ContinuousBernoulli
from legato.distributions.continuous_bernoulli import SMALL
from legato.latent_space import LatentSpace
from legato.model import LatentVariableModel

NOT_PORTABLE = "codes of this model are led by a gradient, for which ONNX has no operator: `legato encode` writes them"


def sigma_missing(model: LatentVariableModel) -> str | None:
    """The reason why an encoder's file has no σ; None where it has one."""
    if not model.latent.has_width:
        return "a code of this model is no cloud: it has no σ"
    return None if model.latent.portable_width else "no operators of ONNX Runtime's make the σ of this posterior"


class Encoder(nn.Module):
    """x -> μ, σ; or μ alone, where σ is 0 by definition or no operators of ONNX Runtime's make it."""

    given: str = "x"

    def __init__(self, model: LatentVariableModel) -> None:
        super().__init__()
        self.model = model
        self.found: tuple[str, ...] = ("mu", "sigma") if sigma_missing(model) is None else ("mu",)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, *shape) -> (B, latent_dim) each."""
        shown = self.model.summary(x)
        return tuple(part.flatten(1) for part in (shown.mu, shown.sigma)[: len(self.found)] if part is not None)


class Decoder(nn.Module):
    """z -> the mean of p(x|z)."""

    given: str = "z"
    found: tuple[str, ...] = ("x_mean",)

    def __init__(self, model: LatentVariableModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        """(B, latent_dim) -> (B, *shape)."""
        return (mean(self.model.likelihood(z.reshape(-1, *self.model.latent.event))),)


Part = Encoder | Decoder


def parts(space: LatentSpace) -> tuple[Encoder, Decoder]:
    """Both halves of a copy on the CPU, ready to be read off: what is written must not depend on where the model lies."""
    # A copy: moving the model itself would change the device under whoever uses it.
    model = deepcopy(space.model).cpu()
    return Encoder(model).eval(), Decoder(model).eval()


# By type and not by a method: distributions are torch's, and only this file needs their means in ONNX's operators.
@singledispatch
def mean(q: Distribution) -> Tensor:
    """E[x], by operators that ONNX has."""
    return q.mean


@mean.register(Independent)
def _(q: Any) -> Tensor:
    return mean(q.base_dist)


@mean.register(ContinuousBernoulli)
def _(q: ContinuousBernoulli) -> Tensor:
    """½ + ½ coth(t/2) − 1/t = 1/(1 − e⁻ᵗ) − 1/t: the same number.

    ONNX has neither `copysign` nor `expm1`, and e⁻ᵗ − 1 would lose two digits near 0, where `tanh` loses none.
    """
    small = q.logits.abs() < SMALL
    # Both branches are computed: where t is small it is replaced, or 1/t would be infinite and its NaN spread.
    s, t = torch.where(small, q.logits, 0.0), torch.where(small, 1.0, q.logits)
    return torch.where(small, 0.5 + s / 12 - s**3 / 720 + s**5 / 30240, 0.5 + 0.5 / torch.tanh(t / 2) - 1 / t)
