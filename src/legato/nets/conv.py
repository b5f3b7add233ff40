"""Convolutions for images of any height and width from 8 to 256 and any number of channels.

Covered: an image to a vector (an encoder) and a vector to an image (a decoder), mirror images of each other.
Not covered: vectors to vectors, where a neighbourhood has no meaning; image to image.
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd, prod

from torch import Tensor, nn
from torch.nn.functional import interpolate

from legato.defaults import NETS
from legato.errors import Mistake
from legato.nets.shapes import is_image, spatial
from legato.types import Shape

DEFAULT = NETS["conv"]

SMALLEST, LARGEST = 8, 256
WIDEST = 4  # channels stop growing at WIDEST × width: memory and time would otherwise go to 4×4 maps


def conv(given: Shape, out: Shape, *, width: int = DEFAULT.width, depth: int = DEFAULT.depth) -> nn.Module:
    """Halve the image until its shorter side is at most 4, `depth` residual blocks at each size; or the same upside down.

    There are none at full size, where they would cost as much as all the others together and see the least.

    `width` is the number of channels at full size; it doubles with each halving up to 4 × `width`.
    Raises `Mistake` where neither side is an image, or a side is not in 8 … 256.
    """
    sizes = halvings(spatial(image_of("conv", given, out)))
    channels = [min(width * 2**level, width * WIDEST) for level in range(len(sizes))]
    parts = _down(given, out, sizes, channels, depth) if is_image(given) else _up(given, out, sizes, channels, depth)
    return nn.Sequential(*parts)


def image_of(name: str, given: Shape, out: Shape) -> Shape:
    """The side that is an image. Raises `Mistake` where there is none, or one that the net called `name` does not take."""
    image = next((shape for shape in (given, out) if is_image(shape)), None)
    if image is None:
        raise Mistake(
            f"`{name}` needs images, (channels, height, width); got vectors {given} -> {out}: use `mlp` or `residual`"
        )
    if not all(SMALLEST <= side <= LARGEST for side in spatial(image)):
        raise Mistake(f"`{name}` takes heights and widths from 8 to 256, got {spatial(image)}: prepare the images with --size")
    return image


def halvings(size: tuple[int, int]) -> list[tuple[int, int]]:
    """(28, 28) -> [(28, 28), (14, 14), (7, 7), (4, 4)]: halves rounded up, as a stride of 2 does, down to a side of 4."""
    sizes = [size]
    while min(sizes[-1]) > 4:
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


def _down(given: Shape, out: Shape, sizes: list[tuple[int, int]], channels: list[int], depth: int) -> list[nn.Module]:
    parts: list[nn.Module] = [nn.Conv2d(given[-3], channels[0], 3, padding=1)]
    for here, below in pairwise(channels):
        parts += [nn.SiLU(), nn.Conv2d(here, below, 3, stride=2, padding=1), *blocks(below, depth)]
    last = channels[-1]
    return [
        *parts,
        norm(last),
        nn.SiLU(),
        nn.Flatten(1),
        nn.Linear(last * prod(sizes[-1]), prod(out)),
        nn.Unflatten(1, out),
    ]


def _up(given: Shape, out: Shape, sizes: list[tuple[int, int]], channels: list[int], depth: int) -> list[nn.Module]:
    last = channels[-1]
    parts: list[nn.Module] = [
        nn.Flatten(1),
        nn.Linear(prod(given), last * prod(sizes[-1])),
        nn.Unflatten(1, (last, *sizes[-1])),
        *blocks(last, depth),
    ]
    for (here, above), size in zip(pairwise(reversed(channels)), reversed(sizes[:-1]), strict=True):
        parts += [Enlarge(here, above, size), *(blocks(above, depth) if size != sizes[0] else ())]
    planes = prod(out[:-2])
    return [*parts, norm(channels[0]), nn.SiLU(), nn.Conv2d(channels[0], planes, 3, padding=1), Planes(out)]


def blocks(channels: int, depth: int) -> list[nn.Module]:
    """`depth` of them."""
    return [ConvBlock(channels) for _ in range(depth)]


def norm(channels: int) -> nn.Module:
    """Group normalisation, in eight groups where the channels allow it."""
    return nn.GroupNorm(gcd(channels, 8), channels)


class ConvBlock(nn.Module):
    """h + conv φ(norm conv φ(norm h)): pre-activation, 3 × 3, φ = SiLU; group normalisation never mixes examples."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        change: Tensor = self.change(h)
        return h + change


class Enlarge(nn.Module):
    """Nearest neighbours to a given size, then 3 × 3: any height and width, and no checkerboard of a strided transpose."""

    def __init__(self, channels: int, out: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.mix = nn.Conv2d(channels, out, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, out, *size)."""
        mixed: Tensor = self.mix(interpolate(h, size=self.size, mode="nearest"))
        return mixed


class Planes(nn.Module):
    """(B, k·C, H, W) -> (B, *out): gives each of a family's k numbers a plane of its own."""

    def __init__(self, out: Shape) -> None:
        super().__init__()
        self.out = out

    def forward(self, h: Tensor) -> Tensor:
        """A view, never a copy."""
        return h.reshape(-1, *self.out)
