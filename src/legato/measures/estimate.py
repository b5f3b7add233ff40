"""An estimate: a value with an interval, a sample size, a unit and a method; never a bare float.

Covered: means, quantiles and paired differences over images; any statistic by the bootstrap, or by subsampling where copies
of an image would distort it; what many comparisons cost (Holm). Not covered: what is measured; training seeds, whose
interval is another one, given beside and never mixed in (seeds.py); when two values count as the same (claims.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrik  # scipy.stats has these too, and takes a second to import

from legato import shown
from legato.errors import Mistake
from legato.measures.interval import bracketed

NORMAL_95 = 1.959964


@dataclass(frozen=True, repr=False)
class Estimate:
    """`value` with its 95 % interval [low, high] over n examples; value None says `why` it does not apply."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    method: str
    why: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON, without `why` where there is a value."""
        return {key: value for key, value in asdict(self).items() if key != "why" or value is not None}

    def scaled(self, factor: float, unit: str, method: str) -> Estimate:
        """The same in another unit; the ends change places under a negative factor."""
        if self.value is None:
            return Estimate(None, None, None, self.n, unit, method, self.why)
        if self.low is None or self.high is None:
            return Estimate(self.value * factor, None, None, self.n, unit, method)
        low, high = sorted((self.low * factor, self.high * factor))
        return Estimate(self.value * factor, low, high, self.n, unit, method)

    def __str__(self) -> str:
        return f"— ({self.why})" if self.value is None else f"{bracketed(self)} {self.unit}".strip()

    def __repr__(self) -> str:
        return f"Estimate({self}{'' if self.value is None else f', n = {self.n:,}'})"

    def _repr_html_(self) -> str:
        return shown.page("", [("", str(self), "" if self.value is None else f"n = {self.n:,}; {self.method}")])


def estimate_of(figure: Mapping[str, Any]) -> Estimate:
    """The estimate that `to_json` wrote, which leaves `why` out where there is a value."""
    return Estimate(**{"why": None, **figure})


def absent(why: str, unit: str = "", method: str = "") -> Estimate:
    """The estimate of what does not apply, which says why."""
    return Estimate(None, None, None, 0, unit, method, why)


def mean_over(values: NDArray[Any], unit: str, method: str) -> Estimate:
    """The mean of values (n,) with its normal 95 % interval: mean ± 1.96 s/√n, s with n − 1.

    Raises `Mistake` on a value that is not finite: NaN never passes silently.
    """
    values = _finite(values, method)
    n, mean = len(values), float(values.mean())
    half = NORMAL_95 * float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    text = f"{method}; normal 95 % interval over {n} examples"
    # One value: an interval of width 0 would claim certainty.
    if n == 1:
        return Estimate(mean, None, None, n, unit, f"{method}; one example has no interval")
    return Estimate(mean, mean - half, mean + half, n, unit, text)


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    value: float,
    n: int,
    unit: str,
    method: str,
    draws: int = 400,
    seed: int = 0,
) -> Estimate:
    """The percentile bootstrap over n examples of a statistic of their weights.

    `statistic` maps weights (draws, n), each row summing to 1, to (draws,): a weighted moment needs no copy of the data. Where
    a resample has no value (it divides by what only a few examples have) there is no interval, and the method says so.
    """
    rng = np.random.default_rng(seed)
    # Multinomial weights are the counts of a resample: the statistic reads weights, and no data are copied 400 times.
    weights = rng.multinomial(n, np.full(n, 1 / n), draws) / n
    found = np.asarray(statistic(weights), np.float64)
    text = f"{method}; percentile bootstrap over {n} examples, {draws} draws"
    if lost := int((~np.isfinite(found)).sum()):
        return Estimate(value, None, None, n, unit, f"{text}, of which {lost} have no value: no interval")
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n, unit, text)


def quantile_over(values: NDArray[Any], q: float, unit: str, method: str) -> Estimate:
    """The q-quantile of values (n,), with the interval between two of them that needs no density.

    The number of values below the true quantile is binomial(n, q), which fixes the ranks. Near an end there may be no value
    far enough out: then there is no interval, and the method says so.
    """
    # NaN is refused before sorting, which would put it at the upper end as if it were large.
    values = np.sort(_finite(values, method))
    n, value = len(values), float(np.quantile(values, q))
    low, high = (math.ceil(bdtrik(p, n, q)) for p in (0.025, 0.975))
    text = f"{method}; {q:.0%} quantile of {n} examples"
    if low < 1 or high >= n:
        return Estimate(value, None, None, n, unit, f"{text}, too few for an interval of 95 %")
    return Estimate(value, float(values[low - 1]), float(values[high]), n, unit, f"{text}, interval by order statistics")


def paired_difference(a: NDArray[Any], b: NDArray[Any], unit: str, method: str) -> Estimate:
    """The mean of a − b over the same n examples, each (n,): what they share cancels, as it does not between two intervals."""
    return mean_over(_alike(a, b, np.subtract), unit, f"{method}; paired difference")


def ratio_of_means(a: NDArray[Any], b: NDArray[Any], unit: str, method: str) -> Estimate:
    """E a / E b of two independent samples above 0, (n,) and (m,): a normal interval for its logarithm (the delta method)."""
    a, b = _finite(a, method), _finite(b, method)
    if a.mean() <= 0 or b.mean() <= 0:
        # The interval is of the logarithm: a ratio's own is not symmetric, and may reach below 0.
        raise Mistake(f"a ratio needs means above 0, got {a.mean():g} and {b.mean():g} of `{method}`")
    value, n = float(a.mean() / b.mean()), min(len(a), len(b))
    if n < 2:
        return Estimate(value, None, None, n, unit, f"{method}; one example has no interval")
    half = NORMAL_95 * math.sqrt(sum(float(v.var(ddof=1)) / len(v) / float(v.mean()) ** 2 for v in (a, b)))
    text = f"{method}; ratio of means of {len(a)} and {len(b)} examples, normal 95 % interval of its logarithm"
    return Estimate(value, value * math.exp(-half), value * math.exp(half), n, unit, text)


def subsampled(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    m: int,
    unit: str,
    method: str,
    value: float | None = None,
    draws: int = 50,
    seed: int = 0,
) -> Estimate:
    """A statistic of n examples with an interval from `draws` subsets of m of them, drawn without replacement.

    `statistic` maps row numbers to a figure; `value` is that of all n, where it is known. For what counts neighbours, or is
    biased by ties, the bootstrap fails: its copies are their own nearest neighbours. The spread over subsets is rescaled by
    √(m/(n − m)) to that over samples of n: the delete-d jackknife, Shao & Wu 1989, https://doi.org/10.1214/aos/1176347263.
    It is centred on the subsets' own mean, so that a bias that depends on the size is no part of the spread.
    """
    if not 1 < m < n:
        raise Mistake(f"a subset must be smaller than the sample and larger than 1: m = {m}, n = {n}")
    rng = np.random.default_rng(seed)
    # sorted: a statistic that sums in the rows' order then has the same bits for the same set
    found = _finite([statistic(np.sort(rng.permutation(n)[:m])) for _ in range(draws)], method)
    value = float(statistic(np.arange(n))) if value is None else value
    half = NORMAL_95 * float(found.std(ddof=1)) * math.sqrt(m / (n - m))
    text = f"{method}; {draws} subsets of {m} of {n} examples without replacement, rescaled"
    return Estimate(value, value - half, value + half, n, unit, text)


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """p-values adjusted for their number, in their order: max over smaller ones of (m − rank) p, at most 1. Holm 1979."""
    p = _finite(p_values, "p-values")
    order, m = np.argsort(p, kind="stable"), len(p)
    adjusted = np.empty(m)
    # A running maximum: adjusted values may not fall where raw ones rise. Stable, so that ties keep their order.
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * (m - np.arange(m))), 1)
    return adjusted


def _alike(a: NDArray[Any], b: NDArray[Any], pair: Callable[..., Any]) -> NDArray[np.float64]:
    """pair(a, b) in double precision; broadcasting would pair one example with all."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise Mistake(f"paired values belong to the same examples: expected two of shape (n,), got {a.shape} and {b.shape}")
    return np.asarray(pair(a, b))


def _finite(values: Any, method: str) -> NDArray[np.float64]:
    """(n,) in double precision; NaN never passes silently."""
    found = np.asarray(values, np.float64)
    if not len(found):
        raise Mistake(f"there are no values of `{method}`")
    if broken := int(np.sum(~np.isfinite(found))):
        raise Mistake(f"{broken} of {len(found)} examples have no finite value of `{method}`: the run diverged, train it anew")
    return found
