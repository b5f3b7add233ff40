"""Planted models: what each does is known, so that a measure of it can be held to what it must say.

Images are made of codes t ~ N(0, I) by a smooth map that can be undone; a planted model encodes and decodes by formulas.
Another seed turns its latent space at random and shifts its scales by some per cent, as another training would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor, nn

from legato.conditional import Conditional
from legato.families import Gaussian, Homoscedastic
from legato.latents import Flat
from legato.measures.estimate import Estimate
from legato.measures.interpolation import cross_fade
from legato.measures.posterior import gaussian_posterior
from legato.model import LatentVariableModel
from legato.priors import StandardNormal
from legato.survey import Effort, Subject
from legato.survey.chapters import CHAPTERS
from legato.survey.evaluation import Evaluation
from legato.survey.fidelity import middle
from legato.survey.material import Material, Rows
from legato.survey.subject import PrincipalComponents
from legato.trace import Given, Rung
from legato.types import Doubles

Map = Callable[[Doubles], Doubles]
D, STRAIGHT = 5, 0.3  # latents; an image has three values for each: one straight, and a point on a circle
ROTATION = np.linalg.qr(np.random.default_rng(9).standard_normal((3 * D, 3 * D)))[0]  # so that no value stands for a factor
CALM, WINDING = 1.0, 4.0  # turns of the circles: between two codes a winding picture passes through others
TRAIN, TEST, SAMPLES = 400, 1000, 400
EFFORT = Effort(
    train=TRAIN, test=TEST, samples=SAMPLES, outer=400, paths=50, places=200, noisy=150, halves=2, judged=TEST, weighted=0,
    draws=1, annealed=0,
)  # fmt: skip


def picture(t: Doubles, turns: float) -> Doubles:
    """t (n, D) -> images (n, 3D)."""
    return np.concatenate([STRAIGHT * t, np.cos(turns * t), np.sin(turns * t)], 1) @ ROTATION


def factors(images: NDArray[Any]) -> Doubles:
    """What an image is made of."""
    return (np.asarray(images, np.float64) @ ROTATION.T)[:, :D] / STRAIGHT


@cache
def material(turns: float) -> Material:
    """Training and test images, labelled by the signs of two factors."""
    t = np.random.default_rng(5).standard_normal((TRAIN + TEST, D))
    images, labels = picture(t, turns).astype(np.float32), 2 * (t[:, 0] > 0) + (t[:, 1] > 0).astype(np.int64)
    train, test = (Rows(images[rows], images[rows], labels[rows]) for rows in (slice(TRAIN), slice(TRAIN, None)))
    return Material(train, test, "planted")


def scrambled(values: Doubles) -> Doubles:
    """As good as independent of `values`, and N(0, 1) too: what comes after their fourth digit."""
    return ndtri(np.clip(values * 1e4 % 1, 1e-6, 1 - 1e-6))


# ------------------------------------------------------------------------------------------------ by formulas


@dataclass(frozen=True)
class Plan:
    """μ = scale · code(t), σ one number or None, and images show(z/scale, turns)."""

    code: Map = lambda t: t
    show: Callable[[Doubles, float], Doubles] = picture
    sigma: float | None = 0.3
    scale: float = 0.95
    own: float = 0.03  # how far images are off as this training happened to leave them

    def __call__(self, turns: float, seed: int) -> Subject:
        return Planted(self, turns, seed)


class Planted(Subject):
    """A plan as one training gives it. log p(x|z) = −π‖x − decode(z)‖², a Gaussian's whose constant is 0."""

    latent_dim, has_log_px = D, True

    def __init__(self, plan: Plan, turns: float, seed: int) -> None:
        rng = np.random.default_rng([seed, 7])
        self.plan, self.turns = plan, turns
        self.turn = np.linalg.qr(rng.standard_normal((D, D)))[0]
        self.scale, self.wider = plan.scale * np.exp(0.03 * rng.standard_normal()), np.exp(0.03 * rng.standard_normal())
        self.own = rng.standard_normal((D, 3 * D))

    def encode(self, x: Any) -> tuple[Any, Any]:
        mu = (self.scale * self.plan.code(factors(x)) @ self.turn).astype(np.float32)
        return mu, None if self.plan.sigma is None else np.full_like(mu, self.plan.sigma * self.wider)

    def decode(self, z: Any) -> Any:
        c = np.asarray(z, np.float64) @ self.turn.T / self.scale
        return (self.plan.show(c, self.turns) + self.plan.own * np.sin(c @ self.own)).astype(np.float32)

    def cycle(self, z: Any) -> Any:
        return self.encode(self.decode(z))[0]

    def log_px(self, x: Any, z: Any) -> Doubles:
        return -np.pi * ((np.asarray(x, np.float64) - self.decode(z)) ** 2).sum(1)


