"""Batches cut from the store in bulk: one fancy index, one conversion, no Python per item.

Every draw is a function of (seed, step): a run that was stopped goes on with the very batches it would have seen, and nothing
of the order need be stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.data.preparation import Floats, Preparation

ORDER, PIXELS = 1, 2  # streams of one seed: the data's order, and the coins of its pixels


class TrainingBatches:
    """Shuffled afresh each epoch; the last, smaller batch of an epoch is left out (other rows each time)."""

    def __init__(
        self, rows: NDArray[Any], chosen: NDArray[np.int64], preparation: Preparation, batch_size: int, seed: int
    ) -> None:
        self.rows, self.chosen, self.preparation, self.seed = np.asarray(rows), chosen, preparation, seed
        self.batch_size = min(batch_size, len(chosen))
        self.per_epoch = len(chosen) // self.batch_size
        self._epoch, self._order = -1, chosen

    def at(self, step: int) -> Floats:
        """The batch of this step, (B, *data)."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = self.chosen[_generator(self.seed, ORDER, epoch).permutation(len(self.chosen))]
        some = self._order[place * self.batch_size : (place + 1) * self.batch_size]
        return self.preparation.training(self.rows[some], _generator(self.seed, PIXELS, step))


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
