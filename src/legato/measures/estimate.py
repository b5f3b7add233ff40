"""An estimate: a value with an interval, a sample size, a unit and a method; never a bare float.

Covered: means over images by the central limit theorem, any statistic by the bootstrap. Not covered: variation over training
seeds, which is another interval and is given beside, never mixed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake

NORMAL_95 = 1.959964


@dataclass(frozen=True)
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
        """Without `why` where there is a value."""
        return {key: value for key, value in asdict(self).items() if key != "why" or value is not None}

    def scaled(self, factor: float, unit: str, method: str) -> Estimate:
        """The same in another unit; the ends change places under a negative factor."""
        if self.value is None or self.low is None or self.high is None:
            return Estimate(None, None, None, self.n, unit, method, self.why)
        low, high = sorted((self.low * factor, self.high * factor))
        return Estimate(self.value * factor, low, high, self.n, unit, method)

    def __str__(self) -> str:
        if self.value is None:
            return f"— ({self.why})"
        if self.low is None or self.high is None:
            return f"{self.value:.2f} {self.unit}"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}] {self.unit}"


def absent(why: str, unit: str = "", method: str = "") -> Estimate:
    """What does not apply, and why."""
    return Estimate(None, None, None, 0, unit, method, why)


def mean_over(values: NDArray[Any], unit: str, method: str) -> Estimate:
    """The mean of values (n,) with its normal 95 % interval: mean ± 1.96 s/√n, s with n − 1.

    Raises `Mistake` on a value that is not finite: NaN never passes silently.
    """
    values = np.asarray(values, np.float64)
    if broken := int(np.sum(~np.isfinite(values))):
        raise Mistake(f"{broken} of {len(values)} examples have no finite value of `{method}`: the run diverged, train it anew")
    n, mean = len(values), float(values.mean())
    half = NORMAL_95 * float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    text = f"{method}; normal 95 % interval over {n} examples"
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

    `statistic` maps weights (draws, n), each row summing to 1, to (draws,): a weighted moment needs no copy of the data.
    """
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n, np.full(n, 1 / n), draws) / n
    low, high = np.quantile(statistic(weights), [0.025, 0.975])
    text = f"{method}; percentile bootstrap over {n} examples, {draws} draws"
    return Estimate(value, float(low), float(high), n, unit, text)
