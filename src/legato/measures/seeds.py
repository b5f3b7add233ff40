"""Training seeds of one value, or of the ratio of two: t-intervals and one-sided tests by each member's own seeds.

A member's n seeds x_i, on a scale where another seed moves small and large values alike, have the mean x̄ with the variance
s²/n, s² = Σ (x_i − x̄)²/(n − 1), and ν = n − 1 degrees of freedom. A ratio is a difference of two such means in logarithms: the
variances v add, and together have (Σ v)²/Σ (v²/ν) degrees of freedom (Welch 1947, https://doi.org/10.1093/biomet/34.1-2.28;
Satterthwaite 1946, https://doi.org/10.2307/3002019). Nothing is borrowed from other members: their variances differ by orders
of magnitude, and one variance for all covered 45 to 100 % where it said 95. Two seeds have one degree of freedom and t = 12.7.

Seeds of two members are not paired, though equal seeds share starting draws and the order of the data: over the ratios that
the claims' rules read, the record's correlation is −0.08 on average, and pairing halves the degrees of freedom.

Covered: scales, variances and their degrees of freedom, intervals, p-values. Not covered: which measure is on which scale, and
shares of few counts (experiment/scales.py); intervals over images, which are never mixed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from legato.errors import Mistake
from legato.measures.estimate import Estimate
from legato.types import Doubles


@dataclass(frozen=True)
class Scale:
    """An increasing map `forward` from values between `least` and `most` onto the line, and `back`; `mean`: its mean's name."""

    mean: str
    forward: Callable[[float], float]
    back: Callable[[float], float]
    least: float = -math.inf
    most: float = math.inf

    def holds(self, value: float) -> bool:
        """True where a value lies on it."""
        return self.least < value < self.most

    def place(self, margin: float) -> float:
        """A margin's place on the line; what no value can reach is infinitely far out."""
        # Not through `forward`: the logarithm of 0 is no number, and the p-value must be exactly 0 or 1.
        if margin <= self.least:
            return -math.inf
        return math.inf if margin >= self.most else self.forward(margin)


def exp(x: float) -> float:
    """eˣ, and infinite where a double ends: at one degree of freedom an interval may reach there."""
    return math.exp(x) if x < 709 else math.inf  # math.exp raises beyond 709 where NumPy gives infinity


PLAIN = Scale("mean", lambda value: value, lambda x: x)
LOGARITHM = Scale("geometric mean", math.log, exp, least=0.0)
# ELBOs are below 0, and another seed moves them in proportion
NEGATIVE = Scale("geometric mean of minus the value", lambda v: -math.log(-v), lambda x: -exp(-x), most=0.0)


def mean_variance(x: Any) -> tuple[Doubles, Doubles]:
    """x̄ and s²/n over the last axis of x (…, n), n >= 2. Equal values have exactly themselves, and exactly no variance."""
    x = np.asarray(x, np.float64)
    # Less the first value: equal values then differ by exactly 0, where a rounded mean would leave them a variance.
    moved = x - x[..., :1]
    return x[..., 0] + moved.mean(-1), moved.var(-1, ddof=1) / x.shape[-1]


def summed(variances: Any, freedoms: Any) -> tuple[Doubles, Doubles]:
    """Σ v and its degrees of freedom over the first axis of v (k, …) and ν (k, …); ν is infinite where v is not estimated."""
    v, nu = np.asarray(variances, np.float64), np.asarray(freedoms, np.float64)
    total = v.sum(0)
    # squares of small variances would vanish, and the degrees of freedom do not depend on their unit
    shares = v / np.where(total > 0, total, 1.0)
    inverse = (shares**2 / nu).sum(0)
    # no variance at all is known exactly: infinitely many degrees of freedom and no division by 0
    return total, np.divide(1.0, inverse, out=np.full_like(inverse, np.inf), where=inverse > 0)


@dataclass(frozen=True)
class Level:
    """A member's mean on a scale; parts (v, ν) of its variance, none where no seed trains it, None where it is not known."""

    mean: float
    seeds: int
    parts: tuple[tuple[float, float], ...] | None
    remark: str = ""


