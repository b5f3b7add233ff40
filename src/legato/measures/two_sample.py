"""Whether a classifier can tell two sets of vectors apart, judged on vectors it was not fitted to.

Covered: logistic regression, in features of images or in latent codes; ½ where it cannot tell. It sees differences of the
means alone: sets that differ in shape want the nearest neighbour's test (manifold.py). Not covered: p-values; an accuracy says
how far.

Lopez-Paz & Oquab 2017, https://arxiv.org/abs/1610.06545.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from legato.errors import Mistake
from legato.measures.estimate import Estimate, mean_over

MOST = 10_000  # vectors of each set


def two_sample_accuracy(first: NDArray[Any], second: NDArray[Any], seed: int = 0) -> Estimate:
    """The held-out accuracy of logistic regression between first (n, f) and second (m, f): fitted to half, judged on the rest.

    Of both sets as many are taken, so that ½ is chance. The interval is over held-out vectors, for the classifier as fitted.
    Raises `Mistake` on fewer than four of a kind, and on what is not finite.
    """
    rng = np.random.default_rng(seed)
    n = min(len(first), len(second), MOST)
    if n < 4 or first.shape[1:] != second.shape[1:]:
        raise Mistake(f"a two-sample test needs 4 vectors or more of each kind and one size, got {first.shape}, {second.shape}")
    x = np.stack([np.asarray(each[rng.permutation(len(each))[:n]], np.float64) for each in (first, second)])
    if not np.isfinite(x).all():
        raise Mistake("a two-sample test got vectors that are not finite")
    fitted, held_out = x[:, : n // 2], x[:, n // 2 :]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(np.concatenate([*fitted]), _labels(fitted))
    right = model.predict(np.concatenate([*held_out])) == _labels(held_out)
    return mean_over(
        right.astype(np.float64), "accuracy", f"held-out accuracy of logistic regression, {n:,} vectors of each set"
    )


def _labels(x: NDArray[Any]) -> NDArray[np.int64]:
    return np.repeat([0, 1], x.shape[1])
