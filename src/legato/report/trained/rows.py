"""Rows of a table as runs give them back: how well each column, some rows, samples beside the data, what moves what.

Covered: values in the columns' own units under their own names, and in standard deviations where columns are compared; the same
rows and draws for all runs, never picked. Not covered: pictures (images.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legato.data.prepared import Prepared
from legato.data.units import named, unit_of
from legato.report.html import Cell, Section, Table
from legato.report.trained.subjects import Subject, shown_rows, stored
from legato.types import Doubles

MOST = 30  # columns of a table: a person reads no more
GIVEN, SAMPLED, SHOWN, TRAVERSED, SPAN = 2_000, 2_000, 3, 6, 2.0
GIVEN_BACK = (
    "Each column of a row, and what is left of it after the latent bottleneck. The error is the root mean square of what is "
    "given back less what was there, in the column's unit and in its standard deviations σ: at 1 σ the model tells no more "
    "than the column's mean does."
)
BESIDE = "Whole rows drawn from each model, beside the data: each column's middle value, and in brackets where nine in ten lie."
FITTED = "they are drawn where the codes are: its training did not ask for codes from N(0, I)."
MOVED = (
    f"How far each column moves, in its standard deviations σ, as one dimension goes from {SPAN:g} of the codes' own "
    "deviations below their mean to as many above, the others at the mean. Columns with one sign rise and fall together."
)
TAILS = (0.05, 0.5, 0.95)  # nine in ten lie between the outer two


@dataclass(frozen=True)
class Column:
    """A column's place in a row, its name and unit, and its mean and standard deviation over the shown rows."""

    place: int
    name: str
    unit: str
    mean: float
    std: float

    def told(self, value: float) -> str:
        """The value with the digits that a tenth of the column's spread needs."""
        digits = max(0, math.ceil(-math.log10(self.std)) + 1)
        # beyond 15 digits a double has none to show
        text = f"{value:.4g}" if digits > 8 or abs(value) >= 1e15 else f"{value:,.{digits}f}"
        return text.replace("-", "−")


def row_sections(subjects: Sequence[Subject], data: Prepared) -> list[Section]:
    """All that is told of a table instead of pictures."""
    columns = columns_of(data)
    return [
        _given_back(subjects, data, columns),
        _samples(subjects, data, columns),
        _dimensions(subjects, columns),
    ]


def columns_of(data: Prepared) -> list[Column]:
    """The columns, as the rows that figures show have them."""
    values = _values(data.seen(shown_rows(data, GIVEN)))
    spread = values.std(0)
    names = named(data.dataset.columns, data.dataset.shape[0])
    return [
        # a constant column is in units of 1, for errors are divided by it
        Column(i, *unit_of(name), float(values[:, i].mean()), float(spread[i]) if spread[i] > 0 else 1.0)
        for i, name in enumerate(names)
    ]


def _given_back(subjects: Sequence[Subject], data: Prepared, columns: Sequence[Column]) -> Section:
    rows = shown_rows(data, GIVEN)
    before = _values(data.seen(rows))
    after = [_again(subject, data, rows) for subject in subjects]
    errors = [np.sqrt(np.square(one - before).mean(0)) for one in after]

    def cells(column: Column) -> list[Cell]:
        shares = (f"{column.told(error[column.place])} ({error[column.place] / column.std:.2f} σ)" for error in errors)
        return [column.told(column.mean), column.told(column.std), *shares]

    heads = ["mean", "standard deviation σ", *(f"error of {subject.title}" for subject in subjects)]
    caption = f"Over {len(rows):,} test rows, drawn at random; decoded means of their codes.{_left_out(columns)}"
    parts = [_one(subjects, data, columns, int(row)) for row in rows[:SHOWN]]
    return Section(
        "The columns, and what is given back of them", GIVEN_BACK, table=_table(columns, heads, cells, caption), parts=parts
    )


