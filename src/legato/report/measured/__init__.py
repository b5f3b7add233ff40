"""The report of a measured model: one HTML file of what it makes, and of every figure that `legato.measure` found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from legato.report.html import write_report
from legato.report.measured.exhibit import Exhibit
from legato.report.measured.story import sections
from legato.survey import FULL, QUICK, Survey
from legato.survey.evaluation import Evaluation

__all__ = ["write_measured_report"]


def write_measured_report(
    out: str | Path, found: Survey, evaluation: Evaluation, title: str, label_names: Sequence[str] | None = None
) -> int:
    """Writes `out` and returns its size in bytes. `evaluation`: of the same model, on the same images."""
    shown = Exhibit(title, evaluation, label_names)
    return write_report(out, f"{title}, measured", _lead(shown, found), sections(shown, found), facts=_facts(shown, found))


def _lead(shown: Exhibit, found: Survey) -> str:
    """A sentence on what it is, whether it has collapsed, and how much could be measured."""
    measured = sum(one.value is not None for one in found.figures.values())
    told = f"Of {len(found.figures)} figures {measured} could be measured; the others say why not."
    return f"{shown.what} with {shown.dim} latent{'s' if shown.dim > 1 else ''}; {shown.said}. {told}"


def _facts(shown: Exhibit, found: Survey) -> dict[str, str]:
    material = shown.material
    effort = {FULL: "full", QUICK: "quick"}.get(found.effort, "of one's own")
    return {
        "data": f"{material.source}, {len(material.test):,} test rows measured, {len(material.train):,} training rows beside",
        "shape": " × ".join(map(str, material.shape)),
        "effort": effort,
        "seed of the measures": str(shown.evaluation.seed),
        "date": date.today().isoformat(),
    }
