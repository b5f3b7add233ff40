"""Standard errors from half-samples drawn without replacement, for figures that a bootstrap breaks.

A bootstrap repeats points. A repeated point is its own nearest neighbour at distance 0, and a repeated set has the bias of a
smaller one: neighbour counts and Fréchet distances of it are wrong, not merely noisy. Half of the points, each once, are a
sample like any other. Covered: any statistic of one or several independent samples. Not covered: its bias by sample size.

Politis & Romano 1994, https://doi.org/10.1214/aos/1176325770.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from legato.errors import Mistake
from legato.measures.estimate import Estimate
from legato.types import Doubles, Rows


def half_sample_errors(
    statistic: Callable[..., Doubles | float], sizes: Sequence[int], draws: int = 20, seed: int = 0
) -> NDArray[Any]:
    """The standard errors of figures of all rows, from the spread of the same figures over halves of the rows.

    `statistic` takes row numbers, one sorted array for each of `sizes`, and gives figures (s,) or one number. Where a figure of
    n rows has variance V/n, that of m rows out of these n has, given them, V(1/m − 1/n) = (V/n)·(n − m)/m: the spread is to be
    multiplied by √(m/(n − m)), which is 1 at m = n/2. (√(m/n), right for m small beside n, would give 0.71 of it here.)
    Raises `Mistake` where a half would have fewer than two rows.
    """
    if min(sizes) < 4:
        raise Mistake(f"half-samples need 4 examples or more of each kind, got {min(sizes)}")
    rng = np.random.default_rng(seed)
    # Sorted and without repetition: a neighbour at distance 0 is what a bootstrap would add.
    found = np.asarray([statistic(*(_half(n, rng) for n in sizes)) for _ in range(draws)], np.float64)
    # 1, and a little less for an odd n, whose halves leave one out
    factors = [math.sqrt((n // 2) / (n - n // 2)) for n in sizes]
    return np.asarray(found.std(0, ddof=1) * np.mean(factors))


def _half(n: int, rng: np.random.Generator) -> Rows:
    return np.sort(rng.permutation(n)[: n // 2])


def around(
    value: float, error: float, n: int, unit: str, method: str, draws: int, within: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """value ± t·error, cut to where the figure can lie; t has draws − 1 degrees of freedom, for the error is estimated too.

    Raises `Mistake` on a figure that is not finite: NaN never passes silently.
    """
    if not (math.isfinite(value) and math.isfinite(error)):
        raise Mistake(f"`{method}` is not finite: the images or their features are not")
    # Student's quantile: an error from 20 halves is itself uncertain by a sixth.
    half = float(student.ppf(0.975, draws - 1)) * error
    low, high = max(value - half, within[0]), min(value + half, within[1])
    return Estimate(value, low, high, n, unit, f"{method}; 95 % interval from {draws} half-samples without replacement")


def student_interval(values: Doubles, n: int, unit: str, method: str) -> Estimate:
    """The mean of independent `values` (b,), each of one block of examples, with Student's interval; n examples in all."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    half = float(student.ppf(0.975, len(values) - 1)) * error
    mean = float(values.mean())
    return Estimate(mean, mean - half, mean + half, n, unit, f"{method}; Student's 95 % interval over the blocks")
