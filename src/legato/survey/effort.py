"""The effort of a survey: what the minutes buy. Part of every survey, so that figures of different efforts are not mixed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Effort:
    """Counts. `train`: rows that measures refer to (exact sums run over all of their posteriors); `test`: rows measured."""

    train: int
    test: int
    samples: int  # decoded draws in each step of the ladder
    outer: int  # draws of z at which sums over all posteriors are taken
    paths: int  # pairs of test rows that paths join
    places: int  # codes at which derivatives are taken
    noisy: int  # codes that are disturbed
    halves: int  # half-samples from which intervals of distances between sets are read
    judged: int  # codes that a classifier is to tell from the prior's draws
    weighted: int  # test rows whose log-likelihood is estimated; 0: none
    draws: int  # importance weights for each
    annealed: int  # rows, and images of the model's own, whose log-likelihood is annealed; 0: none

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


FULL = Effort(
    train=60_000,
    test=10_000,
    samples=10_000,
    outer=5000,
    paths=1000,
    places=500,
    noisy=1000,
    halves=20,
    judged=4000,
    weighted=1000,
    draws=5000,
    annealed=50,
)
QUICK = Effort(
    train=20_000,
    test=5000,
    samples=5000,
    outer=1000,
    paths=300,
    places=200,
    noisy=400,
    halves=8,
    judged=1500,
    weighted=200,
    draws=500,
    annealed=0,
)
