"""The charge of a loss: how many nats of distortion a nat of rate costs in it, read from its derivatives.

A loss L(x, x̂, μ, log σ²) is differentiated by x̂ and by (μ, log σ²), each held fixed while the other moves. Against the KL's
own derivative, (μ, ½(σ² − 1)), the second is a multiple κ; against the derivative of a known likelihood the first is a
multiple ρ; the effective β is κ over what a nat of distortion weighs. Both derivatives are taken by autograd and by central
differences: where these differ, a part of the loss never reached the weights. A batch repeated tells whether both parts are
averaged over it alike. Covered: Gaussian, Bernoulli and Laplace likelihoods, of which the Gaussian's and Laplace's scale is
the residuals' own; KL to N(0, I). Not covered: losses that read anything else than these four, critics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from legato.doctor.found import Found
from legato.doctor.patient import Loss, Patient
from legato.errors import Mistake
from legato.measures.estimate import Estimate, absent, bootstrap
from legato.streams import random_stream
from legato.types import Doubles, Floats

EXAMPLES = 64  # of a batch that is differentiated
DIRECTIONS = 8  # along which differences are taken, of each side
LIKE = 0.99  # R² from which a derivative is taken for that of a known term
STEPS = {torch.float64: 1e-6, torch.float32: 1e-2}  # small: a step over a kink is a difference of its own
ROUNDING = {torch.float64: 1e-5, torch.float32: 1e-2}  # of differences by such steps
EDGE = 1e-6  # of a probability: at 0 and 1 a Bernoulli has no derivative
KEYS = (
    "effective beta",
    "charge on the KL",
    "likeness to a KL",
    "weight of the reconstruction",
    "lost gradient",
    "batch dependence",
)
NO_LOSS = "the loss is not known: --loss module:function, or `loss`, (x, reconstruction, mu, log sigma^2) -> a number"


@dataclass(frozen=True)
class Point:
    """A batch at which a loss is differentiated: x, x̂, μ and log σ² (B, …) each."""

    x: Tensor
    rebuilt: Tensor
    mu: Tensor
    log_variance: Tensor

    def twice(self) -> Point:
        """The batch and itself again."""
        return Point(*(torch.cat([part, part]) for part in self.parts))

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """In the order in which a loss takes them."""
        return self.x, self.rebuilt, self.mu, self.log_variance

    def moved(self, by: Sequence[Tensor], size: float) -> Point:
        """Moved in all but x, so far along three directions."""
        return Point(self.x, *(part + size * one for part, one in zip(self.parts[1:], by, strict=True)))


@dataclass(frozen=True)
class Slopes:
    """∂L/∂x̂ and ∂L/∂(μ, log σ²), (B, …) flat."""

    rebuilt: Doubles
    code: Doubles


def slopes(loss: Loss, at: Point) -> Slopes:
    """By autograd; 0 where the loss has none. Raises `Mistake` where it gives no number."""
    leaves = [part.detach().clone().requires_grad_() for part in at.parts[1:]]
    with torch.enable_grad():
        found = _number(loss(at.x, *leaves))
    given = [None] * 3 if not found.requires_grad else torch.autograd.grad(found, leaves, allow_unused=True)
    rebuilt, mu, log_variance = (
        np.asarray((torch.zeros_like(leaf) if one is None else one).detach().double().flatten(1).cpu().numpy())
        for one, leaf in zip(given, leaves, strict=True)
    )
    return Slopes(rebuilt, np.concatenate([mu, log_variance], 1))


def differences(loss: Loss, at: Point, seed: int = 0) -> tuple[Doubles, Doubles]:
    """Derivatives along random directions, of x̂ alone, then of μ and log σ², by autograd and by central differences, (16,)."""
    rng, own, found = random_stream(seed, "directions of a loss"), slopes(loss, at), []
    size = STEPS[at.rebuilt.dtype]
    for moves in ((True, False, False), (False, True, True)):
        for _ in range(DIRECTIONS):
            by = [_direction(part, rng) if moves[i] else torch.zeros_like(part) for i, part in enumerate(at.parts[1:])]
            by[0] = by[0] * _room(at.rebuilt)
            known = (own.rebuilt * _flat(by[0])).sum() + (own.code * np.concatenate([_flat(by[1]), _flat(by[2])], 1)).sum()
            with torch.no_grad():
                ahead, behind = (float(_number(loss(*at.moved(by, way).parts))) for way in (size, -size))
            found.append((float(known), (ahead - behind) / (2 * size)))
    by_autograd, by_differences = np.array(found).T
    return by_autograd, by_differences


def _direction(part: Tensor, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.standard_normal(tuple(part.shape))).to(part)


def lost_gradient(loss: Loss, at: Point, seed: int = 0) -> Estimate:
    """‖autograd − differences‖/‖differences‖ over random directions, the larger of both sides': 0 where no gradient is lost."""
    method = (
        f"|autograd - central differences| / |differences| along {DIRECTIONS} directions of the reconstruction and of the code"
    )
    known, true = (part.reshape(2, -1) for part in differences(loss, at, seed))
    size = np.linalg.norm(true, axis=1)
    # a side that the loss does not read at all has no derivative to lose
    live = size > 1e-6 * size.max()
    if not live.any():
        return absent("the loss moves with neither side", "share", method)
    found, rounding = float((np.linalg.norm(known - true, axis=1)[live] / size[live]).max()), ROUNDING[at.rebuilt.dtype]
    method = f"{method}; less than {rounding:g} counts as rounding, 0"
    return Estimate(found if found >= rounding else 0.0, None, None, len(at.x), "share", method)


