"""Scales on which a measure's seeds are averaged: there another seed moves small and large values alike. The table of measures
(legato.measures.known) says which is whose.

- Logarithms, for positive scales without an upper end (σ, distortion, rate, Fréchet distances, r₅₀, ratios): one model's may be
  a million times another's, and what a seed moves with it. Of an ELBO, the logarithm of minus it.
- The logit log p/(1 − p), for shares, which lie between 0 and 1: accuracies, purity, confusion, overlap, holes, precision,
  coverage, confidence, trustworthiness and continuity, the scores of disentanglement, Kolmogorov-Smirnov distances. Near 0 the
  logit is the logarithm, near 1 its mirror image: 0.03 moves by some of 0.03, and ½ by some of ½. Realism is precision over
  that of training images: its upper end is not 1 but 1 over theirs.
- As they are, for the rest: R², density, KID, nats that may be 0, and the gradient's share, which is 0 to the last bit or not.
  And for a member that has a value off its measure's scale: a distortion in nats of density may be negative.

A share is a count of n examples (`Estimate.n`). Where seeds count fewer than 10 on average, or fewer than 10 short of all, and
where all count the same, seeds hardly show how they vary, and 0 and 1 have no logit. Their counts are then taken together, as
one count of N examples that is at least a half and at most N − ½; its logit has the variance 1/(N p (1 − p)) beside that of the
seeds' shares, s²/n by (p (1 − p))².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from legato.claims import CLAIMS
from legato.measures.known import MEASURES
from legato.measures.seeds import LOGARITHM, NEGATIVE, PLAIN, Level, Scale, mean_variance

FEW = 10  # counts: the least of which a binomial is taken to be normal
TOGETHER = "shares of few counts, or alike in every seed, are those of all seeds together"


@dataclass(frozen=True)
class Share(Scale):
    """The logit of value/most; 0 and `most` are counts of none and of all, which lie on it too."""

    def holds(self, value: float) -> bool:
        """A mean of ones may round up."""
        return 0 <= value <= self.most * (1 + 1e-9)

    def few(self, values: Sequence[float], n: Sequence[int]) -> bool:
        """True where shares of n examples each are, on average, fewer than ten away from an end, or are all alike."""
        counted = sum(value * count for value, count in zip(values, n, strict=True)) / self.most / len(n)
        short = sum(n) / len(n) - counted
        # alike in every seed: s² is 0, and would claim that the share is known exactly
        return min(counted, short) < FEW or (len(values) > 1 and len(set(values)) == 1)

    def inside(self, value: float, n: int) -> float:
        """A share of n examples, half an example or more from its ends."""
        end = self.most * 0.5 / max(n, 1)
        return min(max(value, end), self.most - end)

    def together(self, values: Sequence[float], n: Sequence[int], onto: Scale) -> Level:
        """Shares of n examples each as one share of them all, on the logit scale or in logarithms."""
        total = sum(n)
        share = self.inside(sum(value * count for value, count in zip(values, n, strict=True)) / total, total)
        p = share / self.most
        if len(values) < 2:  # one seed: how shares vary between seeds is not known, whatever the counts say
            return Level(onto.forward(share), 1, None)
        slope = (1.0 if onto is self else 1 - p) / (p * (1 - p))  # of the logit, or of the logarithm (delta method)
        seeds = float(mean_variance(values)[1]) / self.most**2
        parts = ((slope**2 * seeds, len(values) - 1), (slope**2 * p * (1 - p) / total, math.inf))
        return Level(onto.forward(share), len(values), parts, TOGETHER)


def share(top: float = 1.0) -> Share:
    """The logit of value/top."""
    return Share(
        "mean of logits",
        lambda value: math.log(value) - math.log(top - value),
        # by the sign of x: exp of a large number overflows
        lambda x: top / (1 + math.exp(-x)) if x > 0 else top * math.exp(x) / (1 + math.exp(x)),
        0.0,
        top,
    )


SCALES: dict[str, Scale] = {"log": LOGARITHM, "negative log": NEGATIVE, "share": share()}


def scale_of(measure: str) -> Scale:
    """The scale that the table of measures names. Realism ends elsewhere on every data set: see `Evidence.scale`."""
    found = MEASURES.get(measure)
    # a measure of another edition's evidence is averaged as it is
    return PLAIN if found is None else SCALES.get(found.scale, PLAIN)


def declared() -> dict[str, object]:
    """All that decides how seeds of what the rules read are averaged, for the table's hash."""
    measures = sorted({rule.measure for claim in CLAIMS for rule in claim.rules})
    realism = "logit of a share up to 1 over the precision of training images"
    means = {name: realism if MEASURES[name].scale == "share of real" else scale_of(name).mean for name in measures}
    return {"means": means, "ratios": LOGARITHM.mean, "few counts": FEW, "then": TOGETHER}
