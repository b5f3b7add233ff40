"""What a classifier makes of generated images: how sure it is of each, and how evenly it spreads them over the classes.

Covered: confidence, the share it is sure of, the entropy of the classes it sees. Not covered: realism. A classifier is sure of
much that is no digit, and training images please it best: read these beside the controls and the real images' own.
Inception scores multiply the two sides into one figure that hides which of them failed (Barratt & Sharma 2018,
https://arxiv.org/abs/1801.01973); here they stay apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.measures.estimate import Estimate, bootstrap, mean_over

SURE = 0.9


@dataclass(frozen=True)
class Confidence:
    """`mean`: E maxᵧ p(y|x). `sure`: the share with maxᵧ p(y|x) > 0.9. `entropy`: of the marginal E p(y|x), at most log C."""

    mean: Estimate
    sure: Estimate
    entropy: Estimate

    def to_json(self) -> dict[str, Any]:
        """The estimates."""
        return {"mean": self.mean.to_json(), "sure": self.sure.to_json(), "entropy": self.entropy.to_json()}


def confidence(probabilities: NDArray[Any], seed: int = 0) -> Confidence:
    """For probabilities (n, C), each row summing to 1. Raises `Mistake` where one does not."""
    probabilities = np.asarray(probabilities, np.float64)
    off = ~(np.abs(probabilities.sum(1) - 1) < 1e-4)  # this way round NaN is off too
    if off.any() or (probabilities < 0).any():
        raise Mistake(f"{int(off.sum())} of {len(off)} rows of `probabilities` do not sum to 1")
    largest = probabilities.max(1)
    return Confidence(
        mean_over(largest, "probability", "largest class probability"),
        mean_over((largest > SURE).astype(np.float64), "share of images", f"largest class probability above {SURE}"),
        marginal_entropy(probabilities, seed),
    )


def marginal_entropy(probabilities: NDArray[np.float64], seed: int = 0) -> Estimate:
    """−Σ_y p̄(y) log p̄(y), p̄ = E p(y|x), nats: log C where all classes are as frequent, 0 where there is one.

    It is too small by up to (C − 1)/2n, which is 0.0005 for ten classes and 10,000 images.
    """

    def entropy(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        marginal = weights @ probabilities
        return np.asarray(-(marginal * np.log(np.maximum(marginal, 1e-300))).sum(1))

    n, classes = probabilities.shape
    value = float(entropy(np.full((1, n), 1 / n))[0])
    return bootstrap(entropy, value, n, "nats", f"entropy of the mean probabilities of {classes} classes", seed=seed)
