"""Robustness to small moves in latent space: perturbation curves, the decoder's stretch at three places, encode(decode(z))."""

from __future__ import annotations

import numpy as np
import torch

from legato.measures.cycle import code_cycle
from legato.measures.estimate import Estimate
from legato.measures.geometry import Stretch, stretch, stretch_by_differences
from legato.measures.perturbation import Curve, perturb
from legato.survey.chapter import Chapter, Found
from legato.survey.evaluation import Evaluation
from legato.types import Floats

DECODINGS = 20_000  # by differences, at each place, 2d for each code: it bounds the time, however many latents there are
TENTH = 0.1  # of √(2d), how far two codes of a white population lie apart; a linear decoder moves by a tenth, too


def disturbed(evaluation: Evaluation) -> Found:
    """C(r) around draws z ~ q(z|x) of test rows, in pixels, in features, and as changes of class; r50 of each.

    Around draws, not means: a step is measured in S = Cov(mu) + E sigma^2, the spread of draws. Around the means of an encoder
    whose clouds are wide and whose means hardly differ, every step would be huge beside the distances that it is compared with.
    """
    codes = evaluation.test.draw(evaluation.seed, "disturbed")[: evaluation.effort.noisy]
    reference = evaluation.reference
    found = perturb(
        evaluation.subject.decode,
        codes,
        evaluation.whitening,
        features=reference.features,
        classify=reference.classify,
        seed=evaluation.seed,
    )
    kinds = {"r50": found.pixels, "r50 in features": found.features, "flip50": found.flips}
    figures = {name: curve.half() for name, curve in kinds.items() if curve is not None}
    figures["moved by a tenth"] = found.pixels.at(TENTH * float(np.sqrt(2 * evaluation.subject.latent_dim)))
    curves = {f"curve of {name}": _curve(curve) for name, curve in kinds.items() if curve is not None}
    return figures, curves


def cycle(evaluation: Evaluation) -> Found:
    """encode(decode(z)) beside z, at codes of test rows and at the prior's draws."""
    figures = {}
    for place, codes in {
        "posterior": evaluation.test.draw(evaluation.seed, "sent round"),
        "prior": evaluation.ladder["prior"],
    }.items():
        some = codes[: evaluation.effort.noisy]
        figures[f"cycle {place}"] = code_cycle(some, evaluation.subject.cycle(some), evaluation.whitening)
    return figures, {}


def stretched(evaluation: Evaluation) -> Found:
    """The largest singular value of J S^½ at draws of posteriors, of the prior, and at midpoints of test means."""
    # pairs that share no row: their midpoints are then independent examples
    apart = min(evaluation.effort.places, len(evaluation.test.mu) // 2)
    first, second = (evaluation.test.mu[rows[:apart]] for rows in evaluation.ends)
    places = {
        "posterior": evaluation.test.draw(evaluation.seed, "stretched")[: evaluation.effort.places],
        "prior": evaluation.ladder["prior"][: evaluation.effort.places],
        "midpoint": 0.5 * (first + second),
    }
    figures: dict[str, Estimate] = {}
    for place, codes in places.items():
        found = _stretch(evaluation, codes).estimates()
        figures |= {f"stretch {place}": found["median"], f"stretch {place} p99": found["p99"]}
        figures[f"stretch {place} unevenness"] = found["unevenness"]
    return figures, {}


def _stretch(evaluation: Evaluation, codes: Floats) -> Stretch:
    """The stretch by derivatives, or by differences where the decoder has none, at as many codes as the effort allows."""
    subject = evaluation.subject
    if subject.decoder is None:
        return stretch_by_differences(
            # at least two codes: of one there is no interval
            subject.decode,
            codes[: max(DECODINGS // (2 * subject.latent_dim), 2)],
            evaluation.whitening,
        )
    z = torch.from_numpy(np.asarray(codes, np.float32)).to(subject.device)
    return stretch(subject.decoder, z, evaluation.whitening, seed=evaluation.seed)


def _curve(curve: Curve) -> dict[str, list[float | None]]:
    """C at every radius with its interval."""
    # With its interval at every radius: a curve without one would look exact.
    found = curve.estimates()
    ends = {"value": [e.value for e in found], "low": [e.low for e in found], "high": [e.high for e in found]}
    return {"radii": [float(r) for r in curve.radii], **ends}


_PLACES = ("posterior", "prior", "midpoint")
_STRETCH = tuple(f"stretch {place}{what}" for place in _PLACES for what in ("", " p99", " unevenness"))
NOISE = Chapter("robustness", ("r50", "r50 in features", "flip50", "moved by a tenth"), disturbed)
CYCLE = Chapter("cycle", ("cycle posterior", "cycle prior"), cycle)
STRETCH = Chapter("stretch", _STRETCH, stretched)
