"""An open source together with how a run prepares it: what training and every later command cut their examples from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from legato.batch import Batch
from legato.classes import listed
from legato.data.as_trained import Form, open_as_trained
from legato.data.dataset import Dataset
from legato.data.options import HUB, WHOLE, DataOptions, RunOptions
from legato.data.preparation import Preparation, Units
from legato.data.rows import taken
from legato.data.sources import FACTORS, MNIST
from legato.data.splits import Split
from legato.errors import Mistake, quoted, unknown
from legato.setting import DataSpec
from legato.types import Floats, Integers, Rows

IN_MEMORY = "array of "


@dataclass(frozen=True)
class Prepared:
    """A dataset and its preparation.

    `own`: these are the data of the run that prepares them, as they were or changed since; else another source.
    `remarks`: what whoever uses these data should be told, a line each.
    `known`: the classes that the run was trained with, None where these are to be trained on; by them labels are numbered.
    `one`: the class that these data are looked at as; all rows of it, and no others.
    """

    dataset: Dataset
    preparation: Preparation
    own: bool = True
    remarks: tuple[str, ...] = ()
    known: tuple[str, ...] | None = None
    one: int | None = None

    @property
    def spec(self) -> DataSpec:
        """The facts that a recipe is told of these data."""
        return spec_of(self._said())

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by their numbers."""
        own = () if self.dataset.labels is None else self.dataset.label_names
        return own if self.known is None else self.known

    def of_class(self, number: int) -> Prepared:
        """The rows of one class; of a source without labels all rows, as that class."""
        return replace(self, one=number)

    @property
    def default_split(self) -> str:
        """`test` of a run's own data; of any other source `all`, since no model was trained on any of it."""
        return "test" if self.own else "all"

    def split(self, name: str) -> Split:
        """A split by its name; `all` is every row. Raises `Mistake` for a name that does not exist."""
        if name != "all" and name not in self.dataset.splits:
            raise unknown("split", name, [*self.dataset.splits, "all"])
        found = Split(np.arange(len(self.dataset))) if name == "all" else self.dataset.splits[name]
        if self.one is None or self.dataset.labels is None:
            return found
        return Split(found.all()[self.numbered(found.all()) == self.one])

    def labels(self, numbers: Rows) -> Integers:
        """The class of each of these rows, (n,); `one` where a row has none. Raises `Mistake` where that is not said either."""
        data = self.dataset
        if data.labels is None:
            if self.one is not None:
                return np.full(len(numbers), self.one)
            raise Mistake(f"`{data.source}` has no labels, and the model reads them: --label NAME takes all rows as one class")
        found = self.numbered(numbers)
        if self.one is not None:
            return np.where(found < 0, self.one, found)
        if len(lost := np.flatnonzero(found < 0)):
            row, label = int(numbers[lost[0]]), int(data.labels[numbers[lost[0]]])
            had = "no label" if label < 0 else f"the label `{data.label_names[label]}`"
            raise Mistake(
                f"row `{data.ids[row]}` of `{data.source}` has {had}, and the model reads it: expected one of "
                f"{listed(self.classes)}"
            )
        return found

    def numbered(self, numbers: Rows) -> Integers:
        """The run's number of the class of each row; -1 where there is none."""
        data, place = self.dataset, {name: number for number, name in enumerate(self.classes)}
        assert data.labels is not None
        # −1, a row without a label, takes the last
        numbered = np.array([*(place.get(name, -1) for name in data.label_names), -1], np.int64)
        return np.asarray(numbered[np.asarray(data.labels)[numbers]])

    def batch(self, numbers: Rows, labelled: bool = False) -> Batch:
        """These rows as every evaluation sees them; `labelled`: with the class of each."""
        label = torch.from_numpy(self.labels(numbers)) if labelled else None
        return Batch(torch.from_numpy(self.rows(numbers)), label, rows=torch.from_numpy(numbers))

    def rows(self, numbers: NDArray[np.int64]) -> Floats:
        """These rows as every evaluation sees them, (n, *data)."""
        return self.preparation.evaluation(taken(self.dataset.rows, numbers), numbers)

    def seen(self, numbers: NDArray[np.int64]) -> Units:
        """These rows as a person sees them: pictures in [0, 1], rows of a table in their own units."""
        return self.preparation.seen(self.preparation.original(self.dataset.take(numbers)))

    def batches(self, numbers: NDArray[np.int64], size: int) -> Iterator[Floats]:
        """The rows in their order, each once, `size` at a time: memory holds one batch."""
        for start in range(0, len(numbers), size):
            yield self.rows(numbers[start : start + size])

    def _said(self) -> dict[str, Any]:
        """Facts that are known at once, without a look at the rows."""
        data = self.dataset
        return {
            "source": place_of(data.source),
            "options": asdict(data.options) | {"labels": _place_of_labels(data)},
            "fingerprint": data.fingerprint,
            "count": len(data),
            "shape": list(data.shape),
            "kind": data.kind,
            "likelihood": data.likelihood,
            "splits": {name: len(rows) for name, rows in data.splits.items()},
            "classes": list(self.classes),
            "unlabelled": 0 if data.labels is None else int(np.count_nonzero(np.asarray(data.labels) < 0)),
            "skipped": len(data.problems),
            "columns": data.roles and data.roles.to_json(),
            "preparation": self.preparation.to_json(),
        }

    def to_json(self) -> dict[str, Any]:
        """These data as `data.json` keeps them."""
        data, binarised = self.dataset, self.preparation.binarise
        drawn = self.preparation.checksum(data.rows, data.splits["test"].all()) if binarised else None
        return {**self._said(), "labels": _digest_of_labels(data), "test_checksum": drawn}


