"""Chosen images as a table that other programs read: row, id, label and the code's numbers, a line for each (RFC 4180, UTF-8).

Covered: what a lasso holds, in its order. Not covered: choosing (the page does), pictures, which lie where the ids say.
"""

from __future__ import annotations

import csv
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.explorer.catalogue import Catalogue


def written(catalogue: Catalogue, rows: NDArray[np.int64], mu: NDArray[Any]) -> str:
    """CSV of rows (n,) and their codes' means (n, d): row,id,label,z0,z1,…; the label is empty where there is none."""
    named, names = catalogue.named(rows), catalogue.dataset.label_names
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    # The csv module quotes ids with commas, quotes and line ends in them.
    lines.writerow(["row", "id", "label", *(f"z{j}" for j in range(mu.shape[1]))])
    for row, id_, label, code in zip(named["rows"], named["ids"], named["labels"], mu, strict=True):
        # Nine digits are a float32 exactly.
        lines.writerow([row, id_, names[label] if label >= 0 else "", *(f"{value:.9g}" for value in code)])
    return text.getvalue()


def places(shown: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of rows (n,) in the map's order. Raises `Mistake` for one that is not on the map."""
    # Sorted once and searched: a lasso may hold 10⁵ rows.
    order = np.argsort(shown, kind="stable")
    # a row beyond the last would be a place that does not exist
    found = order[np.minimum(np.searchsorted(shown, rows, sorter=order), len(shown) - 1)]
    if len(strange := rows[shown[found] != rows]):
        raise Mistake(f"row {strange[0]} is not on the map, which shows {len(shown)} rows")
    return np.asarray(found, np.int64)
