"""Batches cut from the store in bulk: one fancy index, one conversion, no Python per item.

Every draw is a function of (seed, step): a run that was stopped goes on with the very batches it would have seen, and nothing
of the order need be stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from legato.batch import Batch
from legato.data.partners import Partners
from legato.data.preparation import Preparation
from legato.data.rows import plain
from legato.data.streamed import StreamedRows
from legato.types import Floats, Integers, RowArray, Rows

ORDER, PIXELS = 1, 2  # streams of one seed: the data's order, and the Bernoulli draws of its pixels
BLOCK = 4 << 20  # bytes of prepared batches that are cut at once: few enough for the cache, and Python is paid once for all


class Batches(Protocol):
    """The source of a training step's examples: wherever they lie, the loop cannot tell."""

    @property
    def per_epoch(self) -> int:
        """Steps in one pass over the data."""

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The batch of this step; of `world` processes the part of the one numbered `rank`. Parts in a row are the batch."""


class TrainingBatches:
    """Shuffled afresh each epoch; the last, smaller batch of an epoch is left out (other rows each time).

    `labels`: the class of each row of the source, (N,), where they are known. `partners`: among the `chosen`, where rows come
    in pairs, the two side by side.
    """

    def __init__(
        self,
        rows: RowArray,
        chosen: NDArray[np.int64],
        preparation: Preparation,
        batch_size: int,
        seed: int,
        labels: Integers | None = None,
        partners: Partners | None = None,
    ) -> None:
        self.rows, self.chosen, self.preparation, self.seed = plain(rows), chosen, preparation, seed
        self.labels, self.partners = labels, partners
        self.batch_size = min(batch_size, len(chosen))
        self.per_epoch = len(chosen) // self.batch_size
        example = prod(self.rows.shape[1:]) * np.dtype(np.float32).itemsize
        # batches in a block: one at least, however large
        self._together = min(max(BLOCK // (self.batch_size * example), 1), self.per_epoch)
        self._epoch, self._order = -1, chosen
        self._block, self._prepared = (-1, -1, 0, 1), np.empty(0, np.float32)

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The batch of this step, x (B, *data): read-only."""
        epoch, place = divmod(step, self.per_epoch)
        block, within = divmod(place, self._together)
        if (epoch, block, rank, world) != self._block:  # kept, since the steps of a block ask in turn
            self._block, self._prepared = (epoch, block, rank, world), self._cut(epoch, block, rank, world)
        part = self.part(rank, world)
        size = part.stop - part.start
        rows = self._order_of(epoch)[place * self.batch_size : (place + 1) * self.batch_size][part]
        label = None if self.labels is None else torch.from_numpy(self.labels[rows])
        x = torch.from_numpy(self._prepared[within * size : (within + 1) * size])
        return Batch(x, label, rows=torch.from_numpy(rows))

    def part(self, rank: int, world: int) -> slice:
        """The part of a batch that is the process's numbered `rank`, of `world` processes."""
        # Bounds from products, not from a rounded size: the parts have no gap and no overlap where `world` does not divide.
        return slice(self.batch_size * rank // world, self.batch_size * (rank + 1) // world)

    def order(self, epoch: int) -> Rows:
        """The order of one pass, as places in `chosen`: of its number alone, so that a resumed run makes the same one again."""
        rng = _generator(self.seed, ORDER, epoch)
        if self.partners is not None:
            return self.partners.order(rng)
        return self.rows.order(rng, self.chosen) if isinstance(self.rows, StreamedRows) else rng.permutation(len(self.chosen))

    @property
    def size(self) -> int:
        """Bytes of all training rows as `stored` gives them."""
        return len(self.chosen) * self.preparation.stored(self.rows[self.chosen[:1]]).nbytes

    def stored(self, block: int) -> Iterator[NDArray[Any]]:
        """All training rows in the order of `chosen`, so many at a time, as a device keeps them."""
        for start in range(0, len(self.chosen), block):
            yield self.preparation.stored(self.rows[self.chosen[start : start + block]])

    def _order_of(self, epoch: int) -> Rows:
        """All rows of an epoch, in their order."""
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self.chosen[self.order(epoch)]
        return self._order

    def _cut(self, epoch: int, block: int, rank: int, world: int) -> Floats:
        mine, count = self._mine(block, rank, world)
        numbers = self._numbers(epoch, block, rank, world)
        if isinstance(self.rows, StreamedRows):
            rows = self.rows.in_turn(numbers, self._next(epoch, block, rank, world))
        else:
            rows = self.rows[numbers]
        # By the block, not by the last generator's state: a resumed run draws the same pixels.
        return self.preparation.training(rows, _generator(self.seed, PIXELS, epoch, block), (count, mine))

    def _numbers(self, epoch: int, block: int, rank: int, world: int) -> Rows:
        """A process's rows of a block."""
        mine, count = self._mine(block, rank, world)
        first = block * self._together * self.batch_size
        return self._order_of(epoch)[first : first + count][mine]

    def _mine(self, block: int, rank: int, world: int) -> tuple[Rows, int]:
        """The places of a process's rows among those of a block, and how many these are."""
        batches = min((block + 1) * self._together, self.per_epoch) - block * self._together
        places = np.arange(batches * self.batch_size).reshape(batches, -1)
        return places[:, self.part(rank, world)].ravel(), places.size

    def _next(self, epoch: int, block: int, rank: int, world: int) -> Iterator[Rows]:
        """The rows of the blocks after this one, up to the epoch's last: the next one's order is another."""
        for later in range(block + 1, -(-self.per_epoch // self._together)):
            yield self._numbers(epoch, later, rank, world)


def _generator(*key: int) -> np.random.Generator:
    # by name: `default_rng` may be another in a later NumPy
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
