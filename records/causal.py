"""A VAE whose pixels see the pixels before them, the board's sentence: `legato train causal:causal_vae` in this folder.

log p(x|z) = Σᵢ log p(xᵢ|x_<i, z), logit p(xᵢ = 1|x_<i, z) = g(z)ᵢ + T₀[c(x, i)] + Σₖ u(z)ₖ Tₖ[c(x, i)]: g and u are the
decoder's, and each table T gives a number to each of the 65,536 patterns c of the 16 pixels that are nearest to pixel i among
those above and to its left. The code says where ink lies, by g, and how it goes on, by u: thick strokes may have tables of
their own, and what rises others than what falls, for u may be of the region that pixel i lies in. What the tables say of x is
looked up once for all draws of its code. Gulrajani et al. 2016, https://arxiv.org/abs/1611.05013 and Chen et al. 2016,
https://arxiv.org/abs/1611.02731 have networks in the tables' place; a table of neighbours is JBIG's (ITU-T T.82).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from legato import nets
from legato.conditional import Conditional
from legato.devices import exact
from legato.distributions import IndependentBernoulli
from legato.errors import Mistake
from legato.families import Family, Gaussian
from legato.latents import Flat
from legato.model import LatentVariableModel
from legato.objectives import Distortion, Rate, anneal
from legato.priors import StandardNormal
from legato.recipe import Recipe
from legato.setting import DataSpec
from legato.types import Shape
from legato.vocabulary import resolve

ABOVE, BESIDE = 5, 6  # rows above and columns beside a pixel that a table may look at
MARGIN = (BESIDE, BESIDE, ABOVE, 0)  # zeros about a picture: left, right, above, below
BITS = 16  # pixels of a pattern: 65,536 numbers, of which the patterns of digits are a few thousand
SCALE = 8.0  # logits for each unit of a table: AdamW moves a unit by the learning rate, and patterns are rare
DRAWS, SEED = 64, 20161115  # draws, the same at every call, whose average is shown as the decoded picture

Place = tuple[int, int]  # rows and columns from the pixel itself: (-1, 0) lies above it
# all that come before it in reading order, the nearest first
BEFORE = sorted(
    ((i, j) for i in range(-ABOVE, 1) for j in range(-BESIDE, BESIDE + 1) if (i, j) < (0, 0)),
    key=lambda at: (at[0] ** 2 + at[1] ** 2, at),
)


class Tables(nn.Module):
    """T[c(x, i)] of each of `kinds` tables: x (B, 1, H, W) of 0 and 1 -> (B, kinds, H·W), at i a function of x before i."""

    def __init__(self, kinds: int, look: Sequence[Place] = BEFORE[:BITS]) -> None:
        super().__init__()
        self.look = list(look)
        # One tensor each: rows of a matrix are gathered, and their gradients added up, four times as slowly.
        self.tables = nn.ParameterList(nn.Parameter(torch.zeros(1 << len(look))) for _ in range(kinds))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, kinds, H·W), logits."""
        number = self.number(x).flatten()
        return SCALE * torch.stack([table.index_select(0, number).view(len(x), -1) for table in self.tables], 1)

    @torch.no_grad()
    def number(self, x: Tensor) -> Tensor:
        """The number of the pattern before each pixel, a bit for each place, (B, H, W); what lies outside the picture is 0."""
        height, width = x.shape[-2:]
        wide = nn.functional.pad(x[:, 0].to(torch.int32), MARGIN)
        found = torch.zeros((len(x), height, width), dtype=torch.int32, device=x.device)
        for bit, (i, j) in enumerate(self.look):
            top, left = ABOVE + i, BESIDE + j
            found.add_(wide[:, top : top + height, left : left + width], alpha=1 << bit)
        return found

    def at(self, wide: Tensor, i: int, j: int) -> Tensor:
        """`forward` at one pixel of pictures with their margin, wide (B, 1, ABOVE + H, W + 2·BESIDE) -> (B, kinds)."""
        seen = torch.stack(
            [wide[:, 0, ABOVE + i + di, BESIDE + j + dj].long() << bit for bit, (di, dj) in enumerate(self.look)]
        )
        number = seen.sum(0)
        return SCALE * torch.stack([table[number] for table in self.tables], 1)


