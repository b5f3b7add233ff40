"""A VAE whose pixels see the pixels before them, the board's sentence: `legato train causal:causal_vae` in this folder.

log p(x|z) = Σᵢ log p(xᵢ|x_<i, z), logit p(xᵢ = 1|x_<i, z) = g(z)ᵢ + Σₜ Tₜ[c_t(x, i)]: g is the decoder as in any VAE, and each
table Tₜ gives a number to each of the 2ⁿ patterns c_t of n pixels above and to the left of pixel i. What the tables say of x
depends on no z: it is looked up once for all draws of a code, and costs half a millisecond for 128 digits. Gulrajani et al.
2016, https://arxiv.org/abs/1611.05013 and Chen et al. 2016, https://arxiv.org/abs/1611.02731 put networks in the tables' place;
that pixels are told by a table of their neighbours is JBIG's (ITU-T T.82).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from legato import nets
from legato.conditional import Conditional
from legato.distributions import IndependentBernoulli
from legato.families import Family, Gaussian
from legato.latents import Flat
from legato.model import LatentVariableModel
from legato.objectives import Distortion, Rate
from legato.priors import StandardNormal
from legato.recipe import Recipe
from legato.setting import DataSpec
from legato.types import Shape
from legato.vocabulary import resolve

ABOVE, BESIDE = 5, 6  # rows above and columns beside a pixel that a table may look at
BITS = 16  # pixels of a pattern: 65,536 numbers, of which the patterns of digits are a few thousand
SCALE = 8.0  # logits for each unit of a table: AdamW moves a unit by the learning rate, and patterns are rare
DRAWS, SEED = 64, 20161115  # draws, the same at every call, whose average is shown as the decoded picture

Place = tuple[int, int]  # rows and columns from the pixel itself: (-1, 0) lies above it
# all that come before it in reading order, the nearest first
BEFORE = sorted(
    ((i, j) for i in range(-ABOVE, 1) for j in range(-BESIDE, BESIDE + 1) if (i, j) < (0, 0)),
    key=lambda at: (at[0] ** 2 + at[1] ** 2, at),
)


def patterns(tables: int) -> list[list[Place]]:
    """The places that each table looks at: the 16 nearest, then again and again the 4 nearest and the next 12."""
    others = [BEFORE[BITS + 12 * t : BITS + 12 * (t + 1)] for t in range(tables - 1)]
    return [BEFORE[:BITS], *(BEFORE[:4] + those for those in others)]


class Tables(nn.Module):
    """A(x)ᵢ = Σₜ Tₜ[c_t(x, i)], logits: x (B, 1, H, W) of 0 and 1 -> (B, 1, H, W), the value at i of pixels before i alone."""

    def __init__(self, looks: Sequence[Sequence[Place]]) -> None:
        super().__init__()
        self.looks = [list(look) for look in looks]
        self.tables = nn.ParameterList(nn.Parameter(torch.zeros(1 << len(look))) for look in looks)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, 1, H, W)."""
        found = [table.index_select(0, number.flatten()) for table, number in zip(self.tables, self.numbers(x), strict=True)]
        return SCALE * torch.stack(found).sum(0).view(x.shape)

    @torch.no_grad()
    def numbers(self, x: Tensor) -> list[Tensor]:
        """The number of the pattern about each pixel, a bit for each place, (B, H, W); what lies outside the picture is 0."""
        height, width = x.shape[-2:]
        wide = nn.functional.pad(x[:, 0].to(torch.int32), (BESIDE, BESIDE, ABOVE, 0))
        found = [x.new_zeros((len(x), height, width), dtype=torch.int32) for _ in self.looks]
        for number, look in zip(found, self.looks, strict=True):
            for bit, (i, j) in enumerate(look):
                top, left = ABOVE + i, BESIDE + j
                number.add_(wide[:, top : top + height, left : left + width], alpha=1 << bit)
        return found


class Causal(Distribution):
    """p(x|z) = ∏ᵢ p(xᵢ|x_<i, z) with logits g(z)ᵢ + A(x)ᵢ: theta (*batch, 1, H, W) are g(z)."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = False

    def __init__(self, theta: Tensor, tables: Tables) -> None:
        self.theta, self.tables = theta, tables
        super().__init__(theta.shape[:-3], theta.shape[-3:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*batch), nats: `value` (B, 1, H, W) under every draw of its code."""
        return IndependentBernoulli(self.theta + self.tables(value), 3).log_prob(value)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of 0 and 1, pixel by pixel."""
        theta = self.theta.expand(Size(sample_shape) + self.theta.shape)
        return self._drawn(theta, torch.rand(theta.shape, device=theta.device))

    @property
    def mean(self) -> Tensor:
        """The average of 64 draws that are made of the same random numbers at every call: it has no closed form."""
        rolls = torch.rand((DRAWS, *self.event_shape), generator=torch.Generator().manual_seed(SEED)).to(self.theta.device)
        return torch.stack([self._drawn(self.theta, roll.expand_as(self.theta)) for roll in rolls]).mean(0)

    @torch.no_grad()
    def _drawn(self, theta: Tensor, rolls: Tensor) -> Tensor:
        """x with xᵢ = 1 where rolls < p(xᵢ = 1|x_<i, z), in reading order: what lies behind a pixel is not looked at."""
        flat, rolls = theta.reshape(-1, *self.event_shape), rolls.reshape(-1, *self.event_shape)
        x = torch.zeros_like(flat)
        for i in range(flat.shape[-2]):
            for j in range(flat.shape[-1]):
                # the rows that a pattern reaches, not the whole picture
                near = x[..., max(i - ABOVE, 0) : i + 1, :]
                logits = flat[:, 0, i, j] + self.tables(near)[:, 0, -1, j]
                x[:, 0, i, j] = (rolls[:, 0, i, j] < torch.sigmoid(logits)).to(x.dtype)
        return x.view(theta.shape)


class CausalBernoulli(Family):
    """theta (*lead, 1, H, W), the logits g(z) -> `Causal`, whose tables are parameters of the family."""

    levels = 2

    def __init__(self, tables: int) -> None:
        super().__init__()
        self.tables = Tables(patterns(tables))

    def shape(self, event: Shape) -> Shape:
        """The event's own: one logit per pixel."""
        return event

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 1, H, W) -> p(x|z)."""
        return Causal(theta, self.tables)


def causal_vae(data: DataSpec, latent_dim: int = 32, tables: int = 3) -> Recipe:
    """A VAE of binary images whose pixels are told by the code and by the pixels before them. Its objective is the ELBO."""
    code, words = (latent_dim,), resolve(data)
    net = partial(nets.build, words.net, width=words.width, depth=words.depth)
    return Recipe(
        LatentVariableModel(
            Flat(Conditional(net, Gaussian(), data.shape, code), StandardNormal(code)),
            Conditional(net, CausalBernoulli(tables), code, data.shape),
        ),
        Distortion() + Rate(),
    )
