"""The effort of a survey: what the minutes buy. Part of every survey, so that figures of different efforts are not mixed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Effort:
    """Counts. `train`: rows that measures refer to (exact sums run over all of their posteriors); `test`: rows measured.

    `samples`: decoded draws in each step of the ladder; `outer`: draws of z at which sums over all posteriors are taken;
    `paths`: pairs of test rows that paths join; `places`: codes at which derivatives are taken; `noisy`: codes disturbed;
    `halves`: half-samples from which intervals of distances between sets are read; `judged`: codes that a classifier is to tell
    from the prior's draws; `weighted`: test rows whose log-likelihood is estimated (0: none), with `draws` importance weights
    each; `annealed`: rows, and images of the model's own, whose log-likelihood is annealed (0: none).
    """

    train: int
    test: int
    samples: int
    outer: int
    paths: int
    places: int
    noisy: int
    halves: int
    judged: int
    weighted: int
    draws: int
    annealed: int

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
    annealed=50,  # few: annealing takes some thousand gradients an image
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
    annealed=0,  # 0: this and `weighted` cost more than half of a survey, and no rule reads them
)
