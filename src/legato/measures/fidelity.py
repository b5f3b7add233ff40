"""The distance of generated features' distribution from that of real ones: Fréchet distance and kernel distance (KID).

Covered: both distances between two sets of features (n, f), whatever they are features of, with intervals. Not covered: what
the features are (features.py), Inception's, and the bias of the Fréchet distance, which is positive and shrinks as 1/n: compare
at one n, beside the floor that a second real set gives. KID has no bias.

Both judge a set and no picture; neither minds copies of training images, which is what the controls are for.
Intervals take both sets for independent. Where the generated ones are made of the real ones (their reconstructions, what lies
between them) the two vary together, and intervals are up to twice too wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.measures.estimate import Estimate
from legato.measures.halves import around, half_sample_errors, student_interval
from legato.types import Doubles, Rows

BLOCK = 1000  # examples of each set in one kernel distance, as published: an unbiased figure of another size has another spread


def frechet(real: NDArray[Any], generated: NDArray[Any], draws: int = 50, seed: int = 0) -> Estimate:
    """‖μ − μ′‖² + tr(S + S′ − 2(S^½ S′ S^½)^½) of Gaussians fitted to features real (N, f) and generated (n, f).

    Covariances divide by n − 1. The interval is of the figure at this n, its bias included. Where both sets have one
    distribution it is up to √3 times too wide, for there the distance is quadratic in its error.
    Heusel et al. 2017, https://arxiv.org/abs/1706.08500.
    """
    centre = np.asarray(real, np.float64).mean(0)  # a common shift changes nothing, and spares cancellation
    first, second = _checked(real, generated, centre)

    def distance(some: Rows | slice, others: Rows | slice) -> float:
        return gaussian_frechet(*moments(first[some]), *moments(second[others]))

    value = distance(slice(None), slice(None))
    error = half_sample_errors(distance, (len(first), len(second)), draws, seed)
    method = f"Fréchet distance of {first.shape[1]} features, {len(second):,} generated against {len(first):,} real"
    # Cut at 0, below which no distance lies; half-samples, since repeated points would shift a Fréchet distance.
    return around(value, float(error), len(second), "squared feature units", method, draws, within=(0, np.inf))


def moments(features: Doubles) -> tuple[Doubles, Doubles]:
    """Mean (f,) and covariance (f, f), dividing by n − 1."""
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / (len(features) - 1)


def gaussian_frechet(mean: Doubles, covariance: Doubles, other_mean: Doubles, other_covariance: Doubles) -> float:
    """The squared 2-Wasserstein distance of two Gaussians.

    tr (S S′)^½ is the sum of the roots of the eigenvalues of S^½ S′ S^½, which is symmetric: a root of the product itself, as
    is common, is complex and unstable where a covariance is singular, as one of equal images is.
    Dowson & Landau 1982, https://doi.org/10.1016/0047-259X(82)90077-X.
    """
    values, vectors = np.linalg.eigh(covariance)
    # S^½ up to a rotation, which leaves the eigenvalues as they are; eigenvalues of 0 may come out below
    half = vectors * np.sqrt(np.maximum(values, 0))
    # eigvalsh of the symmetric form: real eigenvalues by construction, where a product's may be complex.
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(half.T @ other_covariance @ half), 0)).sum()
    apart = np.square(mean - other_mean).sum()
    # rounding of two large traces may leave equal sets a little below 0
    return max(float(apart + np.trace(covariance) + np.trace(other_covariance) - 2 * cross), 0.0)


def kid(real: NDArray[Any], generated: NDArray[Any], block: int = BLOCK, seed: int = 0) -> Estimate:
    """The unbiased squared MMD under the kernel (⟨x, y⟩/f + 1)³: the mean over disjoint blocks of `block` of each set.

    The kernel has a scale and features have none of their own: they are divided by the root mean square of the real ones, so
    that ⟨x, x⟩/f is 1 on average. Only figures with the same features compare. It is 0 on average for equal distributions, and
    below 0 by chance. The interval is Student's over the blocks, which share no example.
    Bińkowski et al. 2018, https://arxiv.org/abs/1801.01401; there blocks overlap.
    """
    first, second = _checked(real, generated, 0.0)
    size = min(block, len(first) // 2, len(second) // 2)  # two blocks at least, or there is no interval
    if size < 2:
        raise Mistake(f"a kernel distance needs 4 examples or more of each kind, got {len(first)} and {len(second)}")
    scale = float(np.sqrt(np.square(first).mean())) or 1.0  # all features 0: nothing to scale, and no division by 0
    count = min(len(first), len(second)) // size
    rng = np.random.default_rng(seed)
    # Disjoint blocks: overlapping ones would not be independent, and Student's interval asks for that.
    rows = [rng.permutation(len(points))[: count * size].reshape(count, size) for points in (first, second)]
    found = [kernel_distance(first[a] / scale, second[b] / scale) for a, b in zip(*rows, strict=True)]
    method = f"KID of {first.shape[1]} features, {count} blocks of {size:,} generated and real"
    return student_interval(np.asarray(found), count * size, "squared MMD", method)


def kernel_distance(x: Doubles, y: Doubles) -> float:
    """Σ_{i≠j} k(xᵢ, xⱼ)/n(n−1) + Σ_{i≠j} k(yᵢ, yⱼ)/m(m−1) − 2 Σᵢⱼ k(xᵢ, yⱼ)/nm with k(x, y) = (⟨x, y⟩/f + 1)³."""
    return _within(x) + _within(y) - 2 * float(_cubic(x, y).mean())


def _within(x: Doubles) -> float:
    kernel = _cubic(x, x)
    # the diagonal is left out: k(x, x) would bias the estimate upwards
    return float((kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1)))


def _cubic(x: Doubles, y: Doubles) -> Doubles:
    base = x @ y.T / x.shape[1] + 1
    return np.asarray(base * base * base)  # ** 3 takes twenty times as long


def _checked(real: NDArray[Any], generated: NDArray[Any], centre: Doubles | float) -> tuple[Doubles, Doubles]:
    """Both in double precision, less `centre`. Raises `Mistake` where they do not compare."""
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise Mistake(f"features must be (N, f) and (n, f) with one f, got {real.shape} and {generated.shape}")
    for name, features in {"real": real, "generated": generated}.items():
        # One infinite feature would make the whole covariance NaN, and eigenvalues fail with no hint of the row.
        if broken := int((~np.isfinite(features)).any(1).sum()):
            raise Mistake(f"{broken} of {len(features)} {name} examples have features that are not finite")
    return np.asarray(real, np.float64) - centre, np.asarray(generated, np.float64) - centre
