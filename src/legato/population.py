"""Codes as a mixture of Gaussians, to draw from where their population is no Gaussian.

Covered: mixtures whose number of components is chosen by codes held out. Not covered: one Gaussian's moments (moments.py); the
aggregate posterior itself, sum for sum (measures/aggregate.py).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from legato.errors import Mistake
from legato.moments import whole
from legato.progress import progress
from legato.streams import random_stream
from legato.types import Doubles, Floats, Rows

Parts = tuple[Doubles, Doubles, Doubles]  # weights, means, covariances, in the order of scikit-learn's

# components that are tried, fewest first: each about twice the last, so that few fits reach a hundred
LADDER = (1, 2, 5, 10, 20, 50, 100)
PATIENCE = 2  # numbers of components in a row that may be worse on held-out codes: one alone may be a poor fit's fault
FITTED, HELD_OUT = 10_000, 2_500  # rows whose codes fit and judge a mixture; 20,000 gave no better one (docs/log.md)
HALVES = {"train": FITTED, "validation": HELD_OUT}
FLOOR = 1e-4  # of a component's variances, in units of the population's: a component on a single code would be a point
FEW = 20  # codes of a component for each dimension, below which covariances may be shrunk
SHRUNK = (0.0, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)  # shares of its correlations that a covariance then loses
SMALL = 256  # dimensions up to which any number of components is tried; above, a covariance needs many codes


def check_draw(n: int, temperature: float) -> None:
    """Raises `Mistake` for a number of draws or a temperature that is none."""
    if n < 1:
        raise Mistake(f"the number of samples must be 1 or more, got {n}")
    if not 0 <= temperature < math.inf:
        raise Mistake(f"`temperature` must be a number, 0 or more, got {temperature}")


def drawn_codes(posterior: Callable[[Rows], tuple[Floats, Floats]], rows: Rows, size: int, split: str) -> Doubles:
    """One draw z ~ q(z|x) for each row of a split, (n, d), `size` at a time; `posterior`: row numbers -> μ, σ (n, d)."""
    parts = []
    with progress("encoding", len(rows), unit="examples") as bar:
        for at in range(0, len(rows), size):
            parts.append(posterior(rows[at : at + size]))
            bar(at + len(parts[-1][0]))
    mu, sigma = (np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True))
    return np.asarray(mu + sigma * random_stream(0, "mixture", split).standard_normal(mu.shape))  # one for a model


def of_rows(
    posterior: Callable[[Rows], tuple[Floats, Floats]], rows: Mapping[str, Rows], size: int, dimensions: int
) -> Mixture:
    """`fitted` to draws of the rows of "train", judged by those of "validation". Raises `Mistake` for too many dimensions."""
    check_size(dimensions)  # before anything is encoded
    fit, judge = (drawn_codes(posterior, rows[of], size, of) for of in ("train", "validation"))
    return fitted(fit, judge)


@dataclass(frozen=True)
class Mixture:
    """Σ_k w_k N(z; m_k, S_k): w (K,), m (K, d), S (K, d, d). `held_out`: mean log density of codes that no fit saw, nats."""

    weights: Doubles
    means: Doubles
    covariances: Doubles
    held_out: float

    def draw(self, n: int, rng: np.random.Generator, temperature: float = 1.0) -> Doubles:
        """n draws, (n, d), in a random order; deviations from a component's mean are multiplied by `temperature`."""
        roots = np.linalg.cholesky(self.covariances)
        of = rng.choice(len(self.weights), n, p=self.weights)
        noise = rng.standard_normal((n, self.means.shape[1]))
        return np.asarray(self.means[of] + temperature * np.einsum("nij,nj->ni", roots[of], noise))

    def log_density(self, z: Doubles) -> Doubles:
        """log Σ_k w_k N(z; m_k, S_k), (n, d) -> (n,), nats."""
        return np.asarray(logsumexp([self._one(k, z) for k in range(len(self.weights))], 0))

    def _one(self, k: int, z: Doubles) -> Doubles:
        root = np.linalg.cholesky(self.covariances[k])
        scaled = np.linalg.solve(root, (z - self.means[k]).T)
        constant = 0.5 * z.shape[1] * math.log(2 * math.pi) + np.log(np.diag(root)).sum()
        return np.asarray(math.log(self.weights[k]) - constant - 0.5 * np.square(scaled).sum(0))


