"""Table and picture of a sweep: its runs, best first; a line for each combination and a dot for each seed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.figure import Figure

from legato.files import whole_file
from legato.report.style import FAINT, HAIR, LINES, NOTE, blank, heading, styled, text_width
from legato.sweep.run import Row

FIGURES = ("elbo", "distortion", "rate", "steps", "seconds")
SEED = "seed"  # the word that is no choice: runs that differ by it alone are one combination
MOST = 40  # combinations in a picture
LINE, WIDE, ABOVE, BELOW = 0.26, 7.5, 0.62, 0.55  # inches: a line's height, the picture's width, its margins


def judged(rows: Sequence[Row]) -> str:
    """The figure by which runs are put in order: the ELBO where all have one, else minus the distortion."""
    return "elbo" if all(figures["elbo"] is not None for _, figures in rows) else "distortion"


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Best first."""
    by = judged(rows)
    return sorted(rows, key=lambda row: row[1][by], reverse=by == "elbo")


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[Any]]]:
    """Heads and cells: the words that differ, then the figures; best first."""
    words = list(rows[0][0].differing)
    cells = [[*trial.differing.values(), *(found[name] for name in FIGURES)] for trial, found in in_order(rows)]
    return [*words, *FIGURES], cells


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """The table as CSV."""
    heads, cells = table(rows)
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", *heads])
    writer.writerows([trial.name, *line] for (trial, _), line in zip(in_order(rows), cells, strict=True))
    with whole_file(path) as file:
        file.write(text.getvalue().encode())


def combinations(rows: Sequence[Row]) -> dict[str, list[float]]:
    """The figure of each combination's runs, one for each seed, best mean first."""
    by, found = judged(rows), dict[str, list[float]]()
    for trial, figures in rows:
        words = [f"{word} {value:g}" if isinstance(value, float) else f"{word} {value}"
                 for word, value in trial.differing.items() if word != SEED]  # fmt: skip
        found.setdefault(", ".join(words) or trial.words["recipe"], []).append(figures[by])
    return dict(sorted(found.items(), key=lambda one: mean(one[1]), reverse=by == "elbo"))


def picture(rows: Sequence[Row]) -> Figure:
    """A dot for each run and a bar at each combination's mean, best above; at most 40 combinations."""
    found = dict(list(combinations(rows).items())[:MOST])
    with styled():
        inside, left = LINE * (len(found) + 0.5), 0.25 + max(text_width(name, NOTE) for name in found)
        height = ABOVE + inside + BELOW
        figure = blank(WIDE, height)
        axes = figure.add_axes((left / WIDE, BELOW / height, 1 - (left + 0.2) / WIDE, inside / height))
        for line, values in enumerate(found.values()):
            axes.axhline(line, color=HAIR, linewidth=0.7, zorder=0)
            axes.plot(values, [line] * len(values), "o", color=LINES[0], markersize=4.5, alpha=0.8)
            axes.plot([mean(values)], [line], "|", color=LINES[1], markersize=11, markeredgewidth=1.8)
        axes.set_yticks(range(len(found)), list(found))
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        by = judged(rows)
        axes.set_xlabel("validation ELBO, nats per example" if by == "elbo" else "validation distortion, nats per example")
        seeds = max(map(len, found.values()))
        note = "a dot for each run" if seeds == 1 else "a dot for each seed, a bar at their mean"
        heading(axes, "What the runs came to", f"best above; {note}", WIDE - left)
        axes.xaxis.label.set_fontsize(NOTE)
        axes.xaxis.label.set_color(FAINT)
    return figure
