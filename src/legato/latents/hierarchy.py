"""Many groups of latents, from a few places of an image to all of them: a deep hierarchy, drawn from the top down.

Covered: a bottom-up pass that sees the image, a top-down pass that draws, rates for each level, temperatures by level. Not
covered: how wide and deep it should be (docs/grammar.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import avg_pool2d, interpolate, silu

from legato.arguments import checked
from legato.devices import drawing
from legato.distributions.divergence import kl_per_dimension
from legato.distributions.reparameterised import reparameterised
from legato.errors import Mistake
from legato.families import FINITE
from legato.latents.latent import Levelled
from legato.nets.layers import Conv2d, ConvTranspose2d
from legato.ranks import unshared
from legato.shown import Line
from legato.trace import NOTHING, Given, Rung, Summary
from legato.types import Shape

LEAST = 4  # places on a side of the top, or the next odd number above
Choose = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # level, h, μ and σ of its prior -> z, (n, k, height, width)


def sides(shape: Shape) -> list[tuple[int, int]]:
    """Heights and widths of the levels, the top first: halved from the image's as long as both are even and above 4."""
    found = [(shape[1], shape[2])]
    while all(side % 2 == 0 and side > LEAST for side in found[0]):
        found.insert(0, (found[0][0] // 2, found[0][1] // 2))
    return found


def latent_sides(shape: Shape) -> list[tuple[int, int]]:
    """Those of levels: all but the image's own where there is a smaller one, for a latent of each pixel would be the image."""
    every = sides(shape)
    return every[:-1] or every


class Residual(nn.Module):
    """x + a small change, of 3 × 3 convolutions about half as many channels; no change at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(width // 2, 1)
        self.first, self.last = Conv2d(width, inner, 3, padding=1), Conv2d(inner, width, 3, padding=1)
        _silence(self.last)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same."""
        change: Tensor = self.last(silu(self.first(silu(x))))
        return x + change


class BottomUp(nn.Module):
    """What is seen of an image at each size with latents: x (n, C, H, W) -> (n, width, h, w), the top first."""

    def __init__(self, shape: Shape, width: int, blocks: int) -> None:
        super().__init__()
        self.sides = latent_sides(shape)
        # 4 × 4 of stride 2, as `strided` begins: nothing runs at full size, where a block would cost as much as all others
        how = (4, 2) if len(sides(shape)) > 1 else (3, 1)
        self.first = Conv2d(shape[0], width, *how, padding=1)
        self.blocks = nn.ModuleList(nn.Sequential(*(Residual(width) for _ in range(blocks))) for _ in self.sides)

    def forward(self, x: Tensor) -> list[Tensor]:
        """From the lowest level upwards."""
        h: Tensor = self.first(x.contiguous(memory_format=torch.channels_last))
        seen: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            h = block(avg_pool2d(h, 2) if number else h)
            seen.insert(0, h)
        return seen


class Level(nn.Module):
    """One group of latents, k at each place: p(z|h), q(z|h, what is seen), and how z changes h."""

    def __init__(self, width: int, k: int) -> None:
        super().__init__()
        self.prior = Conv2d(width, 2 * k + width, 3, padding=1)
        self.seeing = Conv2d(2 * width, width, 3, padding=1)
        self.posterior = Conv2d(width, 2 * k, 3, padding=1)
        self.told, self.after, self.k = Conv2d(k, width, 1), Residual(width), k
        for layer in (self.prior, self.posterior):  # q = p = N(0, I) at first: a rate of 0, not of thousands of nats
            _silence(layer)

    def of_prior(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """μ, σ, and what h is told beside z."""
        mu, log_sigma, more = self.prior(silu(h)).split([self.k, self.k, h.shape[1]], 1)
        return mu, log_sigma.clamp(-FINITE, FINITE).exp(), more

    def of_posterior(self, h: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """μ and σ."""
        mu, log_sigma = self.posterior(silu(self.seeing(torch.cat([silu(h), silu(seen)], 1)))).chunk(2, 1)
        return mu, log_sigma.clamp(-FINITE, FINITE).exp()

    def drawn(self, h: Tensor, more: Tensor, z: Tensor) -> Tensor:
        """h after z was drawn."""
        found: Tensor = self.after(h + more + self.told(z.to(h.dtype)))
        return found


class TopDown(nn.Module):
    """From a start that is learnt down to half of the image's size: `blocks` levels of k latents a place at each size."""

    def __init__(self, shape: Shape, width: int, k: int, blocks: int) -> None:
        super().__init__()
        latent = latent_sides(shape)
        self.of = [number for number in range(len(latent)) for _ in range(blocks)]
        self.places = [latent[number] for number in self.of]
        self.k = k
        self.start = nn.Parameter(torch.zeros(1, width, *latent[0]))
        self.levels = nn.ModuleList(Level(width, k) for _ in self.of)
        self.sizes = [k * height * across for height, across in self.places]

    def run(self, n: int, choose: Choose) -> Tensor:
        """h at the lowest level's size, (n, width, h, w), each level's z chosen by `choose`."""
        h = self.start.expand(n, -1, -1, -1)
        for number, level in enumerate(self._levels()):
            h = _grown(h, self.places[number])
            mu, sigma, more = level.of_prior(h)
            h = level.drawn(h, more, choose(number, h, mu, sigma))
        return h

    def split(self, code: Tensor) -> list[Tensor]:
        """A code (n, d) -> each level's z, (n, k, h, w)."""
        parts = zip(torch.split(code, self.sizes, 1), self.places, strict=True)
        return [part.reshape(-1, self.k, *place) for part, place in parts]

    def _levels(self) -> list[Level]:
        return [level for level in self.levels if isinstance(level, Level)]


class Drawing(nn.Module):
    """The decoder's net: a code (n, d) -> (n, *out), by the top-down pass whose latents are given."""

    def __init__(self, down: TopDown, width: int, out: Shape) -> None:
        super().__init__()
        self.down, self.out, planes = down, out, Size(out[:-2]).numel()
        doubles = down.places[-1] != tuple(out[-2:])
        self.last = ConvTranspose2d(width, planes, 4, 2, 1) if doubles else Conv2d(width, planes, 3, padding=1)

    def forward(self, code: Tensor) -> Tensor:
        """(n, d) -> (n, *out)."""
        parts = self.down.split(code)
        found: Tensor = self.last(silu(self.down.run(code.shape[0], lambda level, *_: parts[level])))
        return found.view(-1, *self.out)


class Hierarchy(Levelled):
    """p(z) = Π p(z_l|z_{<l}), q(z|x) = Π q(z_l|z_{<l}, x), by levels from a few places to many; the code is all in a row.

    Gaussians throughout, the top's prior learnt as the others are. Child 2021 (VDVAE), https://arxiv.org/abs/2011.10650; Vahdat
    & Kautz 2020 (NVAE), https://arxiv.org/abs/2007.03898. `down`: the decoder's own top-down pass.
    """

    has_density = True
    has_width = True
    has_moments = True
    has_choice = False
    has_product = False
    standard_prior = False

    @checked
    def __init__(self, up: nn.Module, down: TopDown) -> None:
        super().__init__()
        self.up = up
        self._down = [down]  # in a list: it is the decoder's, and is stored once
        self.event = (sum(down.sizes),)
        self.levels = tuple(f"{down.k} × {height} × {across}" for height, across in down.places)

    @property
    def down(self) -> TopDown:
        """The top-down pass."""
        return self._down[0]

    def encode(self, x: Tensor, given: Given = NOTHING) -> list[Tensor]:
        """What is seen at each size, the top first."""
        found: list[Tensor] = self.up(x)
        return found

    def draw(self, encoded: list[Tensor], draws: int, given: Given) -> tuple[Tensor, tuple[Rung, ...]]:
        """(code (S, B, d), a rung for each level, top first)."""
        rungs: list[Rung] = []

        def choose(level: int, h: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
            q, p = self._pair(level, h, encoded, mu, sigma, draws)
            z, noise = reparameterised(q, 1)
            rungs.append(Rung(q, p, z[0], None if noise is None else noise[0]))
            return z[0].reshape(mu.shape)

        self.down.run(draws * len(encoded[0]), choose)
        return torch.cat([rung.z for rung in rungs], -1), tuple(rungs)

    def _pair(
        self, level: int, h: Tensor, encoded: list[Tensor], mu: Tensor, sigma: Tensor, draws: int
    ) -> tuple[Distribution, Distribution]:
        """Posterior and prior of a level, of batch shape (S, B)."""
        seen = encoded[self.down.of[level]]
        every = seen.expand(draws, *seen.shape).flatten(0, 1)
        part = self.down._levels()[level]
        lead = (draws, seen.shape[0])
        return _normal(*part.of_posterior(h, every), lead), _normal(mu, sigma, lead)

    def summary(self, encoded: list[Tensor], given: Given = NOTHING) -> Summary:
        """The middle of each level's posterior where those above lie at theirs."""
        found: list[tuple[Tensor, Tensor, Tensor]] = []

        def choose(level: int, h: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
            q, p = self._pair(level, h, encoded, mu, sigma, 1)
            kl = kl_per_dimension(q, p)
            assert kl is not None  # of Gaussians
            found.append((q.mean[0], q.stddev[0], kl[0]))
            return q.mean[0].reshape(mu.shape)

        # not `len`, which an export would take for a constant
        self.down.run(encoded[0].shape[0], choose)
        mu, sigma, kl = (torch.cat(each, -1) for each in zip(*found, strict=True))
        return Summary(mu, sigma, kl, "each level's mean and standard deviation where those above lie at their means")

    def prior(self, given: Given = NOTHING) -> Distribution:
        """p(z) of the whole code."""
        return FromTheTop(self.down, Size(self.event))

    def _drawn_below(
        self, code: Tensor, keep: int, rng: np.random.Generator, temperatures: Sequence[float], given: Given
    ) -> Tensor:
        with drawing(code.device, int(rng.integers(2**63))):  # torch's draws follow NumPy's: `rng` alone fixes them
            return drawn_down(self.down, len(code), temperatures, code, keep)

    def sample(self, n: int, given: Given = NOTHING) -> Tensor:
        """n codes from the prior, (n, d)."""
        return self.prior(given).sample(Size((n,)))

    def told(self) -> list[Line]:
        """The levels from the top."""
        return [("levels", " → ".join(self.levels), ""), ("p(z)", "Gaussians, each given what lies above", "")]


class FromTheTop(Distribution):
    """p(z) of all levels in a row: log p(z) = Σ log p(z_l|z_{<l})."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)

    def __init__(self, down: TopDown, event: Size) -> None:
        self.down = down
        super().__init__(Size(), event, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*lead,), nats."""
        flat = value.reshape(-1, *self.event_shape)
        # networks compute in their own precision, whatever the codes are asked in
        parts = self.down.split(flat.to(self.down.start.dtype))
        total = flat.new_zeros(len(flat))

        def choose(level: int, h: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
            nonlocal total
            found: Tensor = Normal(mu, sigma, validate_args=False).log_prob(parts[level])  # type: ignore[no-untyped-call]  # torch's
            total = total + found.flatten(1).sum(1)
            return parts[level]

        self.down.run(len(flat), choose)
        return total.view(value.shape[:-1])

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Codes (*sample_shape, d)."""
        shape = Size(sample_shape)
        with torch.no_grad(), unshared():
            return drawn_down(self.down, shape.numel(), [1.0] * len(self.down.sizes)).view(*shape, *self.event_shape)


def drawn_down(down: TopDown, n: int, temperatures: Sequence[float], above: Tensor | None = None, keep: int = 0) -> Tensor:
    """n codes from the top down, each level at its temperature; the first `keep` levels are those of the codes `above`.

    Raises `Mistake` for another number of temperatures than there are levels.
    """
    if len(temperatures) != len(down.sizes):
        raise Mistake(f"there are {len(down.sizes)} levels, and {len(temperatures)} temperatures were given: give one for each")
    known = [] if above is None else down.split(above)[:keep]
    parts: list[Tensor] = []

    def choose(level: int, h: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
        z = known[level] if level < len(known) else mu + temperatures[level] * sigma * torch.randn_like(mu)
        parts.append(z.flatten(1))
        return z

    down.run(n, choose)
    return torch.cat(parts, 1)


def _silence(layer: nn.Conv2d) -> None:
    """Makes a layer say 0 whatever it reads."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)


def _normal(mu: Tensor, sigma: Tensor, lead: tuple[int, int]) -> Distribution:
    """N(μ, σ²) of a level's latents in a row, of batch shape (S, B), in single precision at least."""
    both = [each.reshape(*lead, -1).to(torch.promote_types(each.dtype, torch.float32)) for each in (mu, sigma)]
    return Independent(Normal(both[0], both[1], validate_args=False), 1, validate_args=False)


def _grown(h: Tensor, place: tuple[int, int]) -> Tensor:
    return h if h.shape[-2:] == place else interpolate(h, size=place, mode="nearest")
