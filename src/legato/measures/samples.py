"""How far generated images lie from real ones: nearest neighbours in PCA features of the pixels.

Covered: one distance, to be read beside its floor (real images that were held out), reconstructions, and its control: the mean
image, which shows how much the distance likes blur. Not covered: Fréchet distance, density, coverage.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from legato.measures.estimate import Estimate, mean_over
from legato.types import Floats

COMPONENTS = 50


class NearestReal:
    """Distances from images to the nearest of `real` (N, *data), in the first 50 principal components of the pixels.

    With `normalise` every image is first scaled to length 1: 0 is the same picture, √2 one that shares no pixel. Without it a
    faint picture is near everything, since it is near nothing at all: blank paper would pass for a good sample.
    """

    def __init__(self, real: Floats, components: int = COMPONENTS, normalise: bool = True) -> None:
        self.normalise = normalise
        flat = self._features(real)
        self.pca = PCA(min(components, *flat.shape), svd_solver="randomized", random_state=0).fit(flat)
        # Brute force: in 50 dimensions trees are slower than matrix products.
        self.index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(self.pca.transform(flat))

    def distances(self, images: Floats) -> NDArray[np.float64]:
        """(n,), Euclidean; in units of the pixels without `normalise`."""
        found, _ = self.index.kneighbors(self.pca.transform(self._features(images)))
        return np.asarray(found[:, 0], np.float64)

    def estimate(self, images: Floats) -> Estimate:
        """Their mean with its interval."""
        among = f"{self.index.n_samples_fit_:,} real images, {self.pca.n_components_} PCA features"
        unit = "image lengths" if self.normalise else "pixel units"
        return mean_over(self.distances(images), unit, f"distance to the nearest of {among}")

    def _features(self, images: Floats) -> NDArray[np.float32]:
        flat = np.asarray(images, np.float32).reshape(len(images), -1)
        if not self.normalise:
            return flat
        return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12), np.float32)