class Causal(Distribution):
    """p(x|z) = ∏ᵢ p(xᵢ|x_<i, z) with logits g(z)ᵢ + Σₖ u(z)ₖ₍ᵢ₎ Tₖ[c(x, i)], u₀ = 1; k(i) is the region that pixel i lies in.

    theta (*batch, H·W + (kinds − 1)·P²) is (g, u), u a weight of each table but the first in each of P × P regions alike.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = False

    def __init__(self, theta: Tensor, event: Shape, tables: Tables, places: int = 1) -> None:
        self.theta, self.tables, self.places = theta, tables, places
        super().__init__(theta.shape[:-1], torch.Size(event), validate_args=False)

    def parts(self) -> tuple[Tensor, Tensor]:
        """g (*batch, H·W) and u (*batch, kinds − 1, P, P)."""
        g, u = self.theta.tensor_split([prod(self.event_shape)], -1)
        return g, u.reshape(*u.shape[:-1], -1, self.places, self.places)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*batch), nats: `value` (B, 1, H, W) under every draw of its code, theta (S, B, …) or (B, …)."""
        g, u = self.parts()
        with exact(g.device):  # under bfloat16 each pixel's logit would keep 8 bits
            first, *others = self.tables(value).unbind(1)
            logits = g + first + (self._weighed(u, torch.stack(others, 1)) if others else 0)
        return IndependentBernoulli(logits, 1).log_prob(value.flatten(1))

    def _weighed(self, u: Tensor, told: Tensor) -> Tensor:
        """Σₖ u(z)ₖ₍ᵢ₎ Tₖ: u (*batch, K, P, P), told (B, K, H·W) -> (*batch, H·W)."""
        regions = told.view(*told.shape[:2], *self._regions())
        if u.ndim == 4 or len(u) == 1:  # one draw of each code, as in training: a product and a sum
            return (u[..., :, None, :, None] * regions).sum(-5).flatten(-4)
        return torch.einsum("...bkpq,bkphqw->...bphqw", u, regions).flatten(-4)

    def _regions(self) -> Shape:
        """(P, H/P, P, W/P)."""
        (height, width), places = self.event_shape[-2:], self.places
        return places, height // places, places, width // places

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of 0 and 1, pixel by pixel."""
        shape = Size(sample_shape) + self.batch_shape + self.event_shape
        return self._drawn(torch.rand(shape, device=self.theta.device))

    @property
    def mean(self) -> Tensor:
        """The average of 64 draws that are made of the same random numbers at every call: it has no closed form."""
        rolls = torch.rand((DRAWS, *self.event_shape), generator=torch.Generator().manual_seed(SEED)).to(self.theta.device)
        rolls = rolls.view(DRAWS, *(1 for _ in self.batch_shape), *self.event_shape)
        return self._drawn(rolls.expand(DRAWS, *self.batch_shape, *self.event_shape)).mean(0)

    @torch.no_grad()
    def _drawn(self, rolls: Tensor) -> Tensor:
        """x with xᵢ = 1 where rolls < p(xᵢ = 1|x_<i, z), in reading order, which finds every pixel that a pattern asks for."""
        lead, (height, width) = rolls.shape[: rolls.ndim - len(self.event_shape)], self.event_shape[-2:]
        theta = self.theta.expand(*lead, -1).reshape(-1, self.theta.shape[-1])
        g, u = Causal(theta, self.event_shape, self.tables, self.places).parts()
        _, tall, _, broad = self._regions()
        u = torch.cat((u.new_ones(len(u), 1, self.places, self.places), u), 1)
        rolls, wide = rolls.reshape(-1, height, width), nn.functional.pad(torch.zeros(len(g), 1, height, width), MARGIN)
        wide = wide.to(g.device)
        for i, j in product(range(height), range(width)):
            logits = g[:, i * width + j] + (u[..., i // tall, j // broad] * self.tables.at(wide, i, j)).sum(1)
            wide[:, 0, ABOVE + i, BESIDE + j] = (rolls[:, i, j] < torch.sigmoid(logits)).to(wide.dtype)
        return wide[..., ABOVE:, BESIDE : BESIDE + width].reshape(*lead, *self.event_shape)


class CausalBernoulli(Family):
    """theta (*lead, H·W + (kinds − 1)·P²), logits of pixels and weights of all tables but the first by regions -> `Causal`.

    Raises `Mistake` where an image is not cut into P × P regions alike.
    """

    levels = 2

    def __init__(self, kinds: int, places: int = 1) -> None:
        super().__init__()
        self.tables, self.places = Tables(kinds), places

    def shape(self, event: Shape) -> Shape:
        """(H·W + (kinds − 1)·P²,)."""
        if any(side % self.places for side in event[-2:]):
            raise Mistake(f"`places` cuts each side of an image into equal parts: {self.places} does not divide {event[-2:]}")
        return (prod(event) + (len(self.tables.tables) - 1) * self.places**2,)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta -> p(x|z)."""
        return Causal(theta, event, self.tables, self.places)


def causal_vae(data: DataSpec, latent_dim: int = 32, kinds: int = 4, warmup: float = 0.3, places: int = 1) -> Recipe:
    """A VAE of binary images whose pixels are told by the code and by the pixels before them. Its objective is the ELBO.

    `warmup`: the share of the run over which the rate is charged gradually. Tables are learnt sooner than codes, and what they
    tell a code would have to pay for: from the start at full charge, many dimensions stay empty. `places`: the code weighs the
    tables in each of places × places regions by itself.
    """
    code, words = (latent_dim,), resolve(data)
    net = partial(nets.build, words.net, width=words.width, depth=words.depth)
    return Recipe(
        LatentVariableModel(
            Flat(Conditional(net, Gaussian(), data.shape, code), StandardNormal(code)),
            Conditional(net, CausalBernoulli(kinds, places), code, data.shape),
        ),
        Distortion() + anneal(0.0, 1.0, warmup) * Rate(),
    )
