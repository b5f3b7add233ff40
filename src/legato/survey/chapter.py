"""A chapter of a survey: what it measures, what it needs, how it does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from legato.measures.estimate import Estimate
from legato.measures.known import Need, measure_of
from legato.survey.evaluation import Evaluation

Found = tuple[dict[str, Estimate], dict[str, Any]]  # figures, curves


@dataclass(frozen=True)
class Chapter:
    """`measures` are the keys of its figures; where a need that all of them have is not met each of them says so."""

    title: str
    measures: tuple[str, ...]
    measure: Callable[[Evaluation], Found]

    @property
    def needs(self) -> tuple[Need, ...]:
        """The needs that all of its figures share; what single ones need besides, these say themselves."""
        first, *others = (measure_of(key).needs for key in self.measures)
        # Only needs that can be told beforehand are asked: others show while a figure is made.
        return tuple(need for need in first if need in _MET and all(need in each for each in others))

    def lacks(self, evaluation: Evaluation) -> str | None:
        """The reason why it cannot be measured, or None."""
        return next((_WHY[need] for need in self.needs if not _MET[need](evaluation)), None)


_WHY: dict[Need, str] = {
    "labels": "needs labels",
    "noise": "the posterior is a point: it has no width",
    "likelihood": "needs a likelihood in a model of Legato's own",
    "log_px": "needs a likelihood",
    "pictures": "needs pictures",
    "factors": "needs known factors",
}

_MET: dict[Need, Callable[[Evaluation], bool]] = {
    "labels": lambda evaluation: evaluation.shared.test.labels is not None,
    "noise": lambda evaluation: evaluation.test.sigma is not None,
    "likelihood": lambda evaluation: evaluation.subject.space is not None,
    "log_px": lambda evaluation: evaluation.subject.space is not None or evaluation.subject.has_log_px,
    "pictures": lambda evaluation: evaluation.shared.pictures,
    "factors": lambda evaluation: evaluation.shared.known is not None,
}
