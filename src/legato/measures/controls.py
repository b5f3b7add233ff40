"""Controls: images from no model, or from one that learned nothing, which every measure of images is run on too.

Covered: the mean image, the copier of the nearest training image, training images as if they were generated (the floor), and
the sentence to print where a measure prefers one to the model. Not covered: the measures; the cross-fade of pixels
(interpolation.py). A measure that ranks the copier above a model does not see memorising; one that ranks the mean
image above it likes blur. Either is no fault of the model's, and belongs beside its figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.measures.estimate import Estimate
from legato.measures.neighbours import blocks
from legato.types import Floats

ENTRIES = 20_000_000  # distances at a time, 80 MB: with hundreds of pixels the product is the work, and likes many rows


def mean_image(train: NDArray[Any], n: int) -> Floats:
    """The mean of train (N, *shape), n times: (n, *shape)."""
    # summed in double precision: of 10⁵ images single precision would lose digits
    return np.repeat(np.asarray(train.mean(0, dtype=np.float64), np.float32)[None], n, 0)


def nearest_copies(train: NDArray[Any], images: NDArray[Any]) -> NDArray[np.int64]:
    """The row of train (N, *shape) whose pixels are nearest to each of images (n, *shape): (n,), Euclidean.

    Exact: N·n·pixels multiplications, 9 s on a core for 10,000 digits among 55,000. A sample of 2,000 says as much.
    """
    flat, others = (torch.from_numpy(np.asarray(x, np.float32).reshape(len(x), -1)) for x in (images, train))
    found = np.empty(len(flat), np.int64)
    # Blocks of squares: the whole matrix of distances of 10,000 by 55,000 would be 2 GB.
    for rows, squares in blocks(flat, others, ENTRIES):
        found[rows] = squares.argmin(1).numpy()
    return found


def copier(train: NDArray[Any], images: NDArray[Any]) -> NDArray[Any]:
    """The nearest training image of each image (n, *shape): perfect pictures, nothing new."""
    return np.asarray(train[nearest_copies(train, images)])


def real_again(train: NDArray[Any], n: int, seed: int = 0) -> NDArray[Any]:
    """n different training images (n, *shape) in place of samples: against test images they give a measure's floor."""
    if n > len(train):
        raise Mistake(f"the floor needs {n:,} training images, and there are {len(train):,}")
    # Without replacement, or it would be a smaller set than the n that its figures state; in order, as a disk reads it.
    return np.asarray(train[np.sort(np.random.default_rng(seed).choice(len(train), n, replace=False))])


BLINDNESS = {
    "copier": "it does not see memorising",
    "nearest copy": "it does not see memorising",
    "mean image": "it likes blur",
    "untrained decoder": "it does not see what training gives",
    "cross-fade": "it asks for smoothness, not for realism",
}


@dataclass(frozen=True)
class Ranking:
    """One measure of a model beside the same measure of its controls, by name. `higher_is_better` says which way it counts."""

    measure: str
    model: Estimate
    controls: Mapping[str, Estimate]
    higher_is_better: bool

    def above(self) -> list[str]:
        """The controls that the measure puts above the model, best first. Absent figures rank nowhere."""
        if self.model.value is None:
            return []
        # One sign for both directions, so that "ahead" is always "larger".
        sign = 1 if self.higher_is_better else -1
        known = {name: sign * one.value for name, one in self.controls.items() if one.value is not None}
        ahead = [name for name, value in known.items() if value > sign * self.model.value]
        return sorted(ahead, key=lambda name: -known[name])

    def warnings(self) -> list[str]:
        """One sentence for each control above the model; whether the intervals keep them apart is part of it."""
        return [self._sentence(name) for name in self.above()]

    def _sentence(self, name: str) -> str:
        apart = "" if disjoint(self.model, self.controls[name]) else ", though their intervals overlap"
        why = f": {BLINDNESS[name]}" if name in BLINDNESS else ""
        return f"{self.measure} ranks the {name} ({self.controls[name]}) above the model ({self.model}){apart}{why}"


def disjoint(first: Estimate, second: Estimate) -> bool:
    """True where two intervals share no point; False where one is unknown."""
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return False
    return first.low > second.high or second.low > first.high
