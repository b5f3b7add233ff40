"""Figures of a survey as tables, chapter by chapter, and what could not be measured, by its reason.

Covered: value, interval, n, unit and method of each figure; nothing that is not finite is printed. Not covered: what the
measures are (docs/measure.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from legato.measures.estimate import Estimate, absent
from legato.measures.interval import bracketed
from legato.measures.known import called
from legato.report.html import Section, Table
from legato.survey import Survey
from legato.survey.chapters import CHAPTERS

NBSP = "\u00a0"  # a value and its interval stay on one line
COLUMNS = ("measure", "value [95 %]", "n", "unit", "method")


def chapter_sections(found: Survey) -> list[Section]:
    """A table for each chapter of which something was measured."""
    figures = {name: finite(one) for name, one in found.figures.items()}
    named = [(chapter.title, [name for name in chapter.measures if name in figures]) for chapter in CHAPTERS]
    rest = set(figures).difference(*(names for _, names in named))
    wanted = [*named, ("Further figures", [name for name in figures if name in rest])]
    tables = ((title, _table({name: figures[name] for name in names})) for title, names in wanted)
    return [Section(title[:1].upper() + title[1:], table=table) for title, table in tables if table.rows]


def references(found: Survey) -> Section | None:
    """The survey's single numbers that are no estimates: what figures are held against."""
    rows = [(name, f"{value:.4g}") for name, value in found.curves.items() if isinstance(value, float) and math.isfinite(value)]
    return Section("To compare with", table=Table(("number", "value"), rows, stacked=True)) if rows else None


def missing(found: Survey) -> Table:
    """A row for each reason: which figures are missing, and why."""
    why: dict[str, list[str]] = {}
    for name, one in found.figures.items():
        if (shown := finite(one)).value is None:
            why.setdefault(shown.why or "not said", []).append(called(name))
    return Table(("why", "not measured"), [(reason, "; ".join(names)) for reason, names in why.items()], stacked=True)


def finite(one: Estimate) -> Estimate:
    """The estimate without a value that is not finite, or an interval whose end is not: NaN is never shown."""
    if one.value is None or not math.isfinite(one.value):
        return absent(one.why or "the value is not finite", one.unit, one.method)
    if all(end is None or math.isfinite(end) for end in (one.low, one.high)):
        return one
    return replace(one, low=None, high=None, method=f"{one.method}; the interval is not finite")


def _table(figures: dict[str, Estimate]) -> Table:
    rows: Sequence[tuple[str, str, str, str, str]] = [
        (called(name), bracketed(one).replace(" ", NBSP), f"{one.n:,}", one.unit, one.method)
        for name, one in figures.items()
        if one.value is not None
    ]
    return Table(COLUMNS, rows, stacked=True)