def charged(patient: Patient) -> Found:
    """β of a RUN's own objective, or of the loss given; absent where there is neither."""
    if patient.test.sigma is None:
        raise Mistake("the posterior is a point: no KL is charged on it")
    if patient.loss is None:
        space = patient.subject.space
        if space is None:
            return Found(dict.fromkeys(KEYS, absent(NO_LOSS)))
        known = Estimate(
            patient.beta, None, None, 0, "nats a nat", "the RUN's own objective: weight of the rate over the distortion's"
        )
        return Found(
            {"effective beta": known, **dict.fromkeys(KEYS[1:], absent("the RUN's own objective has no hidden weights"))}
        )
    return Found(of_loss(patient.loss, point(patient, patient.loss), patient.seed))


def point(patient: Patient, loss: Loss) -> Point:
    """Test rows, what their draws decode to, and their posteriors; in double precision where the loss takes it."""
    n = min(EXAMPLES, len(patient.test.mu))
    assert patient.test.sigma is not None
    event = (n, *patient.event)
    found: list[Floats] = [
        patient.shared.test.x[:n],
        patient.subject.decode(patient.drawn[:n]),
        patient.test.mu[:n].reshape(event),
        2 * np.log(patient.test.sigma[:n].reshape(event)),
    ]
    wide = Point(*(torch.from_numpy(np.asarray(part, np.float64)) for part in found))
    try:
        slopes(loss, wide)
    except RuntimeError:  # a net within the loss, whose weights are of single precision
        return Point(*(part.float() for part in wide.parts))
    return wide


def of_loss(loss: Loss, at: Point, seed: int = 0) -> dict[str, Estimate]:
    """Every figure of a loss at a batch."""
    own, twice = slopes(loss, at), slopes(loss, at.twice())
    n, figures = len(at.x), {"lost gradient": lost_gradient(loss, at, seed)}
    averaged = {name: _averaged(getattr(own, name), getattr(twice, name)[:n]) for name in ("rebuilt", "code")}
    figures["batch dependence"] = _batch(averaged)
    size = {name: n if share is None or share < 0.75 else 1 for name, share in averaged.items()}
    figures |= _kl(own.code * size["code"], at)
    return figures | _reconstruction(own.rebuilt * size["rebuilt"], own.code * size["code"], at)


def _kl(code: Doubles, at: Point) -> dict[str, Estimate]:
    """κ, and how like the derivative is to a KL's."""
    method, unlike = "slope of the loss by (mu, log sigma^2) on the KL's own", "R^2 of that fit"
    _, like = _fit(code, kl_slopes(at))
    charge = _ratio(code, kl_slopes(at), "loss by nat", method)
    if not code.any():
        return {"charge on the KL": charge, "likeness to a KL": absent("nothing is charged on mu and sigma", "R2", unlike)}
    return {"charge on the KL": charge, "likeness to a KL": Estimate(like, None, None, len(code), "R2", unlike)}


def _reconstruction(rebuilt: Doubles, code: Doubles, at: Point) -> dict[str, Estimate]:
    """What a nat of distortion weighs, by the likelihood whose derivative fits; and β, what a nat of rate weighs over it."""
    nats = {name: form(at) for name, form in FORMS.items()}
    usable = {name: one for name, one in nats.items() if np.isfinite(one).all() and one.any()}
    fits = {name: _fit(rebuilt, one) for name, one in usable.items()}
    best = max(fits, key=lambda name: fits[name][1], default="")
    if not best or fits[best][1] < LIKE or not fits[best][0] > 0:
        why = "the reconstruction's term is that of no likelihood known here: a nat of it has no weight"
        return {"weight of the reconstruction": absent(why), "effective beta": absent(why)}
    form, method = usable[best], f"derivative by the reconstruction on that of a {best} likelihood"
    weight = _ratio(rebuilt, form, "loss by nat", method)
    beta = _quotient(code, kl_slopes(at), rebuilt, form, f"charge on a nat of KL over that on a nat of a {best} likelihood")
    return {"weight of the reconstruction": weight, "effective beta": beta}