def turned(c: Doubles, turns: float, faster: float) -> Doubles:
    """Images that move faster with the code."""
    return picture(c, faster * turns)


def shifted(c: Doubles, turns: float, by: float) -> Doubles:
    """Every image off by one and the same difference of that length."""
    return picture(c, turns) + by / np.sqrt(3 * D)


def away(by: float) -> Plan:
    """Codes that lie off the origin, so that N(0, I) falls beside them."""
    return Plan(lambda t: t + by, lambda c, turns: picture(c - by, turns))


def corners(t: Doubles) -> Doubles:
    """2D clusters at ±√D on the axes: E z = 0 and E zzᵀ = I, and ‖z‖² always D."""
    first = np.abs(t).argmax(1)
    return np.sqrt(D) * np.sign(np.take_along_axis(t, first[:, None], 1)) * np.eye(D)[first]


GOOD = Plan()
UNRELATED = Plan(show=lambda c, turns: picture(scrambled(c), turns))  # another real image for every code
STATIC = Plan(show=lambda c, turns: 3 * scrambled(np.concatenate([c, c * np.sqrt(2), c * np.sqrt(3)], 1)))
SINGLE = Plan(show=lambda c, turns: np.repeat(picture(np.full((1, D), 0.5), turns), len(c), 0))  # one real image
SPLIT = Plan(lambda t: t + 4 * np.sign(t), lambda c, turns: picture(c - 4 * np.sign(c), turns))  # nothing is learnt between
BLIND = Plan(code=scrambled)
COLLAPSED = Plan(code=lambda t: 0.01 * t, sigma=1.0)


def pca(turns: float, seed: int) -> Subject:
    """The control of that name."""
    return PrincipalComponents(material(turns).train.x, D, lambda x: x)


# ------------------------------------------------------------------------------------------------ with a model of Legato's own


class Read(nn.Module):
    """images (n, 3D) -> (μ, log σ), (n, 2, D): μ the factors, log σ = width(μ)."""

    def __init__(self, width: Callable[[Tensor], Tensor], scale: float) -> None:
        super().__init__()
        self.weight, self.width = nn.Parameter(torch.from_numpy(scale * ROTATION.T[:, :D] / STRAIGHT).float()), width

    def forward(self, x: Tensor) -> Tensor:
        mu = x @ self.weight
        return torch.stack([mu, self.width(mu)], 1)


class Show(nn.Module):
    """z -> images, by a function of z and of the encoder's weight, which a decoder has no business to know."""

    def __init__(self, show: Callable[[Tensor, Tensor], Tensor], weight: Tensor) -> None:
        super().__init__()
        self.show, self.weight = show, [weight]  # in a list: not a parameter of the decoder's

    def forward(self, z: Tensor) -> Tensor:
        return self.show(z, self.weight[0])


Draw = Callable[[Tensor, Tensor, Tensor], Tensor]  # μ, σ, ε -> z


