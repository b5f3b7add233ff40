"""Material of a survey: the same rows, in the same random order, with the same drawn pixels, for every model.

Covered: training and test rows as the model sees them (`x`) and as a person knows them (`images`), labels, factors where ids
say them, pairs.
Not covered: opening data (data/), what is measured (survey.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legato.data.factors import factors_of
from legato.data.prepared import Prepared
from legato.data.splits import Split
from legato.errors import Mistake
from legato.lazy import lazy
from legato.survey.known import KnownFactors
from legato.survey.reference import ReferenceFeatures, reference_features
from legato.types import Floats, Shape


@dataclass(frozen=True)
class Rows:
    """Some rows of one split: x (n, *shape), images (n, *shape), labels (n,) and factors (n, f) where they are known.

    In a random order: a measure that has time for a part of them takes the first, and these are a sample too.
    """

    x: Floats
    images: Floats
    labels: NDArray[np.int64] | None
    factors: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Material:
    """`train` is what measures refer to (neighbours, probes, exact sums over posteriors); `test` is what is measured."""

    train: Rows
    test: Rows
    source: str  # its name, since for some data there are features of their own

    @property
    def pictures(self) -> bool:
        """Images (C, H, W) rather than rows of a table."""
        return len(self.shape) == 3

    @property
    def shape(self) -> Shape:
        """The shape of one example."""
        return self.test.images.shape[1:]

    @lazy
    def reference(self) -> ReferenceFeatures:
        """The features in which these images are compared."""
        return reference_features(self.source, self.train.images, self.test.images)

    @lazy
    def known(self) -> KnownFactors | None:
        """The true factors of the test rows; None where nobody knows them."""
        return None if self.test.factors is None else KnownFactors(self.test.factors)

    def pairs(self, n: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """n pairs of different test rows, the ends of paths: no row comes twice before all have come once.

        So 1,000 paths of 10,000 rows are as many examples; more pairs than half of the rows share ends, and are counted so.
        """
        # half of an odd number of rows: one is left out of each round rather than paired with itself
        rng, half = np.random.default_rng(seed), len(self.test) // 2
        # Rounds without repetition: pairs that share ends are not independent examples.
        rounds = [rng.permutation(len(self.test))[: 2 * half].reshape(half, 2) for _ in range(-(-n // half))]
        first, second = np.concatenate(rounds)[:n].T
        return first, second


def material(data: Prepared, train: int, test: int) -> Material:
    """Material of up to `train` training rows and `test` test rows, drawn once with seed 0.

    A few pictures have a small test set: validation rows then join it, since no choice has been made on them here.
    """
    held_out = data.split("test")
    if len(held_out) < test:
        held_out = Split(np.concatenate([held_out.all(), data.split("validation").all()]))
    return Material(_rows(data, data.split("train"), train), _rows(data, held_out, test), data.dataset.source)


def material_of_two(data: Prepared, held_out: Prepared, train: int, test: int) -> Material:
    """The same from two sources, whatever their own splits: all of `data` may be referred to, all of `held_out` measured."""
    return Material(_rows(data, data.split("all"), train), _rows(held_out, held_out.split("all"), test), data.dataset.source)


def _rows(data: Prepared, split: Split, most: int) -> Rows:
    numbers = split.draw(most, "measured")  # one name for every model: all are measured on the same rows
    raw = data.dataset.take(numbers)
    labels = data.dataset.labels
    own = None if labels is None else np.asarray(labels)[numbers]
    return Rows(data.rows(numbers), data.preparation.original(raw), own, _factors(data, numbers))


def _factors(data: Prepared, numbers: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The factors that the ids say of each row, if they are those of the source `factors`."""
    try:
        return factors_of([data.dataset.ids[row] for row in numbers])
    except Mistake:  # ids of any other source say no factors, which is no mistake of anyone's
        return None
