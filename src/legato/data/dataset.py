"""An open source: rows, labels, names, splits, and what kind of values they are.

Covered: the record that the rest of Legato reads, and the record that a reader hands over before labels and splits.
Not covered: how it got there (`sources`), batches and binarisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from legato import shown
from legato.data.options import DataOptions
from legato.data.roles import Roles
from legato.data.rows import find, taken
from legato.data.splits import Split
from legato.errors import Mistake
from legato.setting import Kind
from legato.types import RowArray, Rows, Shape

LIKELIHOOD: dict[Kind, str] = {
    "binary": "bernoulli",
    "bytes": "discretized-logistic",
    "reals": "gaussian",
    "counts": "negative-binomial",
}


@dataclass(frozen=True)
class Problem:
    """An item that could not be read, and why; it is skipped, counted and listed."""

    id: str
    reason: str

    def mistake(self) -> Mistake:
        """The mistake that `strict` makes of it."""
        return Mistake(
            f"`{self.id}` cannot be read: {self.reason}; repair or remove it, or leave out --strict to skip such items"
        )


@dataclass(frozen=True, eq=False)
class Content:
    """The findings of a reader, before labels from elsewhere and splits.

    rows (N, C, H, W) or (N, D); labels (N,) int64 or None, `labelled` where they are those that the options name;
    own (N,) uint8, an index into `splits.NAMES`, or None; positions (N,) where each row stood among the source's items,
    None where nothing was skipped; `by_key`: a row's split is a function of its name alone; `extra` what else a reader wrote,
    by name, memory-mapped.
    """

    rows: RowArray
    kind: Kind
    ids: Sequence[str]
    fingerprint: str
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    labelled: bool = False
    own: np.ndarray | None = None
    positions: np.ndarray | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    store: Path | None = None
    roles: Roles | None = None
    by_key: bool = False
    window: str | None = None  # of pictures with more than 8 bits: found over the whole source, and kept by a run
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """An open source. `rows` keeps the source's dtype and, unless it was given in memory, stays on disk: mapped, or streamed.

    rows (N, C, H, W) or (N, D); labels (N,) int64, -1 where unknown, or None; `label_names[label]` is its name;
    splits: "train", "validation", "test" -> its rows, disjoint, together all rows; a `Split` has no first ones.
    `likelihood` is the one that fits; `fingerprint` names content and preparation; `store` is where the rows lie,
    None where they are read in place; `roles` says what each column of a table is for, None where columns have no names.
    """

    source: str
    options: DataOptions
    rows: RowArray
    labels: np.ndarray | None
    label_names: tuple[str, ...]
    ids: Sequence[str]
    splits: dict[str, Split]
    kind: Kind
    likelihood: str
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    fingerprint: str
    store: Path | None
    roles: Roles | None = None

    def __repr__(self) -> str:
        return shown.text(f"Dataset {self.source}", self._told_of())

    def _repr_html_(self) -> str:
        return shown.page(f"Dataset {self.source}", self._told_of())

    def _told_of(self) -> list[shown.Line]:
        """Lines on the rows, their labels and their splits."""
        splits = ", ".join(f"{len(rows):,} {name}" for name, rows in self.splits.items())
        classes = "none" if self.labels is None else f"{len(self.label_names):,} classes"
        rows = f"{len(self):,} of shape {' × '.join(map(str, self.shape))}, {self.kind}"
        left_out = [("left out", f"{len(self.problems):,} unreadable", "")] if self.problems else []
        return [("rows", rows, ""), ("labels", classes, ""), ("splits", splits, ""), *left_out]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of a table's columns, in the order of a row's values; none where they have no names."""
        return self.roles.used if self.roles else ()

    @property
    def shape(self) -> Shape:
        """One row's shape: (C, H, W) or (D,)."""
        return self.rows.shape[1:]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: Rows) -> np.ndarray:
        """These rows, (n, *example), as they are stored."""
        return taken(self.rows, numbers)

    def find(self, name: str) -> int:
        """The row of an id or row number. Raises `Mistake` with the nearest name."""
        return find(self.ids, name)
