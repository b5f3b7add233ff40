"""The choice of features by the data. Covered: the choice. Not covered: the features (features.py, digits.py)."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from legato.measures.digits import SHAPE, DigitFeatures
from legato.measures.features import Features, PrincipalComponents, RandomNet
from legato.types import Shape


def features_for(shape: Shape, source: str, real: NDArray[Any]) -> list[Features]:
    """The features that apply, the first to be reported and the others to check its order; fitted on `real`, training examples.

    MNIST digits (`source` is `mnist`) have the classifier and the other two; other pictures (C, H, W) these; rows of a table
    principal components alone.
    """
    found: list[Features] = [PrincipalComponents(real)]
    if len(shape) == 3:
        found.append(RandomNet(real))
    if source == "mnist" and tuple(shape) == SHAPE:
        found.insert(0, DigitFeatures())  # first: what was trained on digits says most of digits, the other two check its order
    return found