class Drawn(Flat):
    """A latent that draws z by a formula of its own."""

    def __init__(self, draw: Draw, *parts: Any) -> None:
        super().__init__(*parts)
        self.formula = draw

    def draw(self, encoded: Any, draws: int, given: Given) -> Any:
        mu, sigma = encoded.mean, encoded.stddev
        z = self.formula(mu, sigma, torch.randn(draws, *mu.shape, dtype=mu.dtype))
        return z, (Rung(encoded, self.p(given), z),)


def folded(z: Tensor) -> Tensor:
    """2z + ½ sin 2z, whose slope 2 + cos 2z says where the decoder is sensitive."""
    return 2 * z + 0.5 * torch.sin(2 * z)


def waves(z: Tensor, weight: Tensor, turns: float) -> Tensor:
    """A decoder of that many turns; it leaves the encoder's weight alone."""
    return torch.cat([folded(z), torch.cos(turns * z), torch.sin(turns * z)], -1)


STEADY = partial(waves, turns=0.0)


@dataclass(frozen=True)
class Model:
    """A model with a likelihood of its own: how wide posteriors are, what is decoded, how z is drawn."""

    width: Callable[[Tensor], Tensor] = lambda mu: torch.full_like(mu, -1.5)
    show: Callable[[Tensor, Tensor], Tensor] = STEADY
    draw: Draw | None = None

    def __call__(self, turns: float, seed: int) -> Subject:
        return Modelled(self, seed)


class Modelled(Subject):
    """As one training gives it: codes a few per cent wider or narrower."""

    latent_dim = D

    def __init__(self, plan: Model, seed: int) -> None:
        read = Read(plan.width, float(np.exp(0.03 * np.random.default_rng([seed, 8]).standard_normal())))
        parts = (Conditional(lambda *_: read, Gaussian(), (3 * D,), (D,)), StandardNormal((D,)))
        latent = Flat(*parts) if plan.draw is None else Drawn(plan.draw, *parts)
        likelihood = Conditional(lambda *_: Show(plan.show, read.weight), Homoscedastic(SCALE), (D,), (3 * D,))
        self.model = LatentVariableModel(latent, likelihood)
        self.space: Any = SimpleNamespace(model=self.model, device=self.device, beta=1.0)

    @torch.no_grad()
    def encode(self, x: Any) -> tuple[Any, Any]:
        mu, sigma = gaussian_posterior(self.model, torch.from_numpy(x))
        return mu.numpy(), sigma.numpy()

    @torch.no_grad()
    def decode(self, z: Any) -> Any:
        return self.model.decode(torch.from_numpy(z)).numpy()

    def cycle(self, z: Any) -> Any:
        return self.encode(self.decode(z))[0]


SCALE = 0.2  # of the likelihood


def balanced(mu: Tensor) -> Tensor:
    """log σ as the decoder `folded` asks for: 1/σ² = 1 + (2 + cos 2μ)²/SCALE²."""
    return -0.5 * torch.log1p((2 + torch.cos(2 * mu)) ** 2 / SCALE**2)


# ------------------------------------------------------------------------------------------------ measured


def measured(plan: Callable[[float, int], Subject] | None, turns: float, measure: str, seed: int) -> dict[str, Estimate]:
    """The figures of the survey's own chapter in which `measure` is; None: the cross-fade."""
    chapter = next(one for one in CHAPTERS if measure in one.measures)
    return _chapter(plan, turns, chapter, seed)


@cache
def _chapter(plan: Any, turns: float, chapter: Any, seed: int) -> dict[str, Estimate]:
    shared = material(turns)
    if plan is None:
        ends = shared.pairs(SAMPLES, 1)
        first, second = (shared.test.images[rows] for rows in ends)
        return middle(shared.reference, EFFORT, cross_fade(first, second), ends)
    evaluation = Evaluation(plan(turns, seed), shared, EFFORT, seed)
    assert chapter.lacks(evaluation) is None
    return chapter.measure(evaluation)[0]
