"""From what each member's seeds gave to the intervals that the rules read.

Seeds vary training, and their t-interval is what decides; the intervals over images are kept beside, never mixed in. With two
or three seeds a member's own variance is hardly known, so one variance per measure is pooled over all members that have it (a
one-way analysis of variance), in logarithms where values are positive scales: the assumption is that members differ in their
level and not in how much another seed moves them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from legato.claims import CLAIMS, Rule
from legato.measures.estimate import Estimate, absent

Figures = Mapping[str, Estimate]  # measure -> one estimate over images
# Measures that are scales, whose logarithm is compared: one model's may be a million times another's, and its variance too.
SCALES = (
    *("noise ratio", "variance ratio", "sigma", "distance of sigma", "spread", "r50", "flip50", "distortion", "rate"),
    *("frechet", "norm distance", "distance to", "straightness", "jumpiness", "path length", "stretch", "cycle"),
)


@dataclass(frozen=True)
class Scale:
    """On which scale seeds are averaged and members pooled; `holds` says whether a value lies on it."""

    mean: str
    forward: Callable[[float], float]
    back: Callable[[float], float]
    holds: Callable[[float], bool]


PLAIN = Scale("mean", lambda value: value, lambda value: value, lambda value: True)
LOGARITHM = Scale("geometric mean", math.log, math.exp, lambda value: value > 0)
NEGATIVE = Scale("geometric mean of minus the value", lambda v: math.log(-v), lambda v: -math.exp(v), lambda v: v < 0)


def scale_of(measure: str) -> Scale:
    """A scale's logarithm, an ELBO's minus first; everything else as it is."""
    return NEGATIVE if measure == "elbo" else LOGARITHM if measure.startswith(SCALES) else PLAIN


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

    def spread(self, measure: str, scale: Scale) -> tuple[float, int]:
        """(s, ν): the standard deviation over seeds on that scale, pooled over members, and its degrees of freedom."""
        squares, freedom = 0.0, 0
        for name in self.found:
            values = [] if name in self.fixed else self.values(measure, name)
            if len(values) >= 2 and all(map(scale.holds, values)):
                seen = np.array([scale.forward(value) for value in values])
                squares += float(((seen - seen.mean()) ** 2).sum())
                freedom += len(values) - 1
        return (math.sqrt(squares / freedom), freedom) if freedom else (math.nan, 0)

    def over_seeds(self, measure: str, of: str, beside: str | None = None) -> Estimate:
        """The mean over seeds of a value, or the ratio of two members' (geometric) means, with its 95 % t-interval."""
        sides = [(name, self.values(measure, name)) for name in (of, beside) if name is not None]
        for name, values in sides:
            if not values:
                return absent(self.why(measure, name))
        scale = LOGARITHM if beside is not None else scale_of(measure)
        if not all(scale.holds(value) for _, values in sides for value in values):
            return absent(f"{measure} is not positive, and has no ratio")
        return self._interval(measure, sides, scale)

    def _interval(self, measure: str, sides: list[tuple[str, list[float]]], scale: Scale) -> Estimate:
        means = [float(np.mean([scale.forward(value) for value in values])) for _, values in sides]
        spread, freedom = self.spread(measure, scale)
        trained = [len(values) for name, values in sides if name not in self.fixed]
        middle, seeds = means[0] - sum(means[1:]), len(sides[0][1])
        words = f"{'ratio of geometric means' if len(sides) == 2 else scale.mean} over {seeds} seeds"
        if not freedom or seeds < 2:
            return Estimate(scale.back(middle), None, None, seeds, "", f"{words}; one seed has no interval")
        half = float(student.ppf(0.975, freedom)) * spread * math.sqrt(sum(1 / n for n in trained))
        low, high = sorted((scale.back(middle - half), scale.back(middle + half)))
        method = f"{words}; 95 % t-interval, {freedom} degrees of freedom pooled over members"
        return Estimate(scale.back(middle), low, high, seeds, "", method)


def contrasts(evidence: Evidence) -> dict[tuple[str, str, str | None], Estimate]:
    """What every rule of the table reads."""
    rules: list[Rule] = [rule for claim in CLAIMS for rule in claim.rules]
    return {(r.measure, r.of, r.beside): evidence.over_seeds(r.measure, r.of, r.beside) for r in rules}
