"""The demo's table: every figure an estimate over images, with what real digits and raw pixels give beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from legato.codes import lerp
from legato.data.prepared import Prepared
from legato.demo.members import Member
from legato.latent_space import LatentSpace
from legato.measures.digits import DigitFeatures
from legato.measures.estimate import Estimate, mean_over
from legato.measures.likelihood import score
from legato.measures.manifold import Manifold, manifold
from legato.measures.neighbours import Cloud
from legato.measures.semantics import purity
from legato.measures.whitening import Whitening

# test digits, and draws of z for each: the spread of so many digits exceeds what more draws would take away
TESTED, DRAWS = 2000, 4
HALVES = 8  # half-samples, from which intervals of what counts neighbours are read: a bootstrap's copies would be neighbours


@dataclass(frozen=True)
class Row:
    """One model's figures. `elbo`, `sigma` and `relative` are None where a point mass has none.

    sigma: geometric mean of σ over dimensions and digits; relative: the same over the spread of the means, which is what a
    decoder notices. from_prior: share of real digits with a decoded draw of N(0, I) near them; from_codes: with one of a
    Gaussian fitted to the codes; halfway: share of decoded midpoints of two digits' codes that lie among real digits;
    alike: share of a code's ten nearest that show the same digit.
    """

    member: Member
    elbo: Estimate | None
    distortion: Estimate
    sigma: float | None
    relative: float | None
    from_prior: Estimate
    from_codes: Estimate
    halfway: Estimate
    alike: Estimate


@dataclass(frozen=True)
class Yardstick:
    """The figures that a model's are read against.

    `rows`: the test digits; `cloud`: their features; covered: share of test digits with a training digit near them; among:
    share of training digits that lie among test digits; alike: of raw pixels' neighbours.
    """

    rows: NDArray[np.int64]
    labels: NDArray[Any]
    features: DigitFeatures
    cloud: Cloud
    covered: Estimate
    among: Estimate
    alike: Estimate

    def beside(self, images: NDArray[Any]) -> Manifold:
        """The place of these images beside the test digits."""
        return manifold(self.cloud, self.features.of(images), draws=HALVES)


def yardstick(data: Prepared) -> Yardstick:
    """The test digits in the features of the shipped classifier, and what as many training digits measure beside them."""
    tested, features = data.split("test").draw(TESTED, "tested digits"), DigitFeatures()
    real, labels = _original(data, tested), _labels(data)[tested]
    cloud = Cloud(features.of(real))
    # As many training digits as test digits: these shares depend on both numbers.
    again = manifold(cloud, features.of(_original(data, data.split("train").draw(TESTED, "real digits"))), draws=HALVES)
    pixels = purity(real.reshape(len(real), -1), labels).estimate()
    return Yardstick(tested, labels, features, cloud, again.coverage, again.precision, pixels)


def measure(member: Member, data: Prepared, against: Yardstick, seed: int) -> Row:
    """One row, over the yardstick's test digits and as many draws."""
    space, rows = member.space, against.rows
    found = score(space.model, (torch.from_numpy(x).to(space.device) for x in data.batches(rows, 500)), DRAWS, seed)
    mu, sigma = space.encode(data.dataset.take(rows), rows)
    return Row(
        member,
        None if found.rate is None else mean_over(-(found.distortion + found.rate), "nats", "ELBO at beta = 1"),
        mean_over(found.distortion, "nats", "-log p(x|z)"),
        _geometric(sigma) if space.has_width else None,
        _geometric(sigma / mu.std(0)) if space.has_width else None,
        against.beside(space.sample(TESTED, seed=seed, origin="prior")).coverage,
        against.beside(space.sample(TESTED, seed=seed, origin="codes")).coverage,
        # Neighbours in a random order are pairs at random: each digit is an end once.
        against.beside(space.decode(lerp(mu[::2], mu[1::2], 0.5))).precision,
        purity(whitened(space, mu, sigma), against.labels).estimate(),
    )


def whitened(space: LatentSpace, mu: NDArray[Any], sigma: NDArray[Any]) -> NDArray[np.float64]:
    """Codes in standard deviations of the population, so that no dimension's unit decides which are near."""
    return Whitening.fit(mu, sigma if space.has_width else None).apply(mu)


def _geometric(values: NDArray[Any]) -> float:
    return float(np.exp(np.log(values).mean()))  # geometric: widths range over decades


def _original(data: Prepared, rows: NDArray[np.int64]) -> NDArray[Any]:
    return data.preparation.original(data.dataset.take(rows))


def _labels(data: Prepared) -> NDArray[Any]:
    labels = data.dataset.labels
    assert labels is not None
    return np.asarray(labels)
