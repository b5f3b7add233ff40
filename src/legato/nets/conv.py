"""Convolutions for images of any height and width from 8 to 256 and any number of channels.

Covered: an image to a vector or to a smaller image (an encoder) and the reverse (a decoder), mirror images of each other.
Not covered: vectors to vectors, where a neighbourhood has no meaning.
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd, prod

from torch import Tensor, nn
from torch.nn.functional import interpolate

from legato.defaults import NETS
from legato.errors import Mistake
from legato.nets.layers import Conv2d, GroupNorm
from legato.nets.shapes import is_image, spatial
from legato.types import Shape

DEFAULT = NETS["conv"]

Size = tuple[int, int]  # height and width, as in shapes; Pillow's order is the other one

SMALLEST, LARGEST = 8, 256
WIDEST = 4  # channels stop growing at WIDEST × width: memory and time would otherwise go to 4×4 maps


def conv(given: Shape, out: Shape, *, width: int = DEFAULT.width, depth: int = DEFAULT.depth) -> nn.Module:
    """Halve the image until its shorter side is at most 4, `depth` residual blocks at each size; or the same upside down.

    There are none at full size, where they would cost as much as all the others together and see the least.

    `width` is the number of channels at full size; it doubles with each halving up to 4 × `width`. Where both sides are images,
    the halving ends at the smaller one, and no number is told from its place: each depends on its neighbourhood alone.
    Raises `Mistake` where neither side is an image, a side is not in 8 … 256, or halving does not lead to the smaller image.
    """
    image = image_of("conv", given, out)
    every = halvings(spatial(image), least_side(given, out))
    # All sizes are offered: unlike `strided`, this net has layers at full size.
    sizes = ending("conv", every, every, given, out)
    channels = [min(width * 2**level, width * WIDEST) for level in range(len(sizes))]
    parts = _down(given, out, sizes, channels, depth) if image is given else _up(given, out, sizes, channels, depth)
    return nn.Sequential(*parts)


def image_of(name: str, given: Shape, out: Shape) -> Shape:
    """The side that is an image, of two the larger; of equals, `given`.

    Raises `Mistake` where there is none, or one that the net called `name` does not take.
    """
    image = max(filter(is_image, (given, out)), key=lambda shape: prod(spatial(shape)), default=None)
    if image is None:
        raise Mistake(
            f"`{name}` needs images, (channels, height, width); got vectors {given} -> {out}: use `mlp` or `residual`"
        )
    if not all(SMALLEST <= side <= LARGEST for side in spatial(image)):
        raise Mistake(f"`{name}` takes heights and widths from 8 to 256, got {spatial(image)}: prepare the images with --size")
    return image


def least_side(given: Shape, out: Shape) -> int:
    """The side at which halving ends: 4, or that of a smaller code of places."""
    return min(4, *spatial(given), *spatial(out)) if is_image(given) and is_image(out) else 4


def halvings(size: Size, least: int = 4) -> list[Size]:
    """(28, 28) -> [(28, 28), (14, 14), (7, 7), (4, 4)]: halves rounded up, as a stride of 2 does, down to a side of `least`."""
    sizes = [size]
    while min(sizes[-1]) > least:
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


def ending(name: str, every: list[Size], offered: list[Size], given: Shape, out: Shape) -> list[Size]:
    """`every` size down to that of the smaller of two images; `every` where one side is a vector.

    Raises `Mistake` where that size is none of those `offered`.
    """
    if not (is_image(given) and is_image(out)):
        return every
    goal = min(spatial(given), spatial(out), key=prod)
    if goal not in offered:
        some = ", ".join(f"{height},{width}" for height, width in offered)
        raise Mistake(
            f"`{name}` brings {every[0][0]},{every[0][1]} to {some}, not to {goal[0]},{goal[1]}: end `latent_shape` in one of "
            "these, or use `mlp` or `residual`"
        )
    return every[: every.index(goal) + 1]


def _down(given: Shape, out: Shape, sizes: list[Size], channels: list[int], depth: int) -> list[nn.Module]:
    parts: list[nn.Module] = [Conv2d(given[-3], channels[0], 3, padding=1)]
    if len(sizes) == 1:  # a code as large as the image: else no block would stand anywhere
        parts += blocks(channels[0], depth)
    for here, below in pairwise(channels):
        parts += [nn.SiLU(), Conv2d(here, below, 3, stride=2, padding=1), *blocks(below, depth)]
    return [*parts, norm(channels[-1]), nn.SiLU(), *to_code(channels[-1], sizes[-1], out)]


def to_code(channels: int, size: Size, out: Shape) -> list[nn.Module]:
    """(B, channels, *size) -> (B, *out): an affine map of all numbers, or of each place's neighbourhood to an image's."""
    if is_image(out):
        return [Conv2d(channels, prod(out[:-2]), 3, padding=1), Planes(out)]
    return [nn.Flatten(1), nn.Linear(channels * prod(size), prod(out)), nn.Unflatten(1, out)]


def from_code(given: Shape, channels: int, size: Size) -> list[nn.Module]:
    """(B, *given) -> (B, channels, *size), the reverse."""
    if is_image(given):
        return [Conv2d(given[-3], channels, 3, padding=1)]
    return [nn.Flatten(1), nn.Linear(prod(given), channels * prod(size)), nn.Unflatten(1, (channels, *size))]


def _up(given: Shape, out: Shape, sizes: list[Size], channels: list[int], depth: int) -> list[nn.Module]:
    parts = [*from_code(given, channels[-1], sizes[-1]), *blocks(channels[-1], depth)]
    for (here, above), size in zip(pairwise(reversed(channels)), reversed(sizes[:-1]), strict=True):
        parts += [Enlarge(here, above, size), *(blocks(above, depth) if size != sizes[0] else ())]
    planes = prod(out[:-2])
    return [*parts, norm(channels[0]), nn.SiLU(), Conv2d(channels[0], planes, 3, padding=1), Planes(out)]


def blocks(channels: int, depth: int) -> list[nn.Module]:
    """`depth` of them."""
    return [ConvBlock(channels) for _ in range(depth)]


def norm(channels: int) -> nn.Module:
    """Group normalisation, in eight groups where the channels allow it."""
    # Groups, not batches: batch normalisation would mix examples, and every figure here is one example's.
    return GroupNorm(gcd(channels, 8), channels)  # gcd: groups are equal, so that 12 channels take 4


class ConvBlock(nn.Module):
    """h + conv φ(norm conv φ(norm h)): pre-activation, 3 × 3, φ = SiLU; group normalisation never mixes examples."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            norm(channels),
            nn.SiLU(),
            Conv2d(channels, channels, 3, padding=1),
            norm(channels),
            nn.SiLU(),
            Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        change: Tensor = self.change(h)
        return h + change


class Enlarge(nn.Module):
    """Nearest neighbours to a given size, then 3 × 3: any height and width, and no checkerboard of a strided transpose.

    What is no half of that size, rounded up, becomes twice as large.
    """

    def __init__(self, channels: int, out: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.mix = Conv2d(channels, out, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, out, *size)."""
        height, width = h.shape[2:]
        usual = (height, width) == (-(-self.size[0] // 2), -(-self.size[1] // 2))
        mixed: Tensor = self.mix(interpolate(h, size=self.size if usual else (2 * height, 2 * width), mode="nearest"))
        return mixed


class Planes(nn.Module):
    """(B, k·C, H, W) -> (B, *out): gives each of a family's k numbers a plane of its own, whatever height and width are."""

    def __init__(self, out: Shape) -> None:
        super().__init__()
        self.out = out

    def forward(self, h: Tensor) -> Tensor:
        """A view, never a copy."""
        return h.reshape(-1, *self.out[:-2], *h.shape[2:])
