"""The encoder and decoder of diffusers' `AutoencoderKL`, layer by layer and name by name, for codes at places of an image.

What the encoder's net holds is named as there, `encoder.…` and `quant_conv`, and so is the decoder's, `post_quant_conv` and
`decoder.…`: a state goes from one to the other as it is (diffusers_folder.py, which knows what a family makes of the numbers).
Covered: any side that halves evenly to the code's, any number of channels. Not covered: vectors on either side.

https://huggingface.co/docs/diffusers/api/models/autoencoderkl; Rombach et al. 2022, https://arxiv.org/abs/2112.10752.
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd, prod

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, silu

from legato.defaults import NETS
from legato.errors import Mistake
from legato.nets.conv import Planes
from legato.nets.layers import Conv2d, GroupNorm
from legato.nets.shapes import is_image, spatial
from legato.types import Shape

DEFAULT = NETS["diffusers"]
WIDEST = 4  # channels stop growing at WIDEST × width: 128, 256, 512, 512 of width 128, as Stable Diffusion has them
EPSILON = 1e-6  # of group normalisation, in diffusers


def diffusers(given: Shape, out: Shape, *, width: int = DEFAULT.width, depth: int = DEFAULT.depth) -> nn.Module:
    """The encoder of an image to a smaller one, or the decoder of the reverse.

    `width`: channels at full size, which double with each halving up to 4 × `width`; `depth`: residual blocks at each size of
    the encoder, one more of the decoder (`layers_per_block`). Raises `Mistake` where a side is no image, where halving the
    larger does not lead to the smaller, and for a `depth` of 0.
    """
    if not (is_image(given) and is_image(out)):
        raise Mistake(
            f"`diffusers` needs images, (channels, height, width), on both sides; got {given} -> {out}: use a tokenizer "
            "(tokenizer_kl), or give --latent-shape"
        )
    if depth < 1:
        raise Mistake(f"`depth` of `diffusers` is 1 or more, got {depth}: a block of it changes the number of channels")
    encodes = prod(spatial(given)) > prod(spatial(out))
    halvings = _halvings(*(spatial(one) for one in ((given, out) if encodes else (out, given))))
    channels = [width * min(2**level, WIDEST) for level in range(halvings + 1)]
    return AsEncoder(given, out, channels, depth) if encodes else AsDecoder(given, out, channels, depth)


def groups_of(channels: list[int]) -> int:
    """The groups of every normalisation, which diffusers has one number for: 32, or what divides the channels."""
    return gcd(32, *channels)


def _halvings(large: tuple[int, int], small: tuple[int, int]) -> int:
    """How often `large` is halved to become `small`, once at least. Raises `Mistake` where it never does."""
    for count in range(1, max(large).bit_length()):
        if tuple(side << count for side in small) == large:
            return count
    raise Mistake(f"`diffusers` halves sides evenly, and {large[0]},{large[1]} does not come to {small[0]},{small[1]} so")


class AsEncoder(nn.Module):
    """(B, C, H, W), pixels in 0 … 1, -> (B, *out): means first, then what a Gaussian has beside them."""

    def __init__(self, given: Shape, out: Shape, channels: list[int], depth: int) -> None:
        super().__init__()
        found = prod(out[:-2])
        self.encoder = Encoder(given[-3], found, channels, depth)
        self.quant_conv = Conv2d(found, found, 1)
        self.planes = Planes(out)

    def forward(self, x: Tensor) -> Tensor:
        """A pass."""
        # here, and not folded into `conv_in`, whose zeros around an image are then grey as they are in diffusers
        moments: Tensor = self.planes(self.quant_conv(self.encoder(2 * x - 1)))
        return moments


class AsDecoder(nn.Module):
    """(B, C, h, w) -> (B, *out)."""

    def __init__(self, given: Shape, out: Shape, channels: list[int], depth: int) -> None:
        super().__init__()
        self.post_quant_conv = Conv2d(given[-3], given[-3], 1)
        self.decoder = Decoder(given[-3], prod(out[:-2]), channels, depth)
        self.planes = Planes(out)

    def forward(self, z: Tensor) -> Tensor:
        """A pass."""
        found: Tensor = self.planes(self.decoder(self.post_quant_conv(z)))
        return found


class Encoder(nn.Module):
    """diffusers' `Encoder`."""

    def __init__(self, given: int, found: int, channels: list[int], depth: int) -> None:
        super().__init__()
        groups, last = groups_of(channels), channels[-1]
        self.conv_in = Conv2d(given, channels[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            Down(above, here, depth, groups, halves=level < len(channels) - 1)
            for level, (above, here) in enumerate(pairwise([channels[0], *channels]))
        )
        self.mid_block = Middle(last, groups)
        self.conv_norm_out = _norm(last, groups)
        self.conv_out = Conv2d(last, found, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, found, h, w)."""
        h = self.conv_in(h)
        for block in self.down_blocks:
            h = block(h)
        found: Tensor = self.conv_out(silu(self.conv_norm_out(self.mid_block(h))))
        return found


class Decoder(nn.Module):
    """diffusers' `Decoder`."""

    def __init__(self, given: int, found: int, channels: list[int], depth: int) -> None:
        super().__init__()
        groups, back = groups_of(channels), channels[::-1]
        self.conv_in = Conv2d(given, back[0], 3, padding=1)
        self.up_blocks = nn.ModuleList(
            Up(here, above, depth + 1, groups, doubles=level < len(back) - 1)
            for level, (here, above) in enumerate(pairwise([back[0], *back]))
        )
        self.mid_block = Middle(back[0], groups)
        self.conv_norm_out = _norm(back[-1], groups)
        self.conv_out = Conv2d(back[-1], found, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, found, H, W)."""
        h = self.mid_block(self.conv_in(h))
        for block in self.up_blocks:
            h = block(h)
        found: Tensor = self.conv_out(silu(self.conv_norm_out(h)))
        return found


class Down(nn.Module):
    """diffusers' `DownEncoderBlock2D`: residual blocks, and the image halved."""

    def __init__(self, given: int, found: int, depth: int, groups: int, halves: bool) -> None:
        super().__init__()
        self.resnets = _resnets(given, found, depth, groups)
        self.downsamplers = nn.ModuleList([Halve(found)] if halves else [])

    def forward(self, h: Tensor) -> Tensor:
        """(B, given, H, W) -> (B, found, H/2, W/2), or of the same size where it ends."""
        for part in (*self.resnets, *self.downsamplers):
            h = part(h)
        return h


class Up(nn.Module):
    """diffusers' `UpDecoderBlock2D`: residual blocks, and the image doubled."""

    def __init__(self, given: int, found: int, depth: int, groups: int, doubles: bool) -> None:
        super().__init__()
        self.resnets = _resnets(given, found, depth, groups)
        self.upsamplers = nn.ModuleList([Twice(found)] if doubles else [])

    def forward(self, h: Tensor) -> Tensor:
        """(B, given, h, w) -> (B, found, 2h, 2w), or of the same size where it ends."""
        for part in (*self.resnets, *self.upsamplers):
            h = part(h)
        return h


class Halve(nn.Module):
    """A 3 × 3 convolution of stride 2, a row and a column of zeros at the end."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, channels, 3, stride=2)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/2, W/2)."""
        halved: Tensor = self.conv(pad(h, (0, 1, 0, 1)))
        return halved


class Twice(nn.Module):
    """Nearest neighbours, then 3 × 3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, 2h, 2w)."""
        doubled: Tensor = self.conv(interpolate(h, scale_factor=2.0, mode="nearest"))
        return doubled


class Middle(nn.Module):
    """diffusers' `UNetMidBlock2D`: a residual block, attention over all places, a residual block."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([Attention(channels, groups)])
        self.resnets = _resnets(channels, channels, 2, groups)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        first, last = self.resnets
        found: Tensor = last(self.attentions[0](first(h)))
        return found


class Resnet(nn.Module):
    """diffusers' `ResnetBlock2D` without a time: h + conv φ(norm conv φ(norm h)), by 1 × 1 where the channels change."""

    def __init__(self, given: int, found: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(given, groups), Conv2d(given, found, 3, padding=1)
        self.norm2, self.conv2 = _norm(found, groups), Conv2d(found, found, 3, padding=1)
        self.conv_shortcut = Conv2d(given, found, 1) if given != found else None

    def forward(self, h: Tensor) -> Tensor:
        """(B, given, H, W) -> (B, found, H, W)."""
        change: Tensor = self.conv2(silu(self.norm2(self.conv1(silu(self.norm1(h))))))
        return change + (h if self.conv_shortcut is None else self.conv_shortcut(h))


class Attention(nn.Module):
    """diffusers' `Attention` of one head over all places: h + W softmax(qkᵀ/√C) v, of the normalised h.

    Written out: torch's own kernels of attention have no forward mode and no second derivative, which measures ask for.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = _norm(channels, groups)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        places = self.group_norm(h).flatten(2).transpose(1, 2)
        likeness = self.to_q(places) @ self.to_k(places).transpose(1, 2) * h.shape[1] ** -0.5
        looked = self.to_out[0](torch.softmax(likeness, -1) @ self.to_v(places))
        found: Tensor = h + looked.transpose(1, 2).reshape(h.shape)
        return found


def _resnets(given: int, found: int, depth: int, groups: int) -> nn.ModuleList:
    return nn.ModuleList(Resnet(given if level == 0 else found, found, groups) for level in range(depth))


def _norm(channels: int, groups: int) -> GroupNorm:
    return GroupNorm(groups, channels, eps=EPSILON)
