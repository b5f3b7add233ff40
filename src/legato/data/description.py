"""A description of a source in numbers and sentences: the answer of `legato data SOURCE`.

Covered: one dictionary, ready for JSON. Not covered: how it is printed.
"""

from __future__ import annotations

import numpy as np

from legato.data.dataset import Dataset
from legato.data.rows import blocks
from legato.data.store import size
from legato.types import RowArray

WHY = {
    ("bytes", "bernoulli"): "grey levels x become 0 or 1 by drawing from Bernoulli(x/255), as MNIST is usually modelled, "
    "so a Bernoulli likelihood is exact",
    ("binary", "bernoulli"): "every value is 0 or 1, so each is one toss of a Bernoulli",
    ("bytes", "discretized-logistic"): "values are the whole numbers 0 to 255, so a likelihood that gives each of the "
    "256 a probability fits, and bits per dimension can be told",
    ("reals", "gaussian"): "values are real numbers, so a density is needed: a Gaussian whose scale is learned",
    (
        "counts",
        "negative-binomial",
    ): "values are counts, which as a rule differ more than a Poisson's would: a negative binomial "
    "learns by how much in each column, and is a Poisson where they do not",
}
MAYBE = "; where these whole numbers say how often something was seen, --values counts"


def describe(dataset: Dataset) -> dict[str, object]:
    """Count, shape, dtype, range over all values, labels, splits, problems, notes, likelihood and why, store; as JSON.

    Of what is streamed the range is that of a byte.
    """
    streamed = not isinstance(dataset.rows, np.ndarray)  # all would have to be decoded for a range
    low, high = (0, 255) if streamed else _range(dataset.rows)
    return {
        "source": dataset.source,
        "count": len(dataset),
        "shape": list(dataset.shape),
        "dtype": str(dataset.rows.dtype),
        "kind": dataset.kind,
        "range": [low, high],
        "streamed": streamed,
        "labels": _labels(dataset),
        "columns": dataset.roles and dataset.roles.to_json(),
        "splits": {name: len(rows) for name, rows in dataset.splits.items()},
        "problems": [{"id": problem.id, "reason": problem.reason} for problem in dataset.problems],
        "notes": list(dataset.notes),
        "likelihood": dataset.likelihood,
        "why": WHY[dataset.kind, dataset.likelihood] + (MAYBE if _may_count(dataset, low) else ""),
        "fingerprint": dataset.fingerprint,
        "store": None if dataset.store is None else {"path": str(dataset.store), "bytes": size(dataset.store)},
    }


def _may_count(dataset: Dataset, low: float) -> bool:
    """True for a table of whole numbers from 0 on that are read as real ones: told by their type, without another pass."""
    return dataset.kind == "reals" and len(dataset.shape) == 1 and dataset.rows.dtype.kind in "iu" and low >= 0


def _range(rows: RowArray) -> tuple[float, float]:
    """Smallest and largest value, in blocks: the rows may be larger than memory."""
    extremes = [(block.min(), block.max()) for block in blocks(rows)]
    low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
    return (float(low), float(high)) if rows.dtype.kind == "f" else (int(low), int(high))


def _labels(dataset: Dataset) -> dict[str, int] | None:
    """Name -> count; rows without a label under the empty name."""
    if dataset.labels is None:
        return None
    # + 1: rows without a label, −1, come first
    counts = np.bincount(dataset.labels + 1, minlength=len(dataset.label_names) + 1).tolist()
    named = dict(zip(dataset.label_names, counts[1:], strict=True))
    return {**named, "": counts[0]} if counts[0] else named
