"""What small moves in latent space do: perturbation curves, the decoder's stretch at three places, encode(decode(z))."""

from __future__ import annotations

import numpy as np
import torch

from legato.data.preparation import Floats
from legato.measures.cycle import code_cycle
from legato.measures.estimate import Estimate
from legato.measures.geometry import Stretch, stretch, stretch_by_differences
from legato.measures.perturbation import Curve, perturb
from legato.survey.chapter import Chapter, Found
from legato.survey.visit import Visit

DECODINGS = 20_000  # by differences, at each place: 2d for each code
TENTH = 0.1  # of √(2d), how far two codes of a white population lie apart; a linear decoder moves by a tenth, too


def disturbed(visit: Visit) -> Found:
    """C(r) around draws z ~ q(z|x) of test rows, in pixels, in features, and as changes of class; r50 of each.

    Around draws, not means: a step is measured in S = Cov(mu) + E sigma^2, the spread of draws. Around the means of an encoder
    whose clouds are wide and whose means hardly differ, every step would be huge beside the distances that it is compared with.
    """
    codes = visit.test.draw(visit.seed, "disturbed")[: visit.effort.noisy]
    eyes = visit.eyes
    found = perturb(
        visit.subject.decode, codes, visit.whitening, features=eyes.features, classify=eyes.classify, seed=visit.seed
    )
    kinds = {"r50": found.pixels, "r50 in features": found.features, "flip50": found.flips}
    figures = {name: curve.half() for name, curve in kinds.items() if curve is not None}
    figures["moved by a tenth"] = found.pixels.at(TENTH * float(np.sqrt(2 * visit.subject.latent_dim)))
    curves = {f"curve of {name}": _curve(curve) for name, curve in kinds.items() if curve is not None}
    return figures, curves


def cycle(visit: Visit) -> Found:
    """encode(decode(z)) beside z, at codes of test rows and at the prior's draws."""
    figures = {}
    for place, codes in {"posterior": visit.test.draw(visit.seed, "sent round"), "prior": visit.ladder["prior"]}.items():
        some = codes[: visit.effort.noisy]
        figures[f"cycle {place}"] = code_cycle(some, visit.subject.cycle(some), visit.whitening)
    return figures, {}


def stretched(visit: Visit) -> Found:
    """The largest singular value of J S^½ at draws of posteriors, of the prior, and at midpoints of test means."""
    apart = min(visit.effort.places, len(visit.test.mu) // 2)  # pairs that share no row
    first, second = (visit.test.mu[rows[:apart]] for rows in visit.ends)
    places = {
        "posterior": visit.test.draw(visit.seed, "stretched")[: visit.effort.places],
        "prior": visit.ladder["prior"][: visit.effort.places],
        "midpoint": 0.5 * (first + second),
    }
    figures: dict[str, Estimate] = {}
    for place, codes in places.items():
        found = _stretch(visit, codes).estimates()
        figures |= {f"stretch {place}": found["median"], f"stretch {place} p99": found["p99"]}
        figures[f"stretch {place} unevenness"] = found["unevenness"]
    return figures, {}


def _stretch(visit: Visit, codes: Floats) -> Stretch:
    """By derivatives where the decoder has them, else by differences, at as many codes as a number of decodings allows."""
    subject = visit.subject
    if subject.decoder is None:
        return stretch_by_differences(subject.decode, codes[: max(DECODINGS // (2 * subject.latent_dim), 2)], visit.whitening)
    z = torch.from_numpy(np.asarray(codes, np.float32)).to(subject.device)
    return stretch(subject.decoder, z, visit.whitening, seed=visit.seed)


def _curve(curve: Curve) -> dict[str, list[float | None]]:
    """C at every radius with its interval."""
    found = curve.estimates()
    ends = {"value": [e.value for e in found], "low": [e.low for e in found], "high": [e.high for e in found]}
    return {"radii": [float(r) for r in curve.radii], **ends}


_PLACES = ("posterior", "prior", "midpoint")
_STRETCH = tuple(f"stretch {place}{what}" for place in _PLACES for what in ("", " p99", " unevenness"))
NOISE = Chapter("robustness", ("r50", "r50 in features", "flip50", "moved by a tenth"), disturbed)
CYCLE = Chapter("cycle", ("cycle posterior", "cycle prior"), cycle)
STRETCH = Chapter("stretch", _STRETCH, stretched)
