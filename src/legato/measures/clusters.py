"""Intervals over images where a mean is not over one number for each: several draws of one image, pairs that share an end.

5,000 draws of 100 images are 100 examples and not 5,000. Covered: means over draws of images, means over pairs of images, and
intervals of shares and of rare losses, which are not symmetric. Not covered: one number for each image (estimate.py), figures
in which all images enter every term (left_out.py), distances between sets (halves.py).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

from legato.errors import Mistake
from legato.measures.estimate import Estimate
from legato.types import Doubles, Rows

Ends = tuple[Rows, Rows]  # rows of the images that each pair joins, (m,) each


def image_variance(values: Doubles, image: Rows) -> float:
    """The variance of the mean of values (m,), value k being of image[k]: n/(n − 1) Σ_i (Σ_{k of i} (v_k − v̄))²/m², n images.

    Images are independent, what is drawn of one is not. One value for each image gives s²/m. NaN for one image.
    """
    # Only the sum over an image's draws counts: its draws are one observation, however many.
    _, of = np.unique(image, return_inverse=True)
    sums = np.bincount(of, values - values.mean())
    n = len(sums)
    return float(np.square(sums).sum()) * n / (n - 1) / len(values) ** 2 if n > 1 else math.nan


def pair_variance(values: Doubles, ends: Ends) -> float:
    """The variance of the mean of values (m,) of pairs of images: Σ over pairs k, l with a common end of (v_k − v̄)(v_l − v̄)/m².

    Pairs of few images share ends, and every image moves all of its pairs. Where the sum happens to be less than that of the
    pairs alone, this stands. Aronow, Samii & Assenova 2015, https://doi.org/10.1093/pan/mpv018.
    """
    off = values - values.mean()
    # Unordered: a pair that is drawn twice, once each way, is one pair.
    lower, upper = np.minimum(*ends), np.maximum(*ends)
    at_images = np.square(np.bincount(np.concatenate(ends), np.concatenate([off, off]))).sum()
    # One number for each pair; the largest row plus one as the base, so that no two pairs share a number.
    _, same = np.unique(lower * (upper.max() + 1) + upper, return_inverse=True)
    # of the pairs alone; `at_images` counts each pair's own square at both of its ends, once too often
    alone = np.square(np.bincount(same, off)).sum()
    # Never less than independent pairs would have: sampling noise of the covariances may push the sum below, even below 0.
    return float(max(at_images - alone, np.square(off).sum())) / len(values) ** 2


def ratio_to_images(values: Doubles, ends: Ends, single: Doubles, unit: str, method: str) -> Estimate:
    """The mean of values (m,) of pairs over that of `single` (n,), one of each image that the ends are rows of; all above 0.

    The interval is Student's over the images, of the logarithm (the delta method): what moves both sides alike cancels.
    """
    values, single = finite(values, method), finite(single, method)
    if values.mean() <= 0 or single.mean() <= 0:
        raise Mistake(f"a ratio needs means above 0, got {values.mean():g} and {single.mean():g} of `{method}`")
    off, pairs, n = values / values.mean() - 1, len(values), len(single)
    # How far each image moves log(mean of pairs/mean of singles): the same image enters both, and that part cancels here.
    moved = np.bincount(np.concatenate(ends), np.concatenate([off, off]), n) / pairs - (single / single.mean() - 1) / n
    twice = np.square(off).sum() / pairs**2  # each pair is counted at both of its ends
    variance = max(float(np.square(moved).sum() - twice), 0.0)  # rounding, or few images, may leave it below 0
    one, value = symmetric(0.0, variance, n, unit, f"{method}; {pairs} pairs"), float(values.mean() / single.mean())
    low, high = (None if end is None else value * math.exp(end) for end in (one.low, one.high))
    return Estimate(value, low, high, n, unit, one.method)


def mean_over_images(values: Doubles, image: Rows, unit: str, method: str) -> Estimate:
    """The mean of values (m,) of draws, of which number k is of image[k], with Student's 95 % interval over the images."""
    values, n = finite(values, method), len(np.unique(image))
    return symmetric(float(values.mean()), image_variance(values, image), n, unit, f"{method}; {len(values)} draws")


def mean_over_pairs(values: Doubles, ends: Ends, unit: str, method: str) -> Estimate:
    """The mean of values (m,) of pairs with the rows of their ends, and Student's 95 % interval over the images."""
    values = finite(values, method)
    n = len(np.unique(np.concatenate(ends))) if len(values) > 1 else 1  # one pair, of two images, does not vary
    return symmetric(float(values.mean()), pair_variance(values, ends), n, unit, f"{method}; {len(values)} pairs")


def symmetric(value: float, variance: float, n: int, unit: str, method: str) -> Estimate:
    """value ± t √variance, n − 1 degrees of freedom for n images."""
    if n < 2:
        # an interval of no width would claim to know what one example cannot tell
        return Estimate(value, None, None, n, unit, f"{method}; one example has no interval")
    half = _two_sided(n) * math.sqrt(variance)
    return Estimate(value, value - half, value + half, n, unit, f"{method}; 95 % interval over {n} images")


def share_interval(share: float, variance: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `variance` is that of n images: Wilson's, at p(1 − p)/variance effective images.

    It is not symmetric, and not empty where none of n images counts, or all. Wilson 1927, https://doi.org/10.2307/2276774.
    """
    single = max(share * (1 - share), 0.0)  # of one image; a coefficient may be above 1 by rounding
    # Where all or no images count their variance is 0, and n itself is the number of examples.
    effective = single / variance if single > 0 and variance > 0 else float(n)
    z = _two_sided(n)
    middle, half = share + z**2 / (2 * effective), z * math.sqrt(variance + (z / (2 * effective)) ** 2)
    low, high = ((middle + end) / (1 + z**2 / effective) for end in (-half, half))
    # none, or all: 0 and 1 themselves, and not what rounding makes of them
    return 0.0 if share <= 0 else max(low, 0.0), 1.0 if share >= 1 else min(high, 1.0)


def loss_interval(loss: float, variance: float, n: int, one: float) -> tuple[float, float]:
    """The 95 % interval of a mean loss ≥ 0 to which few of n images may contribute: as of a share, with no upper end.

    `one`: what an image loses that loses. Where none has lost anything the upper end is that of four that have.
    """
    z = _two_sided(n)
    step = variance / loss if loss > 0 else 0.0
    low, high = (z**2 / 2 * size for size in (step, max(step, one / n)))
    return max(loss + low - math.hypot(z * math.sqrt(variance), low), 0.0), loss + high + math.hypot(
        z * math.sqrt(variance), high
    )


def _two_sided(n: int) -> float:
    """Student's 97.5 % quantile for n images."""
    return float(stdtrit(max(n - 1, 1), 0.975))  # at least one degree of freedom, for which a quantile exists


def finite(values: Doubles, method: str) -> Doubles:
    """(m,) in double precision. Raises `Mistake` where there is none, or one is not finite."""
    found = np.asarray(values, np.float64)
    if not len(found) or not np.isfinite(found).all():
        broken = int((~np.isfinite(found)).sum())
        raise Mistake(f"{broken} of {len(found)} draws have no finite value of `{method}`: the run diverged, train it anew")
    return found
