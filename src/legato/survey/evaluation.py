"""The evaluation of one model: what several chapters need of it, computed once when first asked for.

Covered: codes of training and test rows, draws from posteriors, decoded reconstructions and samples of the ladder, whitening.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from legato.lazy import lazy
from legato.measures.whitening import Whitening
from legato.moments import of_rows
from legato.streams import random_stream
from legato.survey.effort import Effort
from legato.survey.material import Material
from legato.survey.reference import ReferenceFeatures
from legato.survey.subject import Subject
from legato.types import Floats

# of the mixture fitted to codes, and to how many of them: a rung between Gaussian and codes need not be exact
COMPONENTS, FITTED = 10, 5000


@dataclass(frozen=True)
class Codes:
    """μ (n, d) and σ (n, d); None for points. `of`: the population they are of, whose draws have a noise of their own."""

    mu: Floats
    sigma: Floats | None
    of: str

    def draw(self, seed: int, purpose: str = "posterior") -> Floats:
        """One draw of each posterior, (n, d); a point is its own draw.

        The noise is the same for every model, and another for every population: training and test codes that shared it would
        lie on each other wherever a posterior is the prior, and a kernel estimate on the ones would find the others too near.
        """
        if self.sigma is None:
            return self.mu
        # in single precision, as decoders take it: half the time and memory of doubles
        noise = random_stream(seed, purpose, self.of).standard_normal(self.mu.shape, dtype=np.float32)
        return np.asarray(self.mu + self.sigma * noise, np.float32)

    @property
    def widths(self) -> Floats:
        """σ, zeros for points."""
        return np.zeros_like(self.mu) if self.sigma is None else self.sigma


class Evaluation:
    """A subject, the material, the effort, and what is computed of them."""

    largest: int | None = None  # dimensions up to which a covariance is kept whole; None: as everywhere

    def __init__(self, subject: Subject, shared: Material, effort: Effort, seed: int) -> None:
        self.subject, self.shared, self.effort, self.seed = subject, shared, effort, seed

    @lazy
    def train(self) -> Codes:
        """Codes of the training rows."""
        return Codes(*self.subject.encode(self.shared.train.x), "training rows")

    @lazy
    def test(self) -> Codes:
        """Codes of the test rows."""
        return Codes(*self.subject.encode(self.shared.test.x), "test rows")

    @lazy
    def whitening(self) -> Whitening:
        """The whitening of the training population, noise included: every latent distance is measured in its units."""
        return Whitening.fit(self.train.mu, self.train.sigma, self.largest)

    @property
    def reference(self) -> ReferenceFeatures:
        """The features in which images are compared."""
        return self.shared.reference

    @property
    def beta(self) -> float:
        """The charge for each nat of rate; 0 where nothing was charged."""
        space = self.subject.space
        return 0.0 if space is None else space.beta

    @lazy
    def self_sampled(self) -> Codes:
        """Codes of images drawn from the model itself, as many as training rows: a population that matches its prior."""
        space = self.subject.space
        assert space is not None
        # As many as training rows: mutual information is at most log N, and is compared at one N.
        drawn = space.draw_prepared(self.subject.prior(len(self.shared.train), self.seed, "self-sampled"), self.seed)
        return Codes(*self.subject.encode(drawn), "images of its own")

    @lazy
    def reconstructions(self) -> Floats:
        """Decoded posterior means of test rows."""
        return self.subject.decode(self.test.mu)

    @lazy
    def ladder(self) -> dict[str, Floats]:
        """Codes on each step between the population and the prior: a mixture fitted to training codes (where there are codes
        enough for one), a Gaussian, N(0, I).
        """
        n, codes = self.effort.samples, self.train.draw(self.seed, "fitted to")
        return {
            **({} if self.no_mixture else {"mixture": _mixture(codes, n, self.seed)}),
            "gaussian": gaussian(codes, n, self.seed, self.largest),
            "prior": self.subject.prior(n, self.seed, "samples"),
        }

    @property
    def no_mixture(self) -> str | None:
        """The reason why no mixture is fitted: a covariance from fewer than two codes for each dimension would be noise."""
        d = self.subject.latent_dim
        if 2 * d * COMPONENTS <= FITTED:
            return None
        return f"{COMPONENTS} Gaussians of {d} × {d} numbers cannot be told from {FITTED:,} codes"

    @lazy
    def samples(self) -> dict[str, Floats]:
        """The images that the ladder's codes decode to."""
        return {name: self.subject.decode(codes) for name, codes in self.ladder.items()}

    @lazy
    def ends(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the test set that paths join: the same for every model."""
        return self.shared.pairs(self.effort.paths)


def _mixture(codes: Floats, n: int, seed: int) -> Floats:
    """n draws from a mixture of ten Gaussians fitted to codes, in a random order."""
    # A seeded draw in double precision: EM's covariances of narrow codes would lose definiteness in single.
    some = codes[random_stream(seed, "fitted").permutation(len(codes))[:FITTED]].astype(np.float64)
    # in units of the codes' own variance: the default 10⁻⁶ alone would be wide beside a narrow autoencoder's codes
    fitted = GaussianMixture(COMPONENTS, reg_covar=1e-6 * float(some.var()), random_state=seed, max_iter=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # any mixture will do: it is a rung of a ladder, no estimate
        drawn, _ = fitted.fit(some).sample(n)
    # scikit-learn draws component by component: the first n would be of the first components
    return np.asarray(random_stream(seed, "mixture").permutation(drawn), np.float32)


def gaussian(codes: Floats, n: int, seed: int, largest: int | None = None) -> Floats:
    """n draws from the Gaussian with the mean and covariance of codes; above `largest` dimensions, with a sketch of it."""
    # n − 1, so that few codes do not make too narrow a Gaussian
    fitted = of_rows(codes, unbiased=True, largest=largest)
    return np.asarray(fitted.draw(n, random_stream(seed, "gaussian")), np.float32)