def fitted(codes: NDArray[Any], held_out: NDArray[Any], seed: int = 0, more: NDArray[Any] | None = None) -> Mixture:
    """The mixture fitted to `codes` (n, d) under which those of `held_out` (m, d), which no fit sees, are likeliest.

    1, 2, 5, … 100 components with full covariances, by expectation-maximisation from k-means++, until more were worse twice.
    With `more` codes (N, d) the best and those of more components go on with all of them, which bear more components. Beyond
    256 dimensions no more components are tried than have two codes for each dimension. Covariances of few codes are shrunk.
    Raises `Mistake` on codes that are not finite, too few, or of more than 4,096 dimensions.
    """
    check_size(np.shape(codes)[1])
    codes, held_out = np.asarray(codes, np.float64), np.asarray(held_out, np.float64)
    if len(codes) < 2 or not len(held_out):
        raise Mistake(f"a mixture needs 2 codes and 1 to hold out, got {len(codes)} and {len(held_out)}: use --from codes")
    if not (np.isfinite(codes).all() and np.isfinite(held_out).all()):
        raise Mistake("a mixture needs finite codes: the run diverged, train it anew")
    centre, scale = codes.mean(0), np.maximum(codes.std(0), 1e-12)  # a dimension that never moves
    tried: list[tuple[Parts, Mixture]] = []

    def judged(parts: Parts, n: int) -> Mixture:
        return likeliest(_in_units(parts, centre, scale), n, held_out)

    def best() -> int:
        return int(np.argmax([one.held_out for _, one in tried]))

    for count in _tried(*codes.shape):
        parts = _fit((codes - centre) / scale, count, seed)  # in units of the population, for which FLOOR is meant
        tried.append((parts, judged(parts, len(codes))))
        if len(tried) - 1 - best() == PATIENCE:
            break
    if more is not None:
        every = (np.asarray(more, np.float64) - centre) / scale
        tried = [(parts, judged(_fit(every, len(parts[0]), seed, parts), len(every))) for parts, _ in tried[best() :]]
    return tried[best()][1]


def likeliest(parts: Parts, n: int, held_out: Doubles) -> Mixture:
    """The mixture of these parts, fitted to n codes; of few with covariances (1 − γ) S + γ diag S, γ by `held_out`.

    A covariance of hardly more codes than dimensions is flat where they happen not to lie, and other codes do lie there.
    """
    weights, means, covariances = parts
    apart = 1 - np.eye(means.shape[1])
    found = []
    for share in SHRUNK if n < FEW * means.size else SHRUNK[:1]:
        made = Mixture(weights, means, covariances * (1 - share * apart), math.nan)
        found.append(replace(made, held_out=float(made.log_density(held_out).mean())))
    return max(found, key=lambda one: one.held_out)


def check_size(dimensions: int) -> None:
    """Raises `Mistake` where a covariance for each component would be too large."""
    if not whole(dimensions):
        raise Mistake(
            f"a mixture has a covariance for each component, too large at {dimensions:,} dimensions: use --from codes"
        )


def _tried(n: int, dimensions: int) -> list[int]:
    """Numbers of components, fewest first; one at least."""
    least = 2 * dimensions if dimensions > SMALL else 2  # codes for each component: of fewer a covariance is noise
    return [count for count in LADDER if count == 1 or count * least <= n]


def _fit(codes: Doubles, count: int, seed: int, start: Parts | None = None) -> Parts:
    """Weights, means and covariances of `count` components; from a `start` some steps on."""
    from sklearn.exceptions import ConvergenceWarning  # here: it takes half a second to import
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits  # scikit-learn's own way to say how many threads its products have

    with warnings.catch_warnings(), threadpool_limits(1):  # many small products: two threads take twice as long as one
        warnings.simplefilter("ignore", ConvergenceWarning)  # codes held out judge a fit, however it came about
        begun: dict[str, Any] = {"max_iter": 50, "init_params": "k-means++"}
        if start is not None:
            names = ("weights_init", "means_init", "precisions_init")
            begun = {"max_iter": 10, **dict(zip(names, (start[0], start[1], np.linalg.inv(start[2])), strict=True))}
        made = GaussianMixture(count, reg_covar=FLOOR, random_state=seed, **begun).fit(codes)
    return made.weights_ / made.weights_.sum(), made.means_, made.covariances_


def _in_units(parts: Parts, centre: Doubles, scale: Doubles) -> Parts:
    weights, means, covariances = parts
    return weights, centre + scale * means, covariances * np.outer(scale, scale)
