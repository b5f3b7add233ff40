"""From what each member's seeds gave to the intervals that the rules read.

Seeds vary training, and their t-interval is what decides; the intervals over images are kept beside, never mixed in. With two
or three seeds a member's own variance is hardly known, so one variance per measure is pooled over all members that have it (a
one-way analysis of variance), in logarithms where values are positive scales: the assumption is that members differ in their
level and not in how much another seed moves them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from legato.claims import CLAIMS, Rule
from legato.measures.estimate import Estimate, absent

Figures = Mapping[str, Estimate]  # measure -> one estimate over images
SCALES = ("noise ratio", "variance ratio", "sigma", "r50", "distortion", "frechet")  # values whose logarithm is compared


@dataclass(frozen=True)
class Evidence:
    """Everything measured: by member, one `Figures` per seed. Controls that no seed trains have one, and no variance."""

    found: Mapping[str, Sequence[Figures]]
    fixed: frozenset[str] = frozenset()
    aliases: Mapping[str, str] | None = None  # the rules' names -> members'

    def values(self, measure: str, name: str) -> list[float]:
        """One value for each seed that has one."""
        name = (self.aliases or {}).get(name, name)
        estimates = [figures.get(measure) for figures in self.found.get(name, ())]
        return [one.value for one in estimates if one is not None and one.value is not None]

    def why(self, measure: str, name: str) -> str:
        """Why there is no value."""
        name = (self.aliases or {}).get(name, name)
        if name not in self.found:
            return f"`{name}` is not in this family"
        reasons = [figures[measure].why for figures in self.found[name] if measure in figures]
        return next((reason for reason in reasons if reason), f"{measure} was not measured for `{name}`")

    def spread(self, measure: str, logarithms: bool) -> tuple[float, int]:
        """(s, ν): the standard deviation over seeds, pooled over members, and its degrees of freedom."""
        squares, freedom = 0.0, 0
        for name in self.found:
            values = np.asarray([] if name in self.fixed else self.values(measure, name), float)
            if len(values) < 2 or (logarithms and not (values > 0).all()):
                continue
            values = np.log(values) if logarithms else values
            squares += float(((values - values.mean()) ** 2).sum())
            freedom += len(values) - 1
        return (math.sqrt(squares / freedom), freedom) if freedom else (math.nan, 0)

    def over_seeds(self, measure: str, of: str, beside: str | None = None) -> Estimate:
        """The mean over seeds of a value, or the ratio of two members' (geometric) means, with its 95 % t-interval."""
        sides = [self.values(measure, name) for name in (of, beside) if name is not None]
        for values, name in zip(sides, (of, beside), strict=False):
            if not values:
                return absent(self.why(measure, str(name)))
        logarithms = beside is not None or measure.startswith(SCALES)
        if logarithms and not all(value > 0 for values in sides for value in values):
            return absent(f"{measure} is not positive, and has no ratio")
        return self._interval(measure, sides, (of, beside), logarithms)

    def _interval(self, measure: str, sides: list[list[float]], names: tuple[str, str | None], logarithms: bool) -> Estimate:
        means = [float(np.mean(np.log(values) if logarithms else values)) for values in sides]
        spread, freedom = self.spread(measure, logarithms)
        trained = [len(values) for values, name in zip(sides, names, strict=False) if name not in self.fixed]
        middle, half = means[0] - sum(means[1:]), math.nan
        if freedom:
            half = float(student.ppf(0.975, freedom)) * spread * math.sqrt(sum(1 / n for n in trained))
        back = math.exp if logarithms else float
        seeds = len(sides[0])
        words = "ratio of geometric means" if len(sides) == 2 else "geometric mean" if logarithms else "mean"
        if not freedom or seeds < 2:
            return Estimate(back(middle), None, None, seeds, "", f"{words} over {seeds} seeds; one seed has no interval")
        method = f"{words} over {seeds} seeds; 95 % t-interval, {freedom} degrees of freedom pooled over members"
        return Estimate(back(middle), back(middle - half), back(middle + half), seeds, "", method)


def contrasts(evidence: Evidence) -> dict[tuple[str, str, str | None], Estimate]:
    """What every rule of the table reads."""
    rules: list[Rule] = [rule for claim in CLAIMS for rule in claim.rules]
    return {(r.measure, r.of, r.beside): evidence.over_seeds(r.measure, r.of, r.beside) for r in rules}
