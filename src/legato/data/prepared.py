"""An open source together with how a run prepares it: what training and every later command cut their examples from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.data.dataset import Dataset
from legato.data.options import WHOLE, DataOptions
from legato.data.preparation import Floats, Preparation
from legato.data.sources import open_source
from legato.data.splits import Split
from legato.errors import Mistake, unknown
from legato.setting import DataSpec


@dataclass(frozen=True)
class Prepared:
    """A dataset and its preparation."""

    dataset: Dataset
    preparation: Preparation

    @property
    def spec(self) -> DataSpec:
        """What a recipe is told of these data."""
        return DataSpec(self.dataset.shape, self.dataset.kind, self.dataset.likelihood)

    def split(self, name: str) -> Split:
        """A split by its name; `all` is every row. Raises `Mistake` for a name that does not exist."""
        if name == "all":
            return Split(np.arange(len(self.dataset)))
        if name not in self.dataset.splits:
            raise unknown("split", name, [*self.dataset.splits, "all"])
        return self.dataset.splits[name]

    def rows(self, numbers: NDArray[np.int64]) -> Floats:
        """These rows as every evaluation sees them, (n, *data)."""
        return self.preparation.evaluation(np.asarray(self.dataset.rows)[numbers], numbers)

    def batches(self, numbers: NDArray[np.int64], size: int) -> Iterator[Floats]:
        """The rows in their order, each once, `size` at a time: memory holds one batch."""
        for start in range(0, len(numbers), size):
            yield self.rows(numbers[start : start + size])

    def to_json(self) -> dict[str, Any]:
        """What `data.json` keeps."""
        data, test = self.dataset, self.dataset.splits["test"]
        return {
            "source": data.source,
            "options": asdict(data.options),
            "fingerprint": data.fingerprint,
            "count": len(data),
            "shape": list(data.shape),
            "kind": data.kind,
            "likelihood": data.likelihood,
            "splits": {name: len(rows) for name, rows in data.splits.items()},
            "skipped": len(data.problems),
            "preparation": self.preparation.to_json(),
            "test_checksum": self.preparation.checksum(data.rows, test.all()) if self.preparation.binarise else None,
        }


def reopen(stored: dict[str, Any], source: str | Path | NDArray[Any] | None = None) -> Prepared:
    """The data of a run, or another `source` prepared in the same way. Raises `Mistake` where its shape is another."""
    own: str = stored["source"]
    if source is None and own.startswith("array of "):
        raise Mistake(f"the run was trained on data in memory (an {own}): say which data to use now (--data SOURCE)")
    named = own if source is None else source
    # Runs made before windows were found have all deep pictures in that of 16 bits.
    dataset = open_source(named, DataOptions(**{"window": WHOLE, **stored["options"]}))
    expected = tuple(stored["shape"])
    if dataset.shape != expected:
        raise Mistake(f"the run was trained on shape {expected}, `{named}` has {dataset.shape}: give data of the same shape")
    if dataset.kind != stored["kind"]:
        raise Mistake(f"the run was trained on {stored['kind']}, `{named}` holds {dataset.kind}: give values of the same kind")
    return Prepared(dataset, Preparation.from_json(stored["preparation"]))
