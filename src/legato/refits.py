"""Refits: priors fitted to the codes of a trained model in a few minutes, and kept in its RUN.

The population of codes, (1/N) Σ_n q(z|x_n), is what samples should be drawn from, and is seldom the prior that a model was
trained for. A refit lies in the RUN's `priors/` and touches nothing else. Covered: whose codes a prior is fitted to, what it
gains on validation rows, where it is kept. Not covered: how it is fitted (fitted/), samples of it and their distances.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from legato.arguments import Seed, checked
from legato.errors import Mistake
from legato.fitted.fits import Codes, fit, log_density
from legato.fitted.kept import Kind, check_name, write
from legato.fitted.learning import Length
from legato.fitted.matching import FlowMatching
from legato.latent_space import BATCH, LatentSpace
from legato.loading import Trained, opened
from legato.measures.copies import LEAST, copies
from legato.measures.estimate import Estimate, mean_over
from legato.measures.fidelity import frechet, kid
from legato.progress import progress
from legato.survey.material import material
from legato.types import Doubles, Floats

MOST, HELD_OUT = 200_000, 10_000  # training rows whose codes are learnt from, and validation rows that judge
TRAINED, IMAGES, SPATIAL = 10_000, 5_000, 250  # images that copies are looked for among; samples, and of spatial codes
MINUTES = 2.0
NATS = "nats per example"
MISSING = {
    "no_density": "the density of validation codes was not measured",
    "no_distances": "distances of samples were not measured",
}
ONE_CLASS = "this model is of one class at a time, and so are its samples: their distances were not measured"


@dataclass(frozen=True)
class Refit:
    """A prior that was fitted: its name in the RUN, and what its file says of it."""

    name: str
    kind: Kind
    told: dict[str, Any]


@checked
def refit(
    run: Trained,
    prior: Kind = "mixture",
    *,
    name: str | None = None,
    minutes: float = MINUTES,
    steps: int | None = None,
    seed: Seed = 0,
) -> Refit:
    """Fits a prior to the codes of the run's training rows and keeps it in the RUN, by default under the name of its kind.

    gaussian: N(m, S). mixture: up to 100 Gaussians, as many as make validation codes likeliest. flow: a normalising flow.
    flow-matching: a velocity that leads noise to codes. autoregressive: each index of a codebook given those before it. The
    last three are trained for `minutes`, or so many `steps`. Raises `Mistake` where the kind and the codes do not go together.
    """
    check_name(name or prior)
    space, length = opened(run), Length(minutes, steps)
    if space.model.latent.levels:
        raise Mistake(
            "this model has a prior for each level given those above it, and one of whole codes takes the place of none"
        )
    spatial = prior == "flow-matching" and len(space.model.latent.event) == 3
    train, held = codes_of(space, "train", MOST), codes_of(space, "validation", HELD_OUT)
    began = time.monotonic()
    found, sizes, told = fit(prior, space.model, train, held, length, seed)
    told = {"rows": len(train.mu), "seed": seed, "seconds": round(time.monotonic() - began, 1), **told}
    if not isinstance(found, FlowMatching) or found.has_density:
        told |= _judged("no_density", lambda: gains(space, *log_density(found, held)))
    if space.model.needs_class:
        told["no_distances"] = ONE_CLASS
    else:
        fitted, most = space.with_model(space.model.under(found)), SPATIAL if spatial else IMAGES
        told |= _judged("no_distances", lambda: likenesses(space, fitted, train, most))
    with space.run.writing():
        write(space.run.priors, name or prior, {"kind": prior, "options": sizes, "told": told}, found)
    return Refit(name or prior, prior, told)


def _judged(missing: str, figures: Callable[[], dict[str, Estimate]]) -> dict[str, Any]:
    """Figures as JSON, or why there are none: minutes of training are not lost for want of a figure."""
    try:
        return {name: one.to_json() for name, one in figures().items()}
    except Mistake as error:
        return {missing: f"{MISSING[missing]}: {error}"}


def gains(space: LatentSpace, z: Floats, density: Doubles, how: str) -> dict[str, Estimate]:
    """The log density of validation codes z, and what it gains beside the model's own prior: what the ELBO gains, nats."""
    found = {"log_density": mean_over(density, NATS, how)}
    if space.has_density:
        own = space.log_prior(z)
        found["gained"] = mean_over(density - own, NATS, f"beside the model's own log p(z); {how}")
    return found


def likenesses(space: LatentSpace, fitted: LatentSpace, codes: Codes, most: int) -> dict[str, Estimate]:
    """Distances of samples from test images before and after, of reconstructions, which are their floor, and copies.

    In the first of the reference features (survey/reference.py), of as many images as there are test rows, `most` at most:
    Fréchet and kernel distance; the share of samples that are nearer to a training image than 99 % of test images are. And of
    draws z ~ q(z|x) of training images, decoded, which is what a perfect prior gives.
    """
    of = material(space.data(), TRAINED, most)
    n = len(of.test)
    shown = {
        "before": _samples(space, n),
        "after": _samples(fitted, n),
        "codes": space.decode(codes.drawn("shown")[:n]),  # rows are in random order
        "reconstructions": space.decode(space.posterior(of.test.x)[0]),
    }
    features = {name: of.reference.features(images) for name, images in shown.items()}
    real, train = of.reference.real.features, of.reference.features(of.train.images)
    found = {f"frechet {name}": frechet(real, one) for name, one in features.items()}
    found |= {f"kid {name}": kid(real, one) for name, one in features.items()}
    if len(real) >= LEAST:
        found |= {f"copies {name}": copies(train, real, features[name]) for name in ("before", "after")}
    return found


def _samples(space: LatentSpace, n: int) -> Floats:
    return np.asarray(space.sample(n, seed=0, origin="prior"), np.float32)


def codes_of(space: LatentSpace, split: str, most: int) -> Codes:
    """The posteriors of a split's rows, at most so many, with a bar."""
    data = space.data()
    rows = data.split(split).draw(most, "refit")
    parts = []
    with progress("encoding", len(rows), unit="examples") as bar:
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            parts.append(space.posterior(data.rows(some), space.labels(data, some)))
            bar(start + len(some))
    mu, sigma = (np.concatenate(part) for part in zip(*parts, strict=True))
    labels, names = data.dataset.labels, data.dataset.label_names
    label = None if labels is None else np.asarray(labels)[rows]
    return Codes(mu, sigma, space.model.latent.event, label, 0 if label is None else len(names), split)
