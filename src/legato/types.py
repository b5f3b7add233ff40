"""Kinds of arrays by one name each, and the shape of one example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]  # of one example: how many there are is the batch's, which families and nets never see
Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]  # of either precision: values far from 0 in their own units need float64
Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]
Rows = NDArray[np.int64]  # rows by their numbers in the source, not by their places in a split: these move with the seed
Bools = NDArray[np.bool_]
Precision = type[np.float32] | type[np.float64]
Temperature = float | str | Sequence[float]  # of all levels, or of each, the top's first: 0.7, [0.7, 1, 1], "0.7,1,1"


class RowArray(Protocol):
    """Rows that are cut by their numbers: an array, or pictures that are decoded as they are cut (`data.streamed`)."""

    @property
    def shape(self) -> Shape:
        """(N, *example)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The kind of number that a value is."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: Any, /) -> Any: ...
