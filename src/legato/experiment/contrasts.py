"""Contrasts that the rules read, made from what each member's seeds gave.

Seeds vary training, and their t-interval is what decides; the intervals over images are kept beside, never mixed in. Each
member has the variance of its own seeds, on the measure's scale (scales.py), and ends are mapped back, so that a share's lie
between 0 and 1; ratios of two members are taken in logarithms, whatever the measure's scale (measures/seeds.py). With two or
three seeds such an interval is wide, and "cannot tell" the honest word: nothing is borrowed from other members.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from legato.claims import CLAIMS, Key, key_of
from legato.experiment.scales import Share, scale_of, share
from legato.measures.estimate import Estimate, absent
from legato.measures.known import MEASURES
from legato.measures.seeds import LOGARITHM, PLAIN, Contrast, Level, Scale, contrast, level

Figures = Mapping[str, Estimate]  # measure -> one estimate over images


@dataclass(frozen=True)
class Evidence:
    """Everything measured: by member, one `Figures` per seed. Controls that no seed trains have one, and no variance."""

    found: Mapping[str, Sequence[Figures]]
    fixed: frozenset[str] = frozenset()

    def estimates(self, measure: str, name: str) -> list[Estimate]:
        """One for each seed that has a value."""
        # Seeds without a value are left out, never counted as 0.
        found = [figures.get(measure) for figures in self.found.get(name, ())]
        return [one for one in found if one is not None and one.value is not None]

    def values(self, measure: str, name: str) -> list[float]:
        """One value for each seed that has one."""
        return [one.value for one in self.estimates(measure, name) if one.value is not None]

    def why(self, measure: str, name: str) -> str:
        """The reason why there is no value."""
        if name not in self.found:
            return f"`{name}` is not in this family"
        reasons = [figures[measure].why for figures in self.found[name] if measure in figures]
        return next((reason for reason in reasons if reason), f"{measure} was not measured for `{name}`")

    def scale(self, measure: str) -> Scale:
        """The measure's; realism ends where precision is 1, and is taken as it is where that is not known."""
        if measure not in MEASURES or MEASURES[measure].scale != "share of real":
            return scale_of(measure)
        precision = measure.replace("realism", "precision", 1)
        pairs = [(figures.get(measure), figures.get(precision)) for seeds in self.found.values() for figures in seeds]
        tops = (a.value / b.value for a, b in pairs if a is not None and b is not None and a.value and b.value)
        top = next(tops, None)  # the same for all: one set of training images
        return PLAIN if top is None else share(top)

    def contrast(self, measure: str, of: str, beside: str | None = None) -> Contrast:
        """The mean over seeds of a value, or the ratio of two members' (geometric) means, with the tests that a rule needs.

        A member may have fewer seeds than others: what has no value in a seed is left out, and the method counts the rest.
        """
        names = [of] if beside is None else [of, beside]
        for name in names:
            if reason := self._lacks(measure, name):
                return Contrast(absent(reason))
        scale, values = self.scale(measure), [value for name in names for value in self.values(measure, name)]
        if beside is None:
            # A value off its scale (a negative distortion) has no logarithm: then all are averaged as they are.
            return self._alone(measure, of, scale if all(map(scale.holds, values)) else PLAIN)
        # A ratio needs values above 0 in every seed; one that is not would vanish from the mean.
        if not all(map(scale.holds if isinstance(scale, Share) else LOGARITHM.holds, values)):
            return Contrast(absent(f"{measure} is not positive, and has no ratio"))
        return contrast(LOGARITHM, *(self._level(measure, name, scale, LOGARITHM) for name in names))

    def over_seeds(self, measure: str, of: str, beside: str | None = None) -> Estimate:
        """The estimate of `contrast`, with its 95 % t-interval."""
        return self.contrast(measure, of, beside).estimate

    def _lacks(self, measure: str, name: str) -> str | None:
        """The obstacle to a mean over seeds, in words; None where there is none."""
        values = self.values(measure, name)
        if not values:
            return self.why(measure, name)
        return None if all(map(math.isfinite, values)) else f"{measure} of `{name}` is not finite in every seed"

    def _alone(self, measure: str, name: str, scale: Scale) -> Contrast:
        values = self.values(measure, name)
        if len(values) > 1 and name not in self.fixed:
            return contrast(scale, self._level(measure, name, scale, scale))
        words = "no seed trains it" if name in self.fixed else "one seed has no interval"
        return Contrast(Estimate(values[0], None, None, 1, "", words))  # as it is, an end of a share too, which has no logit

    def _level(self, measure: str, name: str, scale: Scale, onto: Scale) -> Level:
        """A member's mean as that measure's scale takes its values, on the line of `onto`."""
        values, counts = self.values(measure, name), [one.n for one in self.estimates(measure, name)]
        if isinstance(scale, Share):
            # Few counts: seeds hardly show how they vary, and 0 has no logit (scales.py).
            if name not in self.fixed and scale.few(values, counts):
                return scale.together(values, counts, onto)
            values = list(map(scale.inside, values, counts))
        found = level([onto.forward(value) for value in values])
        # no parts: it is the same for every seed, and adds no variance
        return replace(found, parts=()) if name in self.fixed else found


def contrasts(evidence: Evidence) -> dict[Key, Contrast]:
    """The contrast that each rule of the table reads, by its key."""
    keys = [key_of(rule) for claim in CLAIMS for rule in claim.rules]
    return {key: evidence.contrast(*key) for key in keys}
