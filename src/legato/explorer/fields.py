"""A number at each place of a plane: the grid on which a field is measured, and its bytes (docs/explorer.md).

Covered: square cells, their centres, packing, reading back. Not covered: what is measured there (density.py, session.py).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.explorer.planes import Plane

HEADER = struct.Struct("<IIfffI")  # w, h, low, high, threshold, 0
MOST = 512  # cells along the longer side: 512² numbers are a megabyte
NONE = float("nan")  # a threshold where there is none: NaN fits into the header's f32, and no value lies beyond it
MOST_SINGLE = float(np.finfo(np.float32).max)  # what is beyond it would be infinite in the page's single precision


@dataclass(frozen=True)
class Grid:
    """Cells over [a0, a1] × [b0, b1]: `size` along the longer side, and as many along the other as make them square.

    Raises `Mistake` for an empty extent or a size out of range.
    """

    extent: tuple[float, float, float, float]
    size: int

    def __post_init__(self) -> None:
        a0, a1, b0, b1 = self.extent
        if not (a0 < a1 and b0 < b1):
            raise Mistake("an `extent` is [a0, a1, b0, b1] with a0 < a1 and b0 < b1")
        if not 1 <= self.size <= MOST:
            raise Mistake(f"a field has 1 to {MOST} cells along its longer side, got {self.size}")

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w)."""
        a0, a1, b0, b1 = self.extent
        longest = max(a1 - a0, b1 - b0)
        return tuple(max(1, round(self.size * side / longest)) for side in (b1 - b0, a1 - a0))  # type: ignore[return-value]

    def centres(self) -> NDArray[np.float64]:
        """(a, b) of each cell's centre, (h·w, 2), the first row at b0."""
        a0, a1, b0, b1 = self.extent
        h, w = self.shape
        a, b = a0 + (np.arange(w) + 0.5) * (a1 - a0) / w, b0 + (np.arange(h) + 0.5) * (b1 - b0) / h
        return np.stack([np.tile(a, h), np.repeat(b, w)], 1)

    def codes(self, plane: Plane) -> NDArray[np.float32]:
        """z at each cell's centre, (h·w, d)."""
        return plane.at(self.centres()).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Field:
    """values (h, w); the threshold is NaN where there is none. Where something is not finite it is NaN."""

    values: NDArray[np.float32]
    threshold: float

    def pack(self) -> bytes:
        """24 + 4hw bytes; low and high are those of what is finite, 0 where nothing is."""
        h, w = self.values.shape
        # Of finite cells alone: one infinite place would make every colour of the map the same.
        finite = self.values[np.isfinite(self.values)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
        return HEADER.pack(w, h, low, high, self.threshold, 0) + self.values.astype("<f4").tobytes()

    @staticmethod
    def read(content: bytes) -> Field:
        """The inverse of `pack`."""
        w, h, _, _, threshold, _ = HEADER.unpack_from(content)
        return Field(np.frombuffer(content, "<f4", w * h, HEADER.size).reshape(h, w), threshold)


def field(grid: Grid, values: NDArray[Any], threshold: float = NONE) -> Field:
    """Values (h·w,) in the order of `centres` as a field."""
    # Clipped before it is narrowed: a finite double beyond a single's range is large, and not missing.
    narrow = np.clip(np.asarray(values, np.float64), -MOST_SINGLE, MOST_SINGLE).astype(np.float32).reshape(grid.shape)
    return Field(np.where(np.isfinite(narrow), narrow, np.float32(np.nan)), threshold)
