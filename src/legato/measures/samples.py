"""How far generated images lie from real ones: nearest neighbours in PCA features of the pixels.

Covered: one distance, with its floor (real images that were held out) and its control (the mean image, which is near everything
and is nothing). Not covered: Fréchet distance, density, coverage.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from legato.measures.estimate import Estimate, mean_over

Floats = NDArray[np.floating[Any]]
COMPONENTS = 50


class NearestReal:
    """Distances from images to the nearest of `real` (N, *data), in the first 50 principal components of the pixels."""

    def __init__(self, real: Floats, components: int = COMPONENTS) -> None:
        flat = _flat(real)
        self.pca = PCA(min(components, *flat.shape), svd_solver="randomized", random_state=0).fit(flat)
        # Brute force: in 50 dimensions trees are slower than matrix products.
        self.index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(self.pca.transform(flat))

    def distances(self, images: Floats) -> NDArray[np.float64]:
        """(n,), in units of the pixels (Euclidean)."""
        found, _ = self.index.kneighbors(self.pca.transform(_flat(images)))
        return np.asarray(found[:, 0], np.float64)

    def estimate(self, images: Floats) -> Estimate:
        """Their mean with its interval."""
        method = (
            f"distance to the nearest of {self.index.n_samples_fit_:,} real images in {self.pca.n_components_} PCA features"
        )
        return mean_over(self.distances(images), "pixel units", method)


def _flat(images: Floats) -> NDArray[np.float32]:
    return np.asarray(images, np.float32).reshape(len(images), -1)
