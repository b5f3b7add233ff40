"""The section of priors that were fitted to the codes after training: what each draws, and what it was found to gain.

Covered: priors that lie in the runs' folders, with the figures that `legato refit` wrote. Not covered: fitting (refits.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from legato.data.prepared import Prepared
from legato.fitted.kept import names, said
from legato.measures.estimate import estimate_of
from legato.measures.interval import bracketed
from legato.report.html import Section, Table
from legato.report.trained.images import SAMPLES, sample_figure
from legato.report.trained.subjects import MOST, Subject, TitledRun, is_image
from legato.run import Run

Told = dict[str, Any]
WORDS = (
    "A prior that was fitted to where the codes lie, after training: no weight of the model was touched. What it gains is what "
    "the ELBO gains. Distances of samples have those of reconstructions as their floor; draws of training codes, decoded, are "
    "what a perfect prior gives."
)
COPIES = (
    "Copies: the share of samples nearer to a training image than 99 % of test images are; 1 % is what an honest sample has."
)


def fitted_sections(subjects: Sequence[Subject], data: Prepared) -> list[Section]:
    """One section of all fitted priors of the runs; none where there are none."""
    found = [(subject, name) for subject in subjects for name in _names(subject)]
    if not found:
        return []
    rows = [_row(subject, name, said(subject.space.run.priors, name)["told"]) for subject, name in found]
    heads = ("", "fitted in, s", "gained, nats", "Fréchet before", "after", "codes", "reconstructions", "copies")
    table = Table(heads, rows, f"Intervals are of 95 %. {COPIES}")
    if not is_image(subjects[0].space):
        return [Section("Priors fitted to the codes", WORDS, table=table)]
    shown = [TitledRun(_title(subject, name), subject.space.under(name)) for subject, name in found[:MOST]]
    figure = sample_figure(shown, data, "prior")
    caption = f"Decoded means of {SAMPLES} draws of seed 0 from each fitted prior, not picked; random test images beside."
    return [Section("Samples from priors fitted to the codes", WORDS, figure, caption, table=table)]


def _names(subject: Subject) -> list[str]:
    kept = subject.space.kept
    return names(kept.priors) if isinstance(kept, Run) else []


def _title(subject: Subject, name: str) -> str:
    return f"{subject.title}, {name}"


def _row(subject: Subject, name: str, told: Told) -> tuple[str | float | None, ...]:
    figures = ("gained", "frechet before", "frechet after", "frechet codes", "frechet reconstructions", "copies after")
    return (_title(subject, name), told.get("seconds"), *(_figure(told, one) for one in figures))


def _figure(told: Told, name: str) -> str | None:
    return bracketed(estimate_of(told[name])) if name in told else None