def _one(subjects: Sequence[Subject], data: Prepared, columns: Sequence[Column], row: int) -> Section:
    """A row beside what each model gives back of it."""
    rows = np.array([row])
    values = [_values(data.seen(rows))[0], *(_again(subject, data, rows)[0] for subject in subjects)]
    label = _label(data, row)
    heads = ["the row", *(subject.title for subject in subjects)]
    table = _table(columns, heads, lambda column: [column.told(each[column.place]) for each in values])
    return Section(f"Row {data.dataset.ids[row]}{f', {label}' if label else ''}", table=table)


def _samples(subjects: Sequence[Subject], data: Prepared, columns: Sequence[Column]) -> Section:
    real = _values(data.seen(shown_rows(data, GIVEN)))
    drawn = [_drawn(subject) for subject in subjects]

    def cells(column: Column) -> list[Cell]:
        return [_range(column, values[:, column.place]) for values in (real, *drawn)]

    asked = [subject.title for subject in subjects if not subject.space.prior_was_trained]
    words = BESIDE + (f" Of {', '.join(asked)} {FITTED}" if asked else "")
    caption = f"{SAMPLED:,} draws of seed 0, with the noise of the likelihood, not picked.{_left_out(columns)}"
    heads = ["the data", *(subject.title for subject in subjects)]
    return Section("Samples beside the data", words, table=_table(columns, heads, cells, caption))


def _range(column: Column, values: Doubles) -> str:
    low, middle, high = (column.told(float(value)) for value in np.quantile(values, TAILS))
    return f"{middle} ({low} … {high})"


def _drawn(subject: Subject) -> Doubles:
    """Draws x ~ p(x|z), in the columns' own units."""
    space = subject.space
    # With the likelihood's noise: means alone would be narrower than the data, and their tails could not be compared.
    drawn = space.draw_prepared(space.draw(SAMPLED, seed=0), seed=0)
    return _values(space.preparation.restore(drawn))


def _dimensions(subjects: Sequence[Subject], columns: Sequence[Column]) -> Section:
    parts = [_moved(subject, columns) for subject in subjects]
    return Section("What each dimension does", MOVED, parts=parts)


def _moved(subject: Subject, columns: Sequence[Column]) -> Section:
    space = subject.space
    dims, codes = space.traverse(dims=space.ranking()[:TRAVERSED], steps=2, span=SPAN)
    ends = [_values(space.decode(line)) for line in codes]

    def cells(column: Column) -> list[Cell]:
        return [_signed((end[1] - end[0])[column.place] / column.std) for end in ends]

    more = f" The {len(dims)} most informative of {space.latent_dim} dimensions." if len(dims) < space.latent_dim else ""
    caption = f"Decoded means.{more}{_left_out(columns)}"
    return Section(subject.title, table=_table(columns, [f"z{dim} (σ)" for dim in dims], cells, caption.strip()))


def _signed(value: float) -> str:
    # What rounds to 0.00 has no sign.
    return "0" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")


def _table(columns: Sequence[Column], heads: Sequence[str], cells: Callable[[Column], list[Cell]], caption: str = "") -> Table:
    """A line for each column, its unit beside its name where any has one."""
    shown = columns[:MOST]
    united = any(column.unit for column in shown)
    units = ["unit"] if united else []
    lines = [[column.name, *([column.unit or None] if united else []), *cells(column)] for column in shown]
    return Table(["column", *units, *heads], lines, caption)


def _left_out(columns: Sequence[Column]) -> str:
    return f" The first {MOST} of {len(columns):,} columns." if len(columns) > MOST else ""


def _again(subject: Subject, data: Prepared, rows: NDArray[np.int64]) -> Doubles:
    return _values(subject.space.seen(subject.space.encode(stored(data, rows), rows)[0]))


def _label(data: Prepared, row: int) -> str:
    labels = data.dataset.labels
    return data.dataset.label_names[labels[row]] if labels is not None and labels[row] >= 0 else ""


def _values(rows: NDArray[np.floating]) -> Doubles:
    return np.asarray(rows, np.float64)