def spec_of(said: Mapping[str, Any]) -> DataSpec:
    """The facts that a recipe is told of data, by what data.json says of them; a run of before classes were kept has none."""
    return DataSpec(
        tuple(said["shape"]),
        said["kind"],
        said["likelihood"],
        count=said["splits"]["train"],
        classes=tuple(said.get("classes", ())),
        unlabelled=said.get("unlabelled", 0),
        means=tuple(said["preparation"].get("means", ())),
        rows=said["count"],
        factors=said["source"] == FACTORS,
    )


def reopen(stored: dict[str, Any], source: str | Path | NDArray[Any] | None = None) -> Prepared:
    """The data of a run, or another `source` read as the run read its own.

    What was said of the training source's labels, groups, strictness and splits is said of no other: a source counts as the
    run's own where it lies in the same place, or is the same by its fingerprint. Raises `Mistake` where it cannot be read so.
    """
    if source is not None and not _same_place(source, stored["source"]):
        other = _open(source, stored, _of_another(stored))
        # A copy in another place has the same fingerprint, and is the run's own data with all that was said of them.
        if other.dataset.fingerprint != stored["fingerprint"]:
            return replace(other, own=False, remarks=tuple(_remarks(other.dataset, stored)))
    return _reopen_own(_own_source(stored) if source is None else source, stored)


def _reopen_own(source: Any, stored: dict[str, Any]) -> Prepared:
    options, remarks = _as_said(stored), []
    try:
        found = _open(source, stored, options)
    except Mistake as mistake:
        if options.labels is None:
            raise
        found = _open(source, stored, replace(options, labels=None))  # no run needs its labels
        remarks.append(f"the rows go without labels: {mistake}")
    labels = _digest_of_labels(found.dataset)
    if found.dataset.fingerprint != stored["fingerprint"]:
        remarks.append(
            f"`{found.dataset.source}` is not what the run was trained on (its fingerprint differs): it has changed since, or "
            "is another source of that name; what follows is of what lies there now"
        )
    elif labels is not None and stored.get("labels", labels) != labels:  # an older run says nothing of its labels
        remarks.append(f"the labels of `{found.dataset.source}` are not those of then: what follows is by those of now")
    return replace(found, remarks=tuple(remarks))


def _open(source: Any, stored: dict[str, Any], options: RunOptions) -> Prepared:
    preparation = Preparation.from_json(stored["preparation"])
    dataset = open_as_trained(source, Form(tuple(stored["shape"]), preparation), options)
    return Prepared(replace(dataset, likelihood=stored["likelihood"]), preparation, known=tuple(stored.get("classes", ())))


def _remarks(other: Dataset, stored: dict[str, Any]) -> Iterator[str]:
    """Remarks on what was done to another source, and to which of its items."""
    if other.columns and len(other.shape) == 1 and not used_columns(stored):
        yield f"the run keeps no names of columns, so that those of `{other.source}` are taken in their order"
    if other.problems:
        count = len(other.problems)
        yield f"{count} unreadable item{'s' if count > 1 else ''} of `{other.source}` left out: {_first(other)}"
    for note in other.notes:
        yield f"`{other.source}`: {note}"


def _first(other: Dataset) -> str:
    return f"`{other.problems[0].id}`, {other.problems[0].reason} (`legato data {quoted(other.source)}` lists them)"


def place_of(source: str) -> str:
    """The place of a source, whatever folder one is in: an absolute path, or the name of what lies nowhere."""
    if source in (MNIST, FACTORS) or source.startswith(IN_MEMORY):
        return source
    if source.startswith(HUB):  # a folder, or a name that lies nowhere here
        folder = Path(source.removeprefix(HUB)).expanduser()
        return f"{HUB}{os.path.abspath(folder)}" if folder.exists() else source
    return os.path.abspath(Path(source).expanduser())


def _place_of_labels(data: Dataset) -> str | None:
    """The file of labels as an absolute path; a column's name as it is."""
    labels = data.options.labels
    return place_of(labels) if labels is not None and Path(labels).expanduser().is_file() else labels


def _digest_of_labels(data: Dataset) -> str | None:
    """Hash of the labels as text, row by row; None without any."""
    if data.labels is None:
        return None
    names = json.dumps(data.label_names).encode()  # the names too: equal numbers may be of other classes
    return hashlib.blake2b(names + np.asarray(data.labels, np.int64).tobytes(), digest_size=16).hexdigest()


def _same_place(source: str | Path | NDArray[Any], own: str) -> bool:
    return isinstance(source, str | Path) and place_of(str(source)) == place_of(own)


def _own_source(stored: dict[str, Any]) -> str:
    own: str = stored["source"]
    if own.startswith(IN_MEMORY):
        raise Mistake(f"the run was trained on data in memory (an {own}): say which data to use now (--data SOURCE)")
    if own in (MNIST, FACTORS) or own.startswith(HUB) or Path(own).expanduser().exists():
        return own
    raise Mistake(
        f"the run's data no longer lie at `{place_of(own)}`: say where they are now (--data SOURCE), or bring them back"
    )


def used_columns(stored: dict[str, Any]) -> tuple[str, ...]:
    """The names of a table's columns in the order of a row's values; none where rows have none, or the run is an old one."""
    return tuple((stored.get("columns") or {}).get("used", ()))


def _as_said(stored: dict[str, Any]) -> RunOptions:
    """All that was said of the training source, with the columns that were found in it.

    Runs made before windows were found have all deep pictures in that of 16 bits.
    """
    return RunOptions(**{"window": WHOLE, **stored["options"]}, columns=used_columns(stored))


def _of_another(stored: dict[str, Any]) -> RunOptions:
    """The part of a run's options that holds for any source: how a picture becomes a row, and which columns are read."""
    return replace(_as_said(stored), labels=None, group=None, strict=False, split_seed=DataOptions.split_seed)
