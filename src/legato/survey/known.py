"""Known factors of the rows measured, and the values between which scores of disentanglement lie on just these rows.

The ceiling (the true factors as a code) and the floor of each formula (noise as a code) are the same for every model of one
number of latents: computed once. Covered: the factors of `legato.data.factors`. Not covered: the scores (measures/).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from legato.data.factors import ORDERED
from legato.lazy import lazy
from legato.measures.disentanglement import ceiling, disentanglement, floor
from legato.measures.estimate import Estimate
from legato.types import Floats

Scores = dict[str, Estimate]


class KnownFactors:
    """factors (n, 6), as positions."""

    def __init__(self, factors: NDArray[np.int64]) -> None:
        self.factors = factors
        self._floors: dict[int, Scores] = {}  # by number of latents: some 10 s each, and the same for every model of as many

    def scores(self, mu: Floats, sigma: Floats | None, seed: int) -> Scores:
        """Scores of a model's codes (n, d), their widths telling which dimensions are dead."""
        # double precision, as a mean of squares that range over decades
        noise = None if sigma is None else (sigma.astype(np.float64) ** 2).mean(0)
        return disentanglement(mu, self.factors, ORDERED, noise, seed)

    @lazy
    def ceiling(self) -> Scores:
        """Scores of the true factors in the place of codes."""
        return ceiling(self.factors, ORDERED)

    def floor(self, latent_dim: int) -> Scores:
        """Scores of Gaussian noise in as many dimensions."""
        if latent_dim not in self._floors:
            self._floors[latent_dim] = floor(self.factors, latent_dim, ORDERED)
        return self._floors[latent_dim]
