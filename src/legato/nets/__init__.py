"""Networks: (given, out) -> Module, for vectors and images. None knows a family, a posterior or a likelihood.

`given` and `out` are shapes without the batch axis: (D,) is a vector, (C, H, W) an image, (k, C, H, W) k numbers for each
value of an image. A net maps (B, *given) to (B, *out); nothing in it mixes examples (no batch normalisation), so every
per-example term stays the same when a batch is repeated or cut.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from torch import nn

from legato import defaults
from legato.errors import Mistake, unknown
from legato.nets.conv import conv, halvings
from legato.nets.diffusers import diffusers
from legato.nets.mlp import mlp
from legato.nets.residual import residual
from legato.nets.shapes import is_image, spatial
from legato.nets.strided import strided
from legato.types import Shape

__all__ = [
    "NETS", "Shape", "build", "conv", "diffusers", "halvings", "is_image", "mlp", "residual", "spatial", "strided", "suited",
]  # fmt: skip

NETS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp, "residual": residual, "conv": conv, "strided": strided, "diffusers": diffusers,
}  # fmt: skip


def suited(data: Shape, code: Shape | None = None) -> str:
    """The net that fits data of this shape: strided convolutions for images above 1,024 values, else dense residual blocks.

    Also for images whose code is an image: what lies beside each other in the one lies so in the other.
    """
    near = prod(data) > defaults.DENSE_LIMIT or is_image(code or ())
    return "strided" if is_image(data) and near else "residual"


def build(name: str, given: Shape, out: Shape, *, width: int | None = None, depth: int | None = None) -> nn.Module:
    """The net called `name`, with its own defaults where `width` or `depth` is None. Raises `Mistake` for an unknown name."""
    if name not in NETS:
        raise unknown("net", name, NETS)
    for word, value, least in (("width", width, 1), ("depth", depth, 0)):
        if value is not None and value < least:
            raise Mistake(f"`{word}` must be {least} or more, got {value}")
    chosen = {word: value for word, value in (("width", width), ("depth", depth)) if value is not None}
    return NETS[name](given, out, **chosen)
