"""Subjects of a report of trained runs: the runs with their titles, and the images that all of them are shown.

Covered: one choice of rows for all figures, a sample of the test split, never picked. Not covered: figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legato.data.prepared import Prepared
from legato.errors import Mistake
from legato.latent_space import LatentSpace
from legato.measures.comparison import check_same_data
from legato.report import style

MOST = style.MOST - 1  # runs side by side: real images take a panel too
SHOWN = 5000  # rows that the figures of one report share


class Subject(Protocol):
    """A trained model and what a figure calls it."""

    @property
    def title(self) -> str:
        """In few words."""

    @property
    def space(self) -> LatentSpace:
        """The model."""


@dataclass(frozen=True)
class TitledRun:
    """A run, titled by its folder."""

    title: str
    space: LatentSpace


def titled(spaces: Sequence[LatentSpace]) -> list[TitledRun]:
    """The runs by the names of their folders, or by their whole paths where two folders have one name."""
    paths = [space.run.path for space in spaces]
    names = [path.resolve().name for path in paths]
    titles = names if len(set(names)) == len(names) else [str(path) for path in paths]
    return [TitledRun(title, space) for title, space in zip(titles, spaces, strict=True)]


def opened(spaces: Sequence[LatentSpace], source: Any) -> Prepared:
    """The data of all runs. Raises `Mistake` for too many runs, and for runs of other data."""
    if not 1 <= len(spaces) <= MOST:
        raise Mistake(f"a report shows 1 to {MOST} runs side by side, got {len(spaces)}")
    check_same_data(spaces, given=source is not None)
    return spaces[0].data(source)


def shown_rows(data: Prepared, most: int) -> NDArray[np.int64]:
    """Up to `most` rows that figures show, drawn of the test split, or of everything where the data are not the runs' own.

    Of everything, too, where the test split holds fewer than two examples.

    One sample for all figures of a report, of which those that show less show a part; nobody picks.
    """
    test = data.split(data.default_split)
    return (test if len(test) > 1 else data.split("all")).draw(SHOWN, "shown")[:most]


def stored(data: Prepared, rows: NDArray[np.int64]) -> NDArray[Any]:
    """These rows as the source stores them."""
    return np.asarray(np.asarray(data.dataset.rows)[rows])


def is_image(space: LatentSpace) -> bool:
    """Whether a decoded example can be looked at; a table's row cannot."""
    return len(space.shape) == 3
