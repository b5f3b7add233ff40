"""With what images are looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from legato.data.preparation import Floats


@dataclass(frozen=True)
class Eyes:
    name: str
    features: Callable[[Floats], NDArray[Any]]
    classify: Callable[[Floats], NDArray[Any]] | None = None


def eyes_for(images: Floats) -> Eyes:
    flat = images.reshape(len(images), -1)
    pca = PCA(min(64, *flat.shape), svd_solver="randomized", random_state=0).fit(flat[:10000])
    return Eyes("pca-64", lambda x: np.asarray(pca.transform(x.reshape(len(x), -1))))
