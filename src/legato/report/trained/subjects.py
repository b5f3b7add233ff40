"""Subjects of a report of trained runs: the runs with their titles, and the images that all of them are shown.

Covered: one choice of rows for all figures, a sample of the test split, never picked. Not covered: figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legato.data.preparation import Units
from legato.data.prepared import Prepared
from legato.errors import Mistake
from legato.latent_space import LatentSpace
from legato.measures.comparison import check_same_data
from legato.report import style
from legato.report.views import Examples, asks_for_standard_normal
from legato.types import Floats, Rows

MOST = style.MOST - 1  # runs side by side: real images take a panel too
SHOWN = 5000  # rows that the figures of one report share: what shows less shows a part, so that figures are of the same images


class Subject(Protocol):
    """A trained model and what a figure calls it."""

    @property
    def title(self) -> str:
        """The name that figures call it by, in few words."""

    @property
    def space(self) -> LatentSpace:
        """The model."""


@dataclass(frozen=True)
class TitledRun:
    """A run, titled by its folder."""

    title: str
    space: LatentSpace


@dataclass(frozen=True)
class RunView:
    """A subject as its pictures ask it (views.py): its codes of the rows that all figures of one report share."""

    subject: Subject
    data: Prepared

    @property
    def title(self) -> str:
        """The subject's."""
        return self.subject.title

    @property
    def charged(self) -> bool:
        """True where training charged the KL to N(0, I)."""
        return asks_for_standard_normal(self.subject.space)

    @property
    def plane(self) -> tuple[int, int]:
        """The two most informative dimensions; of two, both in their order."""
        return plane_of(self.subject.space)

    def codes(self, places: Rows) -> tuple[Floats, Floats | None]:
        """μ, and σ where there is one, of shown rows by their places."""
        rows = shown_rows(self.data, SHOWN)[places]
        mu, sigma = self.subject.space.encode(stored(self.data, rows), rows)
        return mu, sigma if self.subject.space.has_width else None

    def seen(self, z: Floats) -> Units:
        """The images of codes, as they are shown."""
        return self.subject.space.seen(z)


def views_of(subjects: Sequence[Subject], data: Prepared) -> list[RunView]:
    """The subjects as their pictures ask them."""
    return [RunView(subject, data) for subject in subjects]


def examples_of(data: Prepared) -> Examples:
    """The rows that all figures show, as examples."""
    rows, labels = shown_rows(data, SHOWN), data.dataset.labels
    own = None if labels is None else np.asarray(labels)[rows]
    return Examples(len(rows), lambda places: data.seen(rows[places]), own, data.dataset.label_names)


def plane_of(space: LatentSpace) -> tuple[int, int]:
    """The two dimensions that a map shows, counted from 0."""
    if space.latent_dim == 2:
        return (0, 1)
    first, second, *_ = space.ranking()
    return (first, second)


def titled(spaces: Sequence[LatentSpace]) -> list[TitledRun]:
    """The runs by the names of their folders, or by their whole paths where two folders have one name."""
    paths = [space.run.path for space in spaces]
    names = [path.resolve().name for path in paths]
    # Whole paths where folders share a name: two columns of one title could not be told apart.
    titles = names if len(set(names)) == len(names) else [str(path) for path in paths]
    return [TitledRun(f"{title}{_class_of(space)}", space) for title, space in zip(titles, spaces, strict=True)]


def _class_of(space: LatentSpace) -> str:
    """The class that is looked at, of a model that is told one."""
    return "" if space.one is None else f" ({space.classes[space.one]})"


def opened(spaces: Sequence[LatentSpace], source: Any) -> Prepared:
    """The data of all runs. Raises `Mistake` for too many runs, and for runs of other data."""
    if not 1 <= len(spaces) <= MOST:
        raise Mistake(f"a report shows 1 to {MOST} runs side by side, got {len(spaces)}")
    check_same_data(spaces, given=source is not None)
    return spaces[0].data(source)


def shown_rows(data: Prepared, most: int) -> NDArray[np.int64]:
    """Rows that figures show, up to `most`, drawn of the test split, or of everything where the data are not the runs' own.

    Of everything, too, where the test split holds fewer than two examples.

    One sample for all figures of a report, of which those that show less show a part; nobody picks.
    """
    test = data.split(data.default_split)
    return (test if len(test) > 1 else data.split("all")).draw(SHOWN, "shown")[:most]


def stored(data: Prepared, rows: NDArray[np.int64]) -> NDArray[Any]:
    """These rows as the source stores them."""
    # twice `asarray`: the rows may be memory-mapped, and what leaves here is an array in memory
    return data.dataset.take(rows)


def is_image(space: LatentSpace) -> bool:
    """True where a decoded example can be looked at; a table's row cannot."""
    return len(space.shape) == 3
