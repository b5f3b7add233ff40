"""The best validation of a run: told of every one, kept where `--keep best` asks for it.

Best is the highest ELBO at β = 1 on the validation images, whatever was trained; of an autoencoder, which has none, the least
distortion; of equals the first. Not covered: the weights themselves (learner.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

ELBO, DISTORTION = "ELBO (β = 1)", "distortion"
LOST = 0.01  # of what was gained since the first validation: less is a plateau's noise


class Validated(NamedTuple):
    """A validation: after which step, and how good it was (nats per example, higher is better)."""

    step: int
    score: float


def score(validation: dict[str, Any]) -> float:
    """The ELBO at β = 1, or minus the distortion of a model that has none."""
    return float(-validation["distortion"] if validation["elbo"] is None else validation["elbo"])


class Course(NamedTuple):
    """The validations of a run: the first, the best, the last, and the word for what they judge."""

    first: Validated
    best: Validated
    last: Validated
    word: str

    @property
    def lost(self) -> bool:
        """True where the last weights are worse than the best by more than a hundredth of what these had gained."""
        # A share of what was gained: nats by themselves grow with the number of pixels.
        return self.best.score - self.last.score > LOST * (self.best.score - self.first.score)

    def told(self, kept: bool, overfits: bool, cut: bool = False) -> str:
        """A line: which step was the best, and what it became or could become.

        `kept`: whether the best weights are the model. `overfits`: whether a fall means that rows were learnt by heart; without
        a KL term it only means that nobody paid for the rate. `cut`: whether the cap on passes ended the run.
        """
        if self.best.step == self.last.step:
            more = ": this model may gain by more passes than the default cap (--max-passes)" if cut else ""
            return f"the best validation {self.word} is the last step's{more}"
        line = f"the best validation {self.word} was {self.figure(self.best)}, at step {self.best.step:,} of {self.last.step:,}"
        if kept:
            return f"{line}: its weights are the model"
        if not (overfits and self.lost):
            return line
        return f"{line}, and later steps overfit: --keep best takes its weights, --steps {self.best.step} ends there"

    def figure(self, one: Validated) -> str:
        """A score as it is named elsewhere: a distortion is positive."""
        return f"{one.score if self.word == ELBO else -one.score:.2f}"


def course(metrics: Iterable[dict[str, Any]]) -> Course | None:
    """The course that the lines of metrics.jsonl tell; None before the first validation."""
    lines = [line for line in metrics if "validation" in line]
    if not lines:
        return None
    seen = [Validated(line["step"], score(line["validation"])) for line in lines]
    word = DISTORTION if lines[-1]["validation"]["elbo"] is None else ELBO
    return Course(seen[0], max(seen, key=lambda one: one.score), seen[-1], word)  # `max` takes the first of equals
