"""Strided convolutions: each one halves or doubles the image, so that none runs at full size. The quickest net for images.

Covered: an image to a vector or to a smaller image (an encoder) and the reverse (a decoder), mirror images of each other.
Not covered: vectors to vectors, where a neighbourhood has no meaning.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from legato.defaults import NETS
from legato.nets.conv import Planes, Size, blocks, ending, from_code, halvings, image_of, least_side, norm, to_code
from legato.nets.layers import Conv2d, ConvTranspose2d
from legato.nets.shapes import is_image, spatial
from legato.types import Shape

DEFAULT = NETS["strided"]

LEAST = 3  # halvings that are always made; `_shortened` tells what a fourth costs
# channels stop growing at WIDEST × width: a fifth halving would else hold three quarters of the convolutions' weights
WIDEST = 8


def strided(given: Shape, out: Shape, *, width: int = DEFAULT.width, depth: int = DEFAULT.depth) -> nn.Module:
    """Halve the image by 4 × 4 convolutions until its shorter side is at most 4, or 8 after three halvings; or upside down.

    `width` is the number of channels at half size; it doubles with each halving up to 8 × `width`. `depth` residual blocks
    follow each halving. A step takes a fifth of one of `conv`.
    Radford, Metz & Chintala 2015, https://arxiv.org/abs/1511.06434; here with group normalisation and SiLU.
    Where both sides are images, the halving ends at the smaller one.
    Raises `Mistake` where neither side is an image, a side is not in 8 … 256, or halving does not lead to the smaller image.
    """
    image = image_of("strided", given, out)
    every = halvings(spatial(image), least_side(given, out))
    # From the first halving on: no layer of this net runs at full size, so that none could read a code of that size.
    sizes = ending("strided", every, every[1:], given, out) if is_image(given) and is_image(out) else _shortened(every)
    channels = [min(width * 2**level, width * WIDEST) for level in range(len(sizes) - 1)]
    parts = _down(given, out, sizes, channels, depth) if image is given else _up(given, out, sizes, channels, depth)
    return nn.Sequential(*parts)


def _shortened(sizes: list[Size]) -> list[Size]:
    # The last of four halvings would hold most of the weights and a fifth of the time, at 4 × 4 places.
    return sizes[:-1] if len(sizes) > LEAST + 1 and min(sizes[-2]) <= 8 else sizes


def _down(given: Shape, out: Shape, sizes: list[Size], channels: list[int], depth: int) -> list[nn.Module]:
    parts: list[nn.Module] = []
    # not strict: the last size is reached, and nothing halves it
    for size, (here, below) in zip(sizes, pairwise([given[-3], *channels]), strict=False):
        parts += [*_even(size), Conv2d(here, below, 4, stride=2, padding=1), *blocks(below, depth), norm(below), nn.SiLU()]
    return [*parts, *to_code(channels[-1], sizes[-1], out)]


def _up(given: Shape, out: Shape, sizes: list[Size], channels: list[int], depth: int) -> list[nn.Module]:
    parts = from_code(given, channels[-1], sizes[-1])
    for (here, above), size in zip(pairwise([*reversed(channels), prod(out[:-2])]), reversed(sizes[:-1]), strict=True):
        parts += [*blocks(here, depth), norm(here), nn.SiLU(), Double(here, above, size)]
    return [*parts, Planes(out)]


def _even(size: Size) -> list[nn.Module]:
    """A row or a column of zeros where a side is odd: half of it is then rounded up."""
    height, width = size
    return [nn.ZeroPad2d((0, width % 2, 0, height % 2))] if height % 2 or width % 2 else []


class Double(nn.Module):
    """A transposed 4 × 4 convolution, cut to a given size. A kernel of twice the stride covers every pixel alike.

    What is no half of that size, rounded up, becomes twice as large.
    """

    def __init__(self, channels: int, out: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.spread = ConvTranspose2d(channels, out, 4, stride=2, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, out, *size)."""
        spread: Tensor = self.spread(h)
        usual = tuple(h.shape[2:]) == (-(-self.size[0] // 2), -(-self.size[1] // 2))
        # A cut that keeps everything would still cost its derivative two passes.
        return spread[..., : self.size[0], : self.size[1]] if usual and spread.shape[2:] != self.size else spread
