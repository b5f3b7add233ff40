"""The ground that a page draws a source's rows on: the colour behind pictures, the scale of each of a table's columns.

Covered: pictures that lie on one colour, as digits on black and symbols on white do; columns with their names, units, means and
standard deviations. Not covered: pictures whose edges differ (photographs), which have no background.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.data.prepared import Prepared
from legato.data.units import named, unit_of
from legato.explorer.tiles import rgba
from legato.types import Floats

NEAR = 24  # of 255: how far from the background a pixel counts as it
SHARE = 0.5  # of the pixels at the edges that are it: a drawing may touch its border


def background(pictures: Floats) -> list[int] | None:
    """Red, green and blue, 0 … 255, of what most pictures (n, C, H, W) have at their edges; None where they differ."""
    pixels = rgba(pictures)[..., :3].astype(np.int64)  # int64: differences of bytes would wrap around
    edges = np.concatenate([pixels[:, [0, -1]].reshape(-1, 3), pixels[:, :, [0, -1]].reshape(-1, 3)])
    middle = np.median(edges, 0)  # the median: a few pictures that touch the edge do not move it
    alike = (np.abs(edges - middle).max(1) <= NEAR).mean()
    return [int(value) for value in middle] if alike >= SHARE else None


def columns(prepared: Prepared, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Name, unit, mean and standard deviation of each of a table's values, in the order of a row.

    Of real numbers the moments by which training standardised them; else those of `rows` (n,).
    """
    data, preparation = prepared.dataset, prepared.preparation
    if preparation.kind == "reals":
        mean, std = np.asarray(preparation.shift), np.asarray(preparation.scale)
    else:
        values = prepared.seen(rows).astype(np.float64)
        mean, std = values.mean(0), values.std(0)
    # a column that never varies is in units of 1, and not divided by 0
    found = zip(named(data.columns, data.shape[0]), mean, np.where(std > 0, std, 1.0), strict=True)
    return [_column(name, float(centre), float(spread)) for name, centre, spread in found]


def _column(name: str, mean: float, std: float) -> dict[str, Any]:
    plain, unit = unit_of(name)
    return {"name": plain, "unit": unit, "mean": mean, "std": std}
