"""A survey: everything that is measured of one model, each figure by name, and the curves that figures are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from legato import shown
from legato.errors import Mistake
from legato.measures.estimate import Estimate, absent
from legato.measures.known import measure_of
from legato.moments import LARGEST, whole
from legato.survey.chapter import Chapter
from legato.survey.chapters import CHAPTERS
from legato.survey.effort import FULL, QUICK, Effort
from legato.survey.evaluation import Evaluation
from legato.survey.material import Material
from legato.survey.subject import Subject

OWN_PRIOR = "the prior is not N(0, I)"

__all__ = ["FULL", "QUICK", "Effort", "Material", "Subject", "Survey", "survey"]


@dataclass(frozen=True, repr=False)
class Survey:
    """`figures`: measure -> estimate over images. `curves`: name -> numbers. `effort`: how much was measured."""

    effort: Effort
    figures: dict[str, Estimate] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return shown.text(type(self).__name__, self._told_of())

    def _repr_html_(self) -> str:
        return shown.page(type(self).__name__, self._told_of())

    def _told_of(self) -> list[shown.Line]:
        """The figures that apply, and how many do not."""
        known = {name: one for name, one in self.figures.items() if one.value is not None}
        absent_ones = f"{len(self.figures) - len(known)} figures do not apply: figures[name].why"
        return [*((name, str(one), one.method) for name, one in known.items()), ("", absent_ones, "")]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        figures = {name: one.to_json() for name, one in self.figures.items()}
        return {"effort": self.effort.to_json(), "figures": figures, "curves": self.curves}


def survey(
    subject: Subject,
    shared: Material,
    effort: Effort = FULL,
    *,
    seed: int = 0,
    chapters: Sequence[Chapter] = CHAPTERS,
    told: Callable[[str], object] = lambda _: None,
) -> Survey:
    """Measures `subject` on `shared`, chapter by chapter; `told` hears the title of each. What does not apply says why.

    Raises `Mistake` for codes of more than 4,096 dimensions.
    """
    # Before anything is measured: whitening alone would take d × d numbers, 34 GB at 65,536 dimensions.
    if not whole(subject.latent_dim):
        raise Mistake(
            f"codes of {subject.latent_dim:,} dimensions are not surveyed (at most {LARGEST:,}): `legato evaluate` measures "
            "them, `legato sample` and `legato explore` show them"
        )
    found, evaluation = Survey(effort), Evaluation(subject, shared, effort, seed)
    for chapter in chapters:
        told(chapter.title)
        if reason := chapter.lacks(evaluation):
            found.figures.update(dict.fromkeys(chapter.measures, absent(reason)))
            continue
        try:
            figures, curves = chapter.measure(evaluation)
        except Mistake as error:  # what this model makes of the measure is said in its place, and costs no other figure
            # Keyed by the chapter's own names, so that a reader finds a reason wherever a figure is missing.
            figures, curves = dict.fromkeys(chapter.measures, absent(str(error))), {}
        found.figures.update(figures if subject.standard_prior else _of_own_prior(figures))
        found.curves.update(curves)
    return found


def _of_own_prior(figures: dict[str, Estimate]) -> dict[str, Estimate]:
    """The figures without what compares with N(0, I) by formula: the model's prior is another, known by its draws alone."""
    measured = [name for name, one in figures.items() if one.value is not None and "standard prior" in measure_of(name).needs]
    return figures | dict.fromkeys(measured, absent(OWN_PRIOR))
