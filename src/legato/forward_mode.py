"""Directional derivatives in forward mode: J v at the cost of two passes, whatever the size of the output.

Where a layer refuses forward mode (torch's group norm of what a convolution gives), by reverse mode twice, at four passes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


def jvp(f: Callable[[Tensor], Tensor], z: Tensor, direction: Tensor) -> Tensor:
    """J(z) v for each row of z and v (m, d), of f's shape (m, *out)."""
    return changed(f, z, direction)[1]


def changed(f: Callable[[Tensor], Tensor], z: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """f(z) and J(z) v."""
    prepare()
    try:
        found: Any = torch.func.jvp(f, (z,), (direction,))
    except RuntimeError as error:
        if "view size" not in str(error):  # any other failure is the function's own
            raise
        return by_reverse(f, z, direction)
    return found[0], found[1]


def by_reverse(f: Callable[[Tensor], Tensor], z: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """The same by reverse mode alone: u ↦ Jᵀu is linear, and the transpose of its own Jacobian is J."""
    of_z = torch.func.vjp(f, z)
    of_u = torch.func.vjp(lambda u: of_z[1](u)[0], torch.zeros_like(of_z[0]))
    return of_z[0], of_u[1](direction)[0]


@cache
def prepare() -> None:
    """The first dual number makes torch compile fall-backs, by a deprecated function of its own of which it then warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        # Made once, here, where its warning is silenced, and not at the first measure of a user.
        with forward_ad.dual_level():
            forward_ad.make_dual(torch.zeros(1), torch.zeros(1))  # type: ignore[no-untyped-call]