def level(x: Sequence[float]) -> Level:
    """The level of seeds' values on a scale; one seed has no variance known."""
    if len(x) < 2:
        return Level(float(x[0]), 1, None)
    mean, variance = mean_variance(x)
    return Level(float(mean), len(x), ((float(variance), len(x) - 1),))


@dataclass(frozen=True)
class Student:
    """The place of the truth on a scale: t with `freedom` degrees about `middle`, in units of `error`; 0: known exactly."""

    middle: float
    error: float
    freedom: float
    scale: Scale

    def p_above(self, margin: float) -> float:
        """The one-sided p of "the truth is <= margin"."""
        return self._beyond(self.middle - self.scale.place(margin))

    def p_below(self, margin: float) -> float:
        """The one-sided p of "the truth is >= margin"."""
        return self._beyond(self.scale.place(margin) - self.middle)

    def interval(self, level: float) -> tuple[float, float]:
        """Two-sided, its ends mapped back."""
        if not 0 < level < 1:
            raise Mistake(f"the level of an interval lies between 0 and 1, got {level}")
        half = self.error * float(stdtrit(self.freedom, 0.5 + level / 2))
        return self.scale.back(self.middle - half), self.scale.back(self.middle + half)

    def _beyond(self, gap: float) -> float:
        # An exact value lies on one side or the other; 0/0 would be NaN, and no test could be told.
        if self.error == 0:
            return 0.0 if gap >= 0 else 1.0
        return float(stdtr(self.freedom, -gap / self.error))


@dataclass(frozen=True)
class Contrast:
    """The word of seeds on one value or on the ratio of two: the estimate, and the one-sided tests that a rule needs.

    `p_above(margin)` is at most 0.025 exactly where the 95 % interval begins at the margin or above it, and `p_below` where it
    ends there or below: one t on one scale gives both. None where no variance is known.
    """

    estimate: Estimate  # with the 95 % t-interval over seeds, never mixed with the one over images
    law: Student | None = None

    def p_above(self, margin: float) -> float | None:
        """The one-sided p of "the truth is <= margin"."""
        return None if self.law is None else self.law.p_above(margin)

    def p_below(self, margin: float) -> float | None:
        """The one-sided p of "the truth is >= margin"."""
        return None if self.law is None else self.law.p_below(margin)

    def interval(self, level: float) -> tuple[float, float] | None:
        """The two-sided interval at that level: for equivalence, and for levels that many comparisons ask for."""
        return None if self.law is None else self.law.interval(level)


def contrast(scale: Scale, of: Level, beside: Level | None = None) -> Contrast:
    """The contrast of one level on that scale, or of the ratio of two, which lie in logarithms."""
    sides = [of] if beside is None else [of, beside]
    middle = of.mean if beside is None else of.mean - beside.mean
    # members that no seed trains are known exactly, and do not lower the count of seeds
    law, counts = _law(middle, sides, scale), [side.seeds for side in sides if side.parts != ()] or [1]
    low, high = (None, None) if law is None else law.interval(0.95)
    mean = scale.mean if beside is None else "ratio of geometric means"
    seeds = " and ".join(map(str, dict.fromkeys(counts))) + (" seeds" if max(counts) > 1 else " seed")
    remarks = dict.fromkeys(side.remark for side in sides if side.remark)
    method = "; ".join((f"{mean} over {seeds}", _told(law), *remarks))
    return Contrast(Estimate(scale.back(middle), low, high, min(counts), "", method), law)


def _law(middle: float, sides: Sequence[Level], scale: Scale) -> Student | None:
    parts = [part for side in sides for part in side.parts or ()]
    if not parts or any(side.parts is None for side in sides):
        return None
    variance, freedom = summed(*zip(*parts, strict=True))
    return Student(middle, math.sqrt(float(variance)), float(freedom), scale)


def _told(law: Student | None) -> str:
    if law is None:
        return "one seed has no interval"
    if law.error == 0:
        return "all seeds gave the same, so the interval is that value"
    if math.isinf(law.freedom):
        return "95 % normal interval"
    return f"95 % t-interval, {law.freedom:.3g} degrees of freedom"
