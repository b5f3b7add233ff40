"""From what each member's seeds gave to the intervals that the rules read.

Seeds vary training, and their t-interval is what decides; the intervals over images are kept beside, never mixed in. With two
or three seeds a member's own variance is hardly known, so one variance per measure is pooled over all members that have it (a
one-way analysis of variance), on the measure's scale (scales.py): the assumption is that there members differ in their level
and not in how much another seed moves them. Ends are mapped back, so that a share's lie between 0 and 1.

Ratios of two members are taken in logarithms, whatever the measure's scale. Of shares the variance of a logarithm is that of
the logit times (1 − p)², to first order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from legato.claims import CLAIMS, Rule
from legato.experiment.scales import LOGARITHM, PLAIN, Scale, scale_of, share
from legato.measures.estimate import NORMAL_95, Estimate, absent

Figures = Mapping[str, Estimate]  # measure -> one estimate over images


@dataclass(frozen=True)
class Side:
    """A member's values, one for each seed. `counting`: a variance, of shares of few counts; `fixed`: no seed trains it."""

    name: str
    values: tuple[float, ...]
    counting: float
    fixed: bool


@dataclass(frozen=True)
class Evidence:
    """Everything measured: by member, one `Figures` per seed. Controls that no seed trains have one, and no variance."""

    found: Mapping[str, Sequence[Figures]]
    fixed: frozenset[str] = frozenset()
    aliases: Mapping[str, str] | None = None  # the rules' names -> members'

    def estimates(self, measure: str, name: str) -> list[Estimate]:
        """One for each seed that has a value."""
        name = (self.aliases or {}).get(name, name)
        found = [figures.get(measure) for figures in self.found.get(name, ())]
        return [one for one in found if one is not None and one.value is not None]

    def values(self, measure: str, name: str) -> list[float]:
        """One value for each seed that has one."""
        return [one.value for one in self.estimates(measure, name) if one.value is not None]

    def why(self, measure: str, name: str) -> str:
        """Why there is no value."""
        name = (self.aliases or {}).get(name, name)
        if name not in self.found:
            return f"`{name}` is not in this family"
        reasons = [figures[measure].why for figures in self.found[name] if measure in figures]
        return next((reason for reason in reasons if reason), f"{measure} was not measured for `{name}`")

    def scale(self, measure: str) -> Scale:
        """The measure's; realism ends where precision is 1, and is taken as it is where that is not known."""
        if not measure.startswith("realism"):
            return scale_of(measure)
        precision = measure.replace("realism", "precision", 1)
        pairs = [(figures.get(measure), figures.get(precision)) for seeds in self.found.values() for figures in seeds]
        tops = (a.value / b.value for a, b in pairs if a is not None and b is not None and a.value and b.value)
        top = next(tops, None)  # the same for all: one set of training images
        return PLAIN if top is None else share(top)

    def side(self, measure: str, name: str, scale: Scale) -> Side:
        """A member's values as that scale takes them."""
        values, fixed = self.values(measure, name), name in self.fixed
        counts = [one.n for one in self.estimates(measure, name)]
        if not any(map(scale.few, values, counts)):
            return Side(name, tuple(values), 0.0, fixed)
        value, counting = scale.together(values, counts)
        return Side(name, (value,) * len(values), counting, fixed)

    def spread(self, measure: str, scale: Scale) -> tuple[float, int]:
        """(s, ν): the standard deviation over seeds on that scale, pooled over members, and its degrees of freedom."""
        squares, freedom = 0.0, 0
        for name in self.found:
            side = self.side(measure, name, scale)
            if len(side.values) >= 2 and not side.fixed and not side.counting and all(map(scale.holds, side.values)):
                seen = np.array([scale.forward(value) for value in side.values])
                squares += float(((seen - seen.mean()) ** 2).sum())
                freedom += len(seen) - 1
        return (math.sqrt(squares / freedom), freedom) if freedom else (math.nan, 0)

    def over_seeds(self, measure: str, of: str, beside: str | None = None) -> Estimate:
        """The mean over seeds of a value, or the ratio of two members' (geometric) means, with its 95 % t-interval."""
        scale = self.scale(measure)
        pooled = scale if beside is None or scale.top is not None else LOGARITHM
        sides = [self.side(measure, name, pooled) for name in (of, beside) if name is not None]
        for side in sides:
            if not side.values:
                return absent(self.why(measure, side.name))
        if not all(pooled.holds(value) for side in sides for value in side.values):
            return absent(f"{measure} is not positive, and has no ratio")
        return self._interval(measure, sides, pooled)

    def _interval(self, measure: str, sides: list[Side], pooled: Scale) -> Estimate:
        scale = pooled if len(sides) == 1 else LOGARITHM
        means = [float(np.mean([scale.forward(value) for value in side.values])) for side in sides]
        spread, freedom = self.spread(measure, pooled)
        middle, seeds = means[0] - sum(means[1:]), len(sides[0].values)
        slopes = [1.0] if len(sides) == 1 else [pooled.slope(LOGARITHM.back(mean)) for mean in means]
        half = math.hypot(*(slope * _half(side, spread, freedom) for slope, side in zip(slopes, sides, strict=True)))
        words = f"{'ratio of geometric means' if len(sides) == 2 else scale.mean} over {seeds} seeds"
        if seeds < 2 or math.isnan(half):
            value = self.values(measure, sides[0].name)[0] if len(sides) == seeds == 1 else scale.back(middle)
            return Estimate(value, None, None, seeds, "", f"{words}; one seed has no interval")
        low, high = sorted((scale.back(middle - half), scale.back(middle + half)))
        method = f"{words}; 95 % t-interval, {freedom} degrees of freedom pooled over members"
        few = "; shares of few counts are those of all seeds together" if any(side.counting for side in sides) else ""
        return Estimate(scale.back(middle), low, high, seeds, "", method + few)


def _half(side: Side, spread: float, freedom: int) -> float:
    """Half the interval of one member's mean, on the scale of `spread`; NaN where no variance is known."""
    if side.fixed:
        return 0.0
    known = NORMAL_95 * math.sqrt(side.counting)  # no estimate: a normal interval
    if not freedom:
        return known or math.nan
    return math.hypot(float(student.ppf(0.975, freedom)) * spread / math.sqrt(len(side.values)), known)


def contrasts(evidence: Evidence) -> dict[tuple[str, str, str | None], Estimate]:
    """What every rule of the table reads."""
    rules: list[Rule] = [rule for claim in CLAIMS for rule in claim.rules]
    return {(r.measure, r.of, r.beside): evidence.over_seeds(r.measure, r.of, r.beside) for r in rules}
