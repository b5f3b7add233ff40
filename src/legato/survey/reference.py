"""Reference features, in which images are compared: perhaps of a classifier; and the real images' own.

The first features that apply to the data judge; others are there to check that an order of models is not of their making.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.lazy import lazy
from legato.measures.clusters import Ends
from legato.measures.digits import DigitFeatures
from legato.measures.estimate import Estimate
from legato.measures.feature_choice import features_for
from legato.measures.features import Features
from legato.measures.fidelity import frechet
from legato.measures.manifold import Manifold, manifold
from legato.measures.neighbours import Cloud
from legato.measures.realism import confidence
from legato.types import Floats


class Real:
    """Test images as features, with what training images, put in the place of generated ones, measure: the floor."""

    def __init__(self, features: Features, test: Floats, train: Floats) -> None:
        self.features = features.of(test)
        # as many as there are test images: a Fréchet distance shrinks with the number of images
        self._train = features.of(train[: len(test)])

    @lazy
    # Lazy, all of these: a survey without a ladder needs none of them.
    def cloud(self) -> Cloud:
        """The features and their nearest neighbours."""
        return Cloud(self.features)

    @lazy
    def floor(self) -> Manifold:
        """Density, coverage, precision of training images among test images."""
        return manifold(self.cloud, self._train)

    @lazy
    def frechet(self) -> Estimate:
        """The distance of training images from test images."""
        return frechet(self.features, self._train)

    @property
    def precision(self) -> float:
        """The share of training images that lie in the balls of test images: what realism 1 is."""
        assert self.floor.precision.value is not None
        return self.floor.precision.value


@dataclass(frozen=True)
class ReferenceFeatures:
    """Features of images: `first` judge, `others` check them; `real` are those of test images."""

    first: Features
    others: tuple[Features, ...]
    real: Real
    digits: DigitFeatures | None

    @property
    def features(self) -> Callable[[NDArray[Any]], Floats]:
        """Images (n, *shape) -> (n, f)."""
        return self.first.of

    @property
    def classify(self) -> Callable[[NDArray[Any]], NDArray[np.int64]] | None:
        """Images -> the most probable class, (n,); None where there is no classifier of such images."""
        digits = self.digits
        return None if digits is None else lambda images: digits.probabilities(images).argmax(1)

    @property
    def confidence(self) -> Callable[[NDArray[Any], Ends | None], Estimate] | None:
        """Images, and of images between two others the rows of these -> the mean of the largest class probability."""
        digits = self.digits
        return None if digits is None else lambda images, ends: confidence(digits.probabilities(images), ends)[0]


def reference_features(source: str, train: Floats, test: Floats) -> ReferenceFeatures:
    """The classifier of digits for MNIST; for other pictures, and for tables, principal components of the pixels first."""
    first, *others = features_for(train.shape[1:], source, train)
    return ReferenceFeatures(
        first, tuple(others), Real(first, test, train), first if isinstance(first, DigitFeatures) else None
    )
