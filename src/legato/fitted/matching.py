"""A prior by flow matching: noise that is led to the codes along a velocity that was learnt, and its density.

Covered: draws by three methods, with guidance where there are classes; log p(z) by the change of variables along the way, its
trace exact. Not covered: how the velocity is learnt (fitting.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.nn.attention import SDPBackend, sdpa_kernel

from legato.codebooks import Codebook
from legato.devices import exact
from legato.errors import Mistake
from legato.fitted.solver import Method, divergence, estimated_divergence, solve
from legato.fitted.velocity import Velocity
from legato.label import ReadsLabel
from legato.priors import Prior
from legato.trace import NOTHING, Given
from legato.types import Precision, Shape

ROWS = 4096  # codes whose way is followed at once: a step's numbers stay near the cache
STEPS = 32  # of Heun's method
TRACED = 64  # dimensions up to which a trace is exact: each costs a product
CLASSES = 32  # up to which p(z) is a sum over them
ROUGH, FAR = 8, 20.0  # steps of a first density by class, and nats below the best from which a class is left out of a sum


class FlowMatching(Prior):
    """p(z) of z = m + L x₁ where dx/dt = v(x, t) leads x₀ ~ N(0, I) to x₁ = x(1).

    m and L are the codes' mean and a root of their covariance (of a spatial code, of each channel). log p(z) =
    log N(x(0); 0, I) − ∫₀¹ tr ∂v/∂x dt − log |det L|, x(t) followed backwards from x₁. Of a class y the velocity is
    v_∅ + w (v_y − v_∅) with the guidance w: 1 is the conditional model, 0 that of all. Chen et al. 2018,
    https://arxiv.org/abs/1806.07366; Ho & Salimans 2022, https://arxiv.org/abs/2207.12598. Of vectors with few classes p(z) =
    Σ_y p(y) p(z|y), with the classes' `shares` of the training codes. Of a model with a codebook draws go to the nearest of its
    values, and have no density.
    """

    has_moments = False
    centre: Tensor
    root: Tensor
    shares: Tensor

    def __init__(self, event: Shape, velocity: Velocity, book: Codebook | None = None, summed: bool = True) -> None:
        super().__init__()
        self._book = (book,)  # in a tuple: it is the model's, and no part of what is kept of a prior
        self.event, self.velocity, self.chosen = event, velocity, ReadsLabel(velocity.classes, optional=True)
        spatial, d = len(event) == 3, math.prod(event)
        one = (event[0], 1, 1) if spatial else (d,)
        self._inner = event if spatial else (d,)  # the shape in which the way is followed
        self.register_buffer("centre", torch.zeros(one))
        self.register_buffer("root", torch.ones(one) if spatial else torch.eye(d))  # lower triangular
        self.exact = d <= TRACED  # beyond, a trace is Hutchinson's estimate
        count = velocity.classes if summed and by_class(event, velocity.classes) and book is None else 0
        self.register_buffer("shares", torch.full((count,), 1 / max(count, 1)), persistent=count > 0)
        self.method: Method = "heun"
        self.steps, self.guidance = STEPS, 1.0

    def forward(self, given: Given) -> Distribution:
        """p(z), of the given class p(z|y)."""
        return Led(self, self._label(given))

    def draw(
        self, n: int, rng: np.random.Generator, temperature: float = 1.0, dtype: Precision = np.float32, given: Given = NOTHING
    ) -> NDArray[Any]:
        """Noise of NumPy's generator times the temperature, led along the velocity."""
        with torch.no_grad():
            return np.asarray(self.led(self._noise(n, rng, temperature), self._drawn(n, rng, given)).cpu().numpy(), dtype)

    def ways(
        self, n: int, rng: np.random.Generator, frames: int, temperature: float = 1.0, given: Given = NOTHING
    ) -> Iterator[NDArray[Any]]:
        """m + L x_t of the draws at `frames` places of t from 0 to 1; the last are `draw`'s where those divide its steps."""
        with torch.no_grad():
            for z in self.film(self._noise(n, rng, temperature), frames, self._drawn(n, rng, given)):
                yield z.cpu().numpy()

    def _noise(self, n: int, rng: np.random.Generator, temperature: float) -> Tensor:
        drawn = temperature * rng.standard_normal((n, *self.event), dtype=np.float32)
        return torch.as_tensor(drawn, dtype=torch.float, device=self.centre.device)

    def _label(self, given: Given) -> Tensor | None:
        if not self.chosen.classes:
            return None
        label = self.chosen.held if given.label is None else given.label
        return None if label is None else label.to(self.centre.device)

    def _drawn(self, n: int, rng: np.random.Generator, given: Given) -> Tensor | None:
        """The class of each draw: the given one, else drawn by its share."""
        label = self._label(given)
        if label is not None or not len(self.shares):
            return label
        shares = self.shares.double().cpu().numpy()
        return torch.as_tensor(rng.choice(len(shares), n, p=shares / shares.sum()), device=self.centre.device)

    @property
    def has_density(self) -> bool:
        """False of a codebook's codes."""
        return self._book[0] is None

    def led(self, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Codes z (n, *event) of noise x₀ (n, *event)."""
        blocks = self._blocks(noise.reshape(-1, *self._inner), label)
        codes = torch.cat([self.restored(self._way(x, y, 0.0, 1.0)[0]) for x, y in blocks])
        return codes if self._book[0] is None else self._book[0].values(self._book[0].indices(codes))

    def film(self, noise: Tensor, frames: int, label: Tensor | None = None) -> Iterator[Tensor]:
        """The codes along the way from noise to code, (n, *event) each: m + L x_t at equal steps of t, as they come."""
        yield self.restored(x := noise.reshape(-1, *self._inner))
        for at, then in pairwise(torch.linspace(0, 1, frames).tolist()):
            (x,) = self._way(x, label, at, then)
            yield self.restored(x)

    def log_density(self, z: Tensor, label: Tensor | None = None, signs: Tensor | None = None) -> Tensor:
        """log p(z), (n,), nats, of codes (n, *event), the trace exact; with `signs`, ±1 of that shape, an estimate of it that
        is right in the mean: of log p(z), not of p(z). Raises `Mistake` for codes of a codebook.
        """
        if not self.has_density:
            raise Mistake(
                "draws that go to the nearest of a codebook's values have no density: autoregressive has a likelihood"
            )
        if label is None and len(self.shares):
            return self._summed(z)
        blocks = self._blocks(z, label)
        chosen: list[Tensor | None] = [None] * len(blocks) if signs is None else list(torch.split(signs.flatten(1), ROWS))
        return torch.cat([self._density(x, y, one) for (x, y), one in zip(blocks, chosen, strict=True)])

    def _summed(self, z: Tensor) -> Tensor:
        """log Σ_y p(y) p(z|y) of codes (n, *event), the traces exact. A class that a quick look puts far below the best is left
        out: the look has few steps and an estimated trace, some nats from the truth, and FAR of them are e⁻²⁰ of p(z).
        """
        count, shares = len(self.shares), self.shares.log()
        every = torch.arange(count, device=z.device).repeat(len(z))
        each, steps = z.repeat_interleave(count, 0), self.steps
        signs = torch.randint(2, each.shape, generator=torch.Generator(z.device).manual_seed(0), device=z.device) * 2 - 1
        self.steps = min(steps, ROUGH)
        try:
            rough = self.log_density(each, every, signs.to(z.dtype)).view(-1, count) + shares
        finally:
            self.steps = steps
        kept = ~(rough < rough.amax(1, keepdim=True) - FAR).flatten()  # so put, what is not finite is looked at again
        found = torch.full((len(kept),), -torch.inf, dtype=rough.dtype, device=z.device)
        found[kept] = self.log_density(each[kept], every[kept])
        return torch.logsumexp(found.view(-1, count) + shares, 1)

    def _density(self, z: Tensor, label: Tensor | None, signs: Tensor | None) -> Tensor:
        ends = self.standardised(z)

        def slope(state: tuple[Tensor, ...], t: float) -> tuple[Tensor, ...]:
            def velocity(flat: Tensor) -> Tensor:
                return self._velocity(flat.view(-1, *self._inner), t, label).flatten(1)

            return divergence(velocity, state[0]) if signs is None else estimated_divergence(velocity, state[0], signs)

        with exact(z.device), sdpa_kernel(SDPBackend.MATH):  # the quicker kernels know no derivatives in forward mode
            start = (ends.flatten(1), torch.zeros(len(z), dtype=z.dtype, device=z.device))
            x, gained = solve(slope, start, 1.0, 0.0, self.method, self.steps)
        normal = -0.5 * x.square().sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)
        return normal + gained - self._stretch()

    def _way(self, x: Tensor, label: Tensor | None, begin: float, end: float) -> tuple[Tensor, ...]:
        steps = max(1, round(self.steps * abs(end - begin)))
        with exact(x.device):
            return solve(lambda state, t: (self._velocity(state[0], t, label),), (x,), begin, end, self.method, steps)

    def _velocity(self, x: Tensor, t: float, label: Tensor | None) -> Tensor:
        time = torch.full((1,), t, dtype=x.dtype, device=x.device)  # one for all: what is made of it is made once
        if label is None or self.guidance == 1:
            return torch.as_tensor(self.velocity(x, time, label))
        of_all = torch.as_tensor(self.velocity(x, time, None))
        return of_all if self.guidance == 0 else of_all + self.guidance * (self.velocity(x, time, label) - of_all)

    def _blocks(self, x: Tensor, label: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
        rows = torch.split(x, ROWS)
        if label is None:
            return [(one, None) for one in rows]
        return list(zip(rows, torch.split(label.expand(len(x)), ROWS), strict=True))

    def standardised(self, z: Tensor) -> Tensor:
        """x₁ = L⁻¹(z − m)."""
        z = z.reshape(-1, *self._inner) - self.centre
        if self.root.ndim == 2:
            return torch.as_tensor(torch.linalg.solve_triangular(self.root, z.T, upper=False).T)
        return z / self.root

    def restored(self, x: Tensor) -> Tensor:
        """z = m + L x₁."""
        found = self.centre + (x @ self.root.T if self.root.ndim == 2 else x * self.root)
        return found.view(-1, *self.event)

    def _stretch(self) -> Tensor:
        """log |det L|."""
        if self.root.ndim == 2:
            return self.root.diagonal().log().sum()
        return self.root.log().sum() * math.prod(self.event[1:])


class Led(Distribution):
    """The distribution of codes that a velocity leads to."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = False

    def __init__(self, of: FlowMatching, label: Tensor | None) -> None:
        self.of, self.label = of, label
        super().__init__(Size() if label is None or not label.ndim else label.shape, Size(of.event), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*lead,), nats."""
        lead = value.shape[: value.ndim - len(self.event_shape)]
        label = None if self.label is None else self.label.expand(lead).flatten()
        flat = value.reshape(-1, *self.event_shape).to(self.of.centre.dtype)
        signs = None if self.of.exact else torch.randint_like(flat, 2).mul_(2).sub_(1)
        return self.of.log_density(flat, label, signs).view(lead).to(value.dtype)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """(*sample_shape, *batch, *event), by torch's generator."""
        lead = (*sample_shape, *self.batch_shape)
        noise = torch.randn(n := math.prod(lead), *self.event_shape, device=self.of.centre.device)
        label = None if self.label is None else self.label.expand(lead).flatten()
        if label is None and len(self.of.shares):
            label = torch.multinomial(self.of.shares, n, replacement=True)
        return self.of.led(noise, label).view(*lead, *self.event_shape)


def by_class(event: Shape, classes: int) -> bool:
    """Whether p(z) is a sum over classes: few of them, of vectors whose density is exact."""
    return 1 < classes <= CLASSES and len(event) != 3 and math.prod(event) <= TRACED


@dataclass(frozen=True)
class Way:
    """The way from noise to codes: a method of solving, its number of steps, the guidance towards a class."""

    method: Method = "heun"
    steps: int = STEPS
    guidance: float = 1.0

    def of(self, prior: Prior) -> Prior:
        """The prior, to be followed in this way. Raises `Mistake` for one without a way, and for guidance without classes."""
        if not isinstance(prior, FlowMatching):
            if self != DIRECT:
                raise Mistake("only a prior by flow matching has a way to be followed: leave `method`, `steps`, `guidance` out")
            return prior
        if self.guidance != 1 and not prior.chosen.classes:
            raise Mistake("guidance strengthens a class, and this prior was fitted without any: refit it with labelled data")
        if self.steps < 1:
            raise Mistake(f"`steps` is a number of steps, 1 or more; got {self.steps}")
        prior.method, prior.steps, prior.guidance = self.method, self.steps, self.guidance
        return prior


DIRECT = Way()  # what draws follow where nobody says