def kl_slopes(at: Point) -> Doubles:
    """∂KL(N(μ, σ²) ‖ N(0, I))/∂(μ, log σ²) = (μ, ½(σ² − 1)), (B, 2d), nats."""
    mu, log_variance = _flat(at.mu), _flat(at.log_variance)
    return np.concatenate([mu, 0.5 * np.expm1(log_variance)], 1)


def _gaussian(at: Point) -> Doubles:
    """(x̂ − x)/s², s² the mean square of all residuals: the scale at which they are likeliest."""
    apart = _flat(at.rebuilt) - _flat(at.x)
    return apart / max(float(np.square(apart).mean()), 1e-300)


def _bernoulli(at: Point) -> Doubles:
    """(x̂ − x)/(x̂(1 − x̂)), x̂ a probability."""
    x, rebuilt = _flat(at.x), _flat(at.rebuilt)
    if rebuilt.min() < 0 or rebuilt.max() > 1:
        return np.full_like(rebuilt, np.nan)
    p = np.clip(rebuilt, EDGE, 1 - EDGE)
    return np.asarray((p - x) / (p * (1 - p)))


def _bernoulli_of_logits(at: Point) -> Doubles:
    """1/(1 + e^−x̂) − x, x̂ a logit."""
    return np.asarray(1 / (1 + np.exp(-_flat(at.rebuilt))) - _flat(at.x))


def _laplace(at: Point) -> Doubles:
    """sign(x̂ − x)/b, b the mean of all absolute residuals."""
    apart = _flat(at.rebuilt) - _flat(at.x)
    return np.asarray(np.sign(apart) / max(float(np.abs(apart).mean()), 1e-300))


FORMS: dict[str, Callable[[Point], Doubles]] = {
    "Gaussian": _gaussian,
    "Bernoulli": _bernoulli,
    "Bernoulli (of logits)": _bernoulli_of_logits,
    "Laplace": _laplace,
}


def _room(rebuilt: Tensor) -> Tensor | float:
    """How far values may go: probabilities must stay within 0 and 1."""
    return torch.minimum(rebuilt, 1 - rebuilt) if rebuilt.min() >= 0 and rebuilt.max() <= 1 else 1.0


def _averaged(one: Doubles, of_two: Doubles) -> float | None:
    """How much smaller an example's derivative is in twice the batch: ½ of a mean, 1 of a sum; None of a derivative 0."""
    whole = float((one * one).sum())
    return float((one * of_two).sum()) / whole if whole else None


def _batch(averaged: dict[str, float | None]) -> Estimate:
    """|log₂| of how differently the two parts change with the batch's size: 0 where β is the same for every batch."""
    method = "log2 of how much more one part's weight changes than the other's where the batch is twice as large"
    rebuilt, code = averaged["rebuilt"], averaged["code"]
    if not rebuilt or not code or rebuilt <= 0 or code <= 0:
        return absent("one of the two parts is not charged", "doublings", method)
    return Estimate(abs(math.log2(rebuilt / code)), None, None, 0, "doublings", method)


def _fit(values: Doubles, form: Doubles) -> tuple[float, float]:
    """The multiple of `form` nearest to `values`, and its R² (about 0)."""
    size, whole = float((form * form).sum()), float((values * values).sum())
    if not size or not whole:
        return 0.0, 0.0
    product = float((values * form).sum())
    return product / size, product**2 / (size * whole)


def _ratio(values: Doubles, form: Doubles, unit: str, method: str) -> Estimate:
    upper, lower = (values * form).sum(1), (form * form).sum(1)
    if not lower.any():
        return absent("every posterior is the prior: its KL has no slope", unit, method)
    return bootstrap(lambda w: (w @ upper) / (w @ lower), float(upper.sum() / lower.sum()), len(values), unit, method)


def _quotient(code: Doubles, kl: Doubles, rebuilt: Doubles, form: Doubles, method: str) -> Estimate:
    sums = [(a * b).sum(1) for a, b in ((code, kl), (kl, kl), (rebuilt, form), (form, form))]
    if not sums[1].any():
        return absent("every posterior is the prior: its KL has no slope", "nats a nat", method)

    def of(w: Doubles) -> Doubles:
        charge, size, weight, whole = (w @ one for one in sums)
        return np.asarray((charge / size) / (weight / whole))

    n = len(code)
    return bootstrap(of, float(of(np.full((1, n), 1 / n))[0]), n, "nats a nat", method)


def _flat(part: Tensor) -> Doubles:
    return np.asarray(part.detach().double().flatten(1).cpu().numpy())


def _number(found: Any) -> Tensor:
    if not isinstance(found, Tensor) or found.numel() != 1:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise Mistake(f"the loss gave {shape}: expected one number, a tensor, of (x, reconstruction, mu, log sigma^2)")
    if not torch.isfinite(found).all():
        raise Mistake("the loss is not finite on these images: look at x, reconstruction and log sigma^2")
    return found.reshape(())
