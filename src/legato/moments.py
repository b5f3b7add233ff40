"""Moments of a population of codes: the mean and the covariance, whole where that is small, else directions and a diagonal.

A covariance of 65,536 dimensions would take 34 GB. Above `LARGEST` dimensions S is FᵀF + diag r instead: F the directions in
which the codes vary most, r what these leave of each dimension's own variance. Every variance is then exact, and S itself where
the codes vary in at most `RANK` directions. This file alone decides which of the two it is. Covered: draws, variances,
directions, log det. Not covered: latent units (measures/whitening.py), codes as a mixture (population.py).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.types import Doubles

LARGEST = 4096  # dimensions up to which a covariance is kept whole: 134 MB, some seconds for its eigenvectors
RANK = 64  # directions that are kept above: 34 MB at 65,536 dimensions
FEWER = 1000  # codes at most of a training where no covariance is whole: each block of them costs a pass over all directions
FAR = 1.0  # nats from N(0, I) from which a population is told to lie elsewhere: a lower bound, so that none is told for nothing
BLOCK = 64  # rows that are taken in at once: the work for each is least near the number of directions


def whole(dimensions: int) -> bool:
    """True where a covariance of so many dimensions is kept whole."""
    return dimensions <= LARGEST


@dataclass(frozen=True, eq=False)
class Moments(ABC):
    """m = E z (d,) and S = E (z − m)(z − m)ᵀ; `noise` (d,): the part of S's diagonal that is E σ²."""

    mean: Doubles
    noise: Doubles

    @property
    @abstractmethod
    def variances(self) -> Doubles:
        """The diagonal of S, (d,)."""

    @abstractmethod
    def along(self, direction: Doubles) -> float:
        """uᵀSu, the variance along a direction u (d,)."""

    @abstractmethod
    def draw(self, n: int, rng: np.random.Generator) -> Doubles:
        """n draws from N(m, S), (n, d)."""

    @abstractmethod
    def nats_from_prior(self) -> float:
        """KL(N(m, S) ‖ N(0, I)), nats (`nats_from_prior`)."""

    @abstractmethod
    def leading(self, count: int) -> Doubles:
        """Up to `count` unit eigenvectors of S, (k, d), those of the largest variances first; of S without noise where it is a
        sum of directions and a diagonal. A sign is free: the largest number of each is positive.
        """

    @abstractmethod
    def with_noise(self, noise: Doubles) -> Moments:
        """The same population with a noise of variances (d,) added to each code."""

    @abstractmethod
    def matrix(self) -> Doubles:
        """S, (d, d). Raises `Mistake` where it is not kept."""

    @abstractmethod
    def arrays(self) -> dict[str, Doubles]:
        """The arrays that are stored of it, by name."""


@dataclass(frozen=True, eq=False)
class Whole(Moments):
    """S as it is, (d, d)."""

    covariance: Doubles

    @property
    def variances(self) -> Doubles:
        """The diagonal of S, (d,)."""
        return np.asarray(np.diag(self.covariance))

    def along(self, direction: Doubles) -> float:
        """uᵀSu."""
        return float(direction @ self.covariance @ direction)

    def draw(self, n: int, rng: np.random.Generator) -> Doubles:
        """n draws, made by the eigenvectors of S, so that it may be singular."""
        return np.asarray(rng.multivariate_normal(self.mean, self.covariance, n, method="eigh"))

    def nats_from_prior(self) -> float:
        """½ (tr S + |m|² − d − log det S)."""
        return nats_from_prior(self.mean, self.covariance)

    def leading(self, count: int) -> Doubles:
        """The eigenvectors of S."""
        return eigenvectors(self.covariance)[1][:count]

    def with_noise(self, noise: Doubles) -> Whole:
        """S + diag(noise)."""
        return replace(self, noise=self.noise + noise, covariance=self.covariance + np.diag(noise))

    def matrix(self) -> Doubles:
        """S itself."""
        return self.covariance

    def arrays(self) -> dict[str, Doubles]:
        """mean, covariance, noise."""
        return {"mean": self.mean, "covariance": self.covariance, "noise": self.noise}


@dataclass(frozen=True, eq=False)
class Sketch(Moments):
    """S = FᵀF + diag r: `factors` F (k, d), orthogonal rows, the longest first; `rest` r (d,), noise included."""

    factors: Doubles
    rest: Doubles

    @property
    def variances(self) -> Doubles:
        """The diagonal of S, (d,): no less exact than of a whole S."""
        return np.asarray(np.square(self.factors).sum(0) + self.rest)

    def along(self, direction: Doubles) -> float:
        """|Fu|² + Σ r u²."""
        return float(np.square(self.factors @ direction).sum() + (self.rest * np.square(direction)).sum())

    def draw(self, n: int, rng: np.random.Generator) -> Doubles:
        """m + Fᵀε + √r ⊙ ε′."""
        wide = np.sqrt(self.rest) * rng.standard_normal((n, len(self.mean)))
        return np.asarray(self.mean + rng.standard_normal((n, len(self.factors))) @ self.factors + wide)

    def nats_from_prior(self) -> float:
        """The same, with det S = Π r · det(I + F diag(1/r) Fᵀ), a determinant of k × k."""
        if not (self.rest > 0).all():  # det S = 0: codes fill a subspace alone
            return math.inf
        inner = np.eye(len(self.factors)) + (self.factors / self.rest) @ self.factors.T
        log_det = float(np.log(self.rest).sum() + np.linalg.slogdet(inner)[1])
        # Not below 0, as rounding may leave it: it is a divergence.
        return max(0.5 * float(self.variances.sum() + self.mean @ self.mean - len(self.mean) - log_det), 0.0)

    def leading(self, count: int) -> Doubles:
        """Rows of F, made 1 long; fewer where there are no more that are not 0."""
        lengths = np.linalg.norm(self.factors[:count], axis=1)
        kept = self.factors[:count][lengths > 0] / lengths[lengths > 0, None]
        return upright(kept)

    def with_noise(self, noise: Doubles) -> Sketch:
        """FᵀF + diag(r + noise)."""
        return replace(self, noise=self.noise + noise, rest=self.rest + noise)

    def matrix(self) -> Doubles:
        """Raises `Mistake`."""
        d = len(self.mean)
        raise Mistake(f"no covariance of {d:,} × {d:,} numbers is kept, {8e-9 * d * d:.0f} GB: `moments()` has what is")

    def arrays(self) -> dict[str, Doubles]:
        """mean, factors, rest, noise."""
        return {"mean": self.mean, "factors": self.factors, "rest": self.rest, "noise": self.noise}


