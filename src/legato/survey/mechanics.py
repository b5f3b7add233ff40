"""Mechanics of training: the balance of forces that sets σ, the way of the gradients, what a draw is distributed as."""

from __future__ import annotations

import torch
from torch import Tensor

from legato.measures.balance import ACTIVE, force_balance
from legato.measures.draws import distance_to_own, distance_to_standard, posterior_draws
from legato.measures.estimate import absent
from legato.measures.gradients import bias, model_detach_test, model_estimators, signal_to_noise, variance_ratio
from legato.model import LatentVariableModel
from legato.survey.chapter import Chapter, Found
from legato.survey.evaluation import Evaluation

IMAGES, DRAWS = 50, 400  # few images and many draws: the ratio of variances is estimated for each image from its own draws
JACOBIANS = 4  # draws over which JᵀWJ is averaged: at the mean alone it misses the curvature that wide clouds see
SPREAD, SHOWN = 20, 10_000  # test rows whose draws are looked at, and draws of each: 1,000 of N(0, 1) are at 0.027 from it


def balance(evaluation: Evaluation) -> Found:
    """log σ as 1 + [JᵀWJ]/β says it must be, beside what the encoder says, within each active dimension."""
    beta = evaluation.beta
    # At β = 0 the balance divides by β, and no σ is predicted.
    if not beta:
        reason = absent("no KL is charged: nothing holds sigma up")
        return {"force balance": reason, "force balance fitted": reason}, {}
    found = force_balance(_model(evaluation), _some(evaluation, evaluation.effort.places), beta, JACOBIANS, evaluation.seed)
    shown = {"predicted": found.predicted[:, found.active], "learnt": found.learnt[:, found.active]}
    # a hundred images are what a figure can show, and four digits what a dot can
    curves = {name: values[:100].round(4).tolist() for name, values in shown.items()}
    return {"force balance": found.r2(evaluation.seed), "force balance fitted": found.fitted_r2(evaluation.seed)}, {
        "balance": curves
    }


def gradients(evaluation: Evaluation) -> Found:
    """The reconstruction's gradient by the encoder with and without the trick, and beside the score function's."""
    model, x = _model(evaluation), _some(evaluation, IMAGES)
    active = evaluation.test.mu.var(0) > ACTIVE  # the dimensions that the decoder reads: in others both variances are near 0
    found = model_estimators(model, x, DRAWS, evaluation.seed)["mu"]
    return {
        "detached gradient": model_detach_test(model, x, evaluation.seed),
        "variance ratio": variance_ratio(found, found.baseline, active),
        "variance ratio without baseline": variance_ratio(found, found.score, active),
        "bias of the score function": bias(found, found.baseline),
        "signal to noise, pathwise": signal_to_noise(found, found.pathwise),
        "signal to noise, score function": signal_to_noise(found, found.baseline),
    }, {}


def draws(evaluation: Evaluation) -> Found:
    """Draws of z beside their own N(μ, σ²), and beside N(0, 1)."""
    z, mu, sigma = posterior_draws(_model(evaluation), _some(evaluation, SPREAD), SHOWN, evaluation.seed)
    return {"distance to own": distance_to_own(z, mu, sigma), "distance to standard": distance_to_standard(z)}, {}


def _model(evaluation: Evaluation) -> LatentVariableModel:
    assert evaluation.subject.space is not None
    return evaluation.subject.space.model


def _some(evaluation: Evaluation, n: int) -> Tensor:
    assert evaluation.subject.space is not None
    return torch.from_numpy(evaluation.shared.test.x[:n]).to(evaluation.subject.space.device)


_GRADIENTS = (
    "detached gradient",
    "variance ratio",
    "variance ratio without baseline",
    "bias of the score function",
    "signal to noise, pathwise",
    "signal to noise, score function",
)
BALANCE = Chapter("balance of forces", ("force balance", "force balance fitted"), balance)
GRADIENTS = Chapter("gradients", _GRADIENTS, gradients)
DRAWN = Chapter("draws", ("distance to own", "distance to standard"), draws)
