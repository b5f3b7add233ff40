"""Networks for a velocity v(x, t, y): of vectors dense residual blocks, of spatial codes a transformer over their places.

Each is the best velocity of standard normal codes plus what a net adds to it, 0 at the start:
v = ((2t − 1) x + √s · f(x/√s, t, y))/s with s = (1 − t)² + t². There v of N(0, I) has the variance 1/s given x_t, so that f
is to say numbers of size 1 at any t (Karras et al. 2022, https://arxiv.org/abs/2206.00364, section 5, for another path).
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention, silu

from legato.errors import Mistake
from legato.types import Shape

WAVES, FASTEST = 32, 64.0  # sines and cosines of t, and the fastest one's turns between 0 and 1, in half turns


class Velocity(nn.Module):
    """v(x, t, y): x (n, *event), t (m,), y (n,) with −1 for no class -> (n, *event). Each t is of n/m rows in a row."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("turns", torch.pi * torch.logspace(0, math.log2(FASTEST), WAVES, 2), persistent=False)
        self.time = nn.Sequential(nn.Linear(2 * WAVES, width), nn.SiLU(), nn.Linear(width, width))

    turns: Tensor

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """(n, *event)."""
        wide = repeated(t, len(x)).reshape(-1, *[1] * (x.ndim - 1))
        spread = (1 - wide) ** 2 + wide**2
        angles = t[:, None] * self.turns
        time: Tensor = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        return ((2 * wide - 1) * x + spread.sqrt() * self.added(x / spread.sqrt(), time, self._number(label, x))) / spread

    @abstractmethod
    def added(self, x: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        """What the net adds: x (n, *event) of size 1, times (m, width), classes (n,) or (1,) -> (n, *event)."""

    def _number(self, label: Tensor | None, x: Tensor) -> Tensor | None:
        """The row of an embedding of classes, whose last is no class."""
        if not self.classes:
            return None
        if label is None:
            return torch.full((1,), self.classes, device=x.device)
        return torch.where(label < 0, self.classes, label)


def repeated(values: Tensor, count: int) -> Tensor:
    """Each of m rows count/m times; one row stays one, as it is of all."""
    return values if len(values) in (1, count) else values.repeat_interleave(count // len(values), 0)


class Dense(Velocity):
    """Residual blocks for vectors: h ← h + W₂ silu(W₁ h + W₃ k + c), k what is known of time, c of the class."""

    def __init__(self, event: Shape, classes: int = 0, width: int = 256, depth: int = 3) -> None:
        super().__init__(width, classes)
        d = math.prod(event)
        self.first, self.last = nn.Linear(d, width), nn.Linear(width, d)
        self.told = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.outer = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))
        self.of_class = nn.Embedding(classes + 1, depth * width) if classes else None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def added(self, x: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        """(n, d), of codes of any shape as vectors."""
        hidden, shifts = self.first(x), [repeated(told(time), len(x)) for told in self.told]
        if self.of_class is not None:
            of_class = self.of_class(label).chunk(len(shifts), 1)
            shifts = [shift + one for shift, one in zip(shifts, of_class, strict=True)]
        for shift, inner, outer in zip(shifts, self.inner, self.outer, strict=True):
            hidden = hidden + outer(silu(inner(hidden) + shift))
        found: Tensor = self.last(silu(hidden))
        return found


class Attending(Velocity):
    """A transformer over the places of a spatial code (C, h, w), whose norms are steered by time and class.

    Peebles & Xie 2023, https://arxiv.org/abs/2212.09748 (adaLN-Zero), with a learnt number for each token. A token is a square
    of `patch` × `patch` places.
    """

    def __init__(
        self, event: Shape, classes: int = 0, width: int = 256, depth: int = 6, patch: int = 1, heads: int = 4
    ) -> None:
        super().__init__(width, classes)
        if len(event) != 3:
            raise Mistake(f"this velocity is of codes (channels, height, width), and theirs have shape {event}")
        channels, height, across = event
        if patch < 1:
            raise Mistake(f"`patch` is a number of places, 1 or more; got {patch}")
        rows, columns = -(-height // patch), -(-across // patch)
        self.cut, self.beyond = (channels, rows, patch, columns, patch), (0, columns * patch - across, 0, rows * patch - height)
        numbers = channels * patch**2
        self.first, self.last = nn.Linear(numbers, width), nn.Linear(width, numbers)
        self.place = nn.Parameter(0.02 * torch.randn(rows * columns, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.steer = nn.Linear(width, 2 * width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.of_class = nn.Embedding(classes + 1, width) if classes else None
        for layer in (self.last, self.steer):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def added(self, x: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        """(n, C, h, w)."""
        known = repeated(time, len(x)) if self.of_class is None else repeated(time, len(x)) + self.of_class(label)
        known = silu(known)
        tokens = pad(x, self.beyond).reshape(-1, *self.cut).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        hidden = self.first(tokens) + self.place
        for block in self.blocks:
            hidden = block(hidden, known)
        shift, scale = self.steer(known)[:, None].chunk(2, -1)
        found: Tensor = self.last(self.norm(hidden) * (1 + scale) + shift)
        channels, rows, patch, columns, _ = self.cut
        squares = found.view(-1, rows, columns, channels, patch, patch).permute(0, 3, 1, 4, 2, 5)
        return squares.reshape(-1, channels, rows * patch, columns * patch)[..., : x.shape[-2], : x.shape[-1]]


class Block(nn.Module):
    """Attention, then two dense layers, each on a norm that is scaled and shifted by what is known, and let in by a gate."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.queries, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.steer = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """x (n, places, width), known (n, width) -> (n, places, width)."""
        steered = self.steer(known)[:, None].chunk(6, -1)
        x = x + steered[2] * self._attended(self.norm(x) * (1 + steered[1]) + steered[0])
        found: Tensor = x + steered[5] * self.dense(self.norm(x) * (1 + steered[4]) + steered[3])
        return found

    def _attended(self, x: Tensor) -> Tensor:
        n, places, width = x.shape
        q, k, v = self.queries(x).view(n, places, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        found: Tensor = self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return found