def shapes(dimensions: int) -> dict[str, tuple[int, ...]]:
    """The names and shapes of `arrays`."""
    d, row = dimensions, (dimensions,)
    own = {"covariance": (d, d)} if whole(d) else {"factors": (RANK, d), "rest": row}
    return {"mean": row, **own, "noise": row}


def moments(arrays: dict[str, Doubles]) -> Moments:
    """The inverse of `arrays`."""
    return Whole(**arrays) if "covariance" in arrays else Sketch(**arrays)


def of_rows(rows: NDArray[Any], *, unbiased: bool = False, largest: int | None = None) -> Moments:
    """The moments of codes (n, d), divided by n, or by n − 1. No noise. `largest`: dimensions up to which S is whole: 4,096."""
    n, d = rows.shape
    if not (whole(d) if largest is None else d <= largest):
        found = sketched(rows[at : at + BLOCK] for at in range(0, n, BLOCK))
        share = n / (n - 1) if unbiased else 1.0
        return replace(found, factors=found.factors * np.sqrt(share), rest=found.rest * share)
    wide = rows.astype(np.float64)
    # of one dimension `cov` gives a number
    return Whole(wide.mean(0), np.zeros(d), np.atleast_2d(np.cov(wide.T, bias=not unbiased)))


def sketched(blocks: Iterable[NDArray[Any]]) -> Sketch:
    """The moments of codes that come in blocks (b, d), divided by their number; memory holds some 2 · RANK rows.

    After each block the RANK directions of largest variance are kept, the mean's shift as one more row (Ross et al. 2008,
    https://doi.org/10.1007/s11263-007-0075-7). What a step drops it drops for good, so that FᵀF is never above Cov z and r
    never below 0.
    """
    count, mean, squares, kept = 0, np.zeros(()), np.zeros(()), None
    for block in blocks:
        rows, n = block.astype(np.float64), len(block)
        middle = rows.mean(0)
        shift = (middle - mean) * math.sqrt(count * n / (count + n))
        rows -= middle
        squares = np.asarray(squares + np.square(rows).sum(0) + np.square(shift))
        kept = _longest(np.concatenate([rows, shift[None]] if kept is None else [kept, rows, shift[None]]))
        mean, count = np.asarray(mean + (middle - mean) * (n / (count + n))), count + n
    if kept is None:
        raise Mistake("moments are of codes, 1 or more; got none")
    factors = np.zeros((RANK, len(mean)))  # always RANK rows, so that a file's shapes are known before it is read
    factors[: len(kept)] = kept / math.sqrt(count)
    # rounding may leave less than 0
    return Sketch(mean, np.zeros(len(mean)), factors, np.maximum(squares / count - np.square(factors).sum(0), 0))


def _longest(rows: Doubles) -> Doubles:
    """Up to RANK orthogonal rows F with FᵀF next to that of `rows` (n, d), by the n × n Gram matrix: d² never arises."""
    _, columns = np.linalg.eigh(rows @ rows.T)  # ascending: the longest come last
    return np.asarray(columns[:, ::-1][:, :RANK].T @ rows)


def nats_from_prior(mean: Doubles, covariance: Doubles) -> float:
    """KL(N(m, S) ‖ N(0, I)) = ½ (tr S + |m|² − d − log det S), nats; m (d,), S (d, d).

    At most KL(q̂(z) ‖ N(0, I)) of any population q̂ with these two moments: of all densities with them the Gaussian has the
    largest entropy. Infinite where codes fill a subspace alone.
    """
    sign, log_det = np.linalg.slogdet(covariance)  # a determinant of so many dimensions is no float; its logarithm is
    if sign <= 0:
        return math.inf
    return max(0.5 * float(np.trace(covariance) + mean @ mean - len(mean) - log_det), 0.0)


def eigenvectors(matrix: Doubles) -> tuple[Doubles, Doubles]:
    """(values (d,), vectors (d, d)) of a symmetric matrix, the largest first; the largest number of each vector is positive."""
    values, columns = np.linalg.eigh(matrix)
    return values[::-1], upright(columns.T[::-1])


def upright(vectors: Doubles) -> Doubles:
    """Vectors (k, d), turned so that the largest number of each is positive: a map does not flip from one step to the next."""
    signs = np.sign(vectors[np.arange(len(vectors)), np.abs(vectors).argmax(1)])
    return np.asarray(vectors * signs[:, None])
