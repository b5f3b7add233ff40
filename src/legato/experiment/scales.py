"""On which scale seeds of a measure are averaged and members pooled: where another seed moves small and large values alike.

- Logarithms, for positive scales without an upper end (σ, distortion, rate, Fréchet distances, r₅₀, ratios): one model's may be
  a million times another's, and what a seed moves with it. Of an ELBO, the logarithm of minus it.
- The logit log p/(1 − p), for shares, which lie between 0 and 1: accuracies, purity, confusion, overlap, holes, precision,
  coverage, confidence, trustworthiness and continuity, the scores of disentanglement, Kolmogorov-Smirnov distances. Near 0 the
  logit is the logarithm, near 1 its mirror image: 0.03 moves by some of 0.03, and ½ by some of ½. Realism is precision over
  that of training images: its upper end is not 1 but 1 over theirs.
- As they are, for the rest: R², density, KID, nats that may be 0, and the gradient's share, which is 0 to the last bit or not.

A share is a count of n examples (`Estimate.n`). Where that count is fewer than 10 away from none or all, counting moves its
logit as much as a seed does, and 0 and 1 have no logit. The counts of all seeds are then taken together, as one count of N
examples that is at least a half and at most N − ½; its logit has the variance 1/(N p (1 − p)) beside that of the seeds, and
such a member adds nothing to the pool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from legato.survey.disentangled import TITLES

LOGARITHMS = (
    *("noise ratio", "variance ratio", "sigma", "distance of sigma", "spread", "r50", "flip50", "distortion", "rate"),
    *("frechet", "straightness", "jumpiness", "path length", "stretch", "cycle"),
)
SHARES = (
    *("confusion", "null confusion", "overlap", "purity", "probe", "few-label probe", "two-sample accuracy", "hole"),
    *("kernel hole", "precision", "coverage", "confidence", "untrusted share", "trustworthiness", "continuity"),
    *("norm distance", "distance to", *TITLES.values()),
)
FEW = 10  # counts: the least of which a binomial is taken to be normal


@dataclass(frozen=True)
class Scale:
    """`holds` says whether a value lies on it; `top`: the upper end of a share, whose lower end is 0; None: not a share."""

    mean: str
    forward: Callable[[float], float]
    back: Callable[[float], float]
    holds: Callable[[float], bool]
    top: float | None = None

    def few(self, value: float, n: int) -> bool:
        """Whether a share of n examples is fewer than ten of them away from its ends."""
        return self.top is not None and n * min(value, self.top - value) < FEW * self.top

    def together(self, values: Sequence[float], n: Sequence[int]) -> tuple[float, float]:
        """Shares of n examples each as one share of them all, half an example or more from its ends; its logit's variance."""
        assert self.top is not None
        total = sum(n)
        p = sum(value * count for value, count in zip(values, n, strict=True)) / total / self.top
        p = min(max(p, 0.5 / total), 1 - 0.5 / total)
        return p * self.top, 1 / (total * p * (1 - p))

    def slope(self, value: float) -> float:
        """d log(value) by d logit: what a logit's deviation makes of a share's logarithm (delta method). 1 for logarithms."""
        return 1.0 if self.top is None else 1 - value / self.top


PLAIN = Scale("mean", lambda value: value, lambda value: value, lambda value: True)
LOGARITHM = Scale("geometric mean", math.log, math.exp, lambda value: value > 0)
NEGATIVE = Scale("geometric mean of minus the value", lambda v: math.log(-v), lambda v: -math.exp(v), lambda v: v < 0)


def share(top: float = 1.0) -> Scale:
    """The logit of value/top."""
    return Scale(
        "mean of logits",
        lambda value: math.log(value) - math.log(top - value),
        lambda logit: top / (1 + math.exp(-logit)) if logit > 0 else top * math.exp(logit) / (1 + math.exp(logit)),
        lambda value: 0 <= value <= top * (1 + 1e-9),  # a mean of ones may round up
        top,
    )


def scale_of(measure: str) -> Scale:
    """That of a measure by its name; of realism, whose end is another on every data set, see `Evidence.scale`."""
    if measure.startswith(SHARES):
        return share()
    return NEGATIVE if measure.startswith("elbo") else LOGARITHM if measure.startswith(LOGARITHMS) else PLAIN
