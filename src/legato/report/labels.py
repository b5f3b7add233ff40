"""Classes on a map: a colour for each, and its name written where its codes lie.

Covered: labels that are numbers or words, missing ones, too many of them. Names stand on the map itself, so that colour is
never the only way to tell two classes apart. Not covered: the palettes (`style`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from numpy.typing import NDArray

from legato.report import style
from legato.types import Floats

UNLABELLED = "#0072B2"  # dots of data without labels
NAME = 14  # characters of a class's name: a longer one covers the codes that it names


@dataclass(frozen=True)
class Class:
    """One class that a map names: its label, name and colour."""

    label: Any
    name: str
    colour: str


def classes_of(labels: NDArray[Any] | None, names: Sequence[str] | None, n: int) -> tuple[Floats, list[Class]]:
    """The colour of each of n codes, (n, 4), and the classes that are named."""
    if labels is None:
        return np.tile(to_rgba(UNLABELLED), (n, 1)), []
    chosen, _ = style.class_colours(labels[known(labels)])
    colours = np.tile(to_rgba(style.OTHER), (n, 1))
    classes = [Class(label, _name(label, names), colour) for label, colour in chosen]
    for each in classes:
        colours[labels == each.label] = to_rgba(each.colour)
    return colours, classes


def known(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """True where a label is one: a negative number says that there is none."""
    return labels >= 0 if np.issubdtype(labels.dtype, np.number) else np.ones(len(labels), bool)


def label_medians(axes: Axes, points: Floats, labels: NDArray[Any] | None, classes: list[Class]) -> Floats:
    """Each class's name in its colour at the median of its codes, moved aside where names would cover each other.

    Returns where the names stand, (classes, 2).
    """
    if labels is None or not classes:
        return np.empty((0, 2))
    # Medians and not means: one far code would move a name away from its class.
    medians = np.array([np.median(points[labels == each.label], axis=0) for each in classes])
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    corner, span = np.array([x0, y0]), np.array([x1 - x0, y1 - y0])
    sizes = np.array([[0.028 + 0.026 * len(each.name), 0.062] for each in classes])
    places: Floats = spread((medians - corner) / span, sizes) * span + corner
    for each, (x, y) in zip(classes, places, strict=True):
        pill = {"boxstyle": "round,pad=0.22,rounding_size=0.5", "fc": each.colour, "ec": "white", "lw": 0.8}
        ink = style.ink_on(each.colour)
        axes.text(
            x, y, each.name, fontsize=style.NOTE, fontweight="bold", color=ink, ha="center", va="center", bbox=pill, zorder=6
        )
    return places


def spread(places: Floats, sizes: Floats) -> Floats:
    """Boxes (n, 2) of `sizes` (n, 2), both in fractions of the axes, pushed apart until none overlap and all lie inside.

    Two boxes part along the axis on which they overlap less, half the way each. Dozens of rounds settle ten boxes, hundreds
    those that all lie in one corner.
    """
    places = places.copy()
    for _ in range(400):  # a bound: boxes that cannot all fit would be pushed for ever
        moved = False
        for i in range(len(places)):
            for j in range(i):
                gap = places[i] - places[j]
                overlap = (sizes[i] + sizes[j]) / 2 - np.abs(gap)
                if (overlap > 1e-6).all():
                    axis = int(np.argmin(overlap))
                    step = overlap[axis] / 2 * (1.0 if gap[axis] >= 0 else -1.0)
                    places[i, axis] += step
                    places[j, axis] -= step
                    moved = True
        places = np.clip(places, sizes / 2, 1 - sizes / 2)  # inside again after every round: pushing two apart may push one out
        if not moved:
            break
    return places


def _name(label: Any, names: Sequence[str] | None) -> str:
    numbered = isinstance(label, np.integer) and names is not None and 0 <= label < len(names)
    name = str(names[int(label)]) if numbered and names is not None else str(label)
    return name if len(name) <= NAME else name[: NAME - 1] + "…"
