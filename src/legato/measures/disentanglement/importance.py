"""DCI: disentanglement, completeness and informativeness, from what a random forest needs to tell each factor.

Eastwood & Williams 2018, https://openreview.net/forum?id=By-7dz-AZ. A forest per factor is fitted to one half of the images and
tested on the other: a regression where the factor's order means something, a classifier where it does not. Its importances are
the shares of impurity that splits on a dimension removed. Where we differ: informativeness is 1 for a perfect prediction and 0
for guessing (they report an error), and no leaf is smaller than a hundredth of the fitted images (they choose a depth by
cross-validation), for deeper trees spend importance on noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from legato.measures.disentanglement.known import Known
from legato.types import Doubles, Integers

TREES = 10
METHODS = {
    "dci_disentanglement": "DCI disentanglement (Eastwood & Williams 2018), random forests; 1 at best",
    "dci_completeness": "DCI completeness (Eastwood & Williams 2018), random forests; 1 at best",
    "dci_informativeness": "DCI informativeness (Eastwood & Williams 2018) as held-out R² or accuracy above chance; 1 at best",
}


def scores(known: Known, seed: int = 0) -> dict[str, float]:
    """The three."""
    importance, told = importances(known, seed)
    return {
        "dci_disentanglement": disentanglement(importance),
        "dci_completeness": completeness(importance),
        "dci_informativeness": float(told.mean()),
    }


def disentanglement(importance: Doubles) -> float:
    """Σ_j ρ_j (1 − H_f(P_j)), P_j a dimension's importances over the f factors, H in base f, ρ_j its share of them all."""
    return float((importance.sum(1) / importance.sum()) @ (1 - _entropies(importance)))


def completeness(importance: Doubles) -> float:
    """(1/f) Σ_k (1 − H_d(P̃_k)), P̃_k a factor's importances over the d dimensions, H in base d."""
    return float((1 - _entropies(importance.T)).mean())


def importances(known: Known, seed: int = 0) -> tuple[Doubles, Doubles]:
    """Importances (d, f), each column summing to 1 (0 where a forest found nothing), and how well each factor is told, (f,)."""
    fitted, tested = known.halves(seed)
    columns, told = [], []
    for k, ordered in enumerate(known.ordered):
        # All dimensions at every split: a forest that may not look at the best one must use another.
        kind = RandomForestRegressor if ordered else RandomForestClassifier
        # A hundredth of the fitted images at least: deeper trees split on noise, which would count as importance.
        leaf = max(len(fitted) // 100, 1)
        forest = kind(TREES, max_features=None, min_samples_leaf=leaf, random_state=seed).fit(
            fitted.codes, fitted.factors[:, k]
        )
        columns.append(forest.feature_importances_)
        told.append(_told(tested.factors[:, k], forest.predict(tested.codes), ordered))
    return np.stack(columns, 1), np.array(told)


def _told(truth: Integers, predicted: NDArray[np.float64], ordered: bool) -> float:
    """R² or accuracy, above what guessing gives; 0 where it is worse."""
    if ordered:
        # Below 0 is worse than guessing, and a negative informativeness has no meaning in the mean.
        return max(1 - float(((truth - predicted) ** 2).mean()) / float(truth.var()), 0.0)
    chance = float(np.bincount(truth).max() / len(truth))
    return max((float((truth == predicted).mean()) - chance) / (1 - chance), 0.0)


def _entropies(rows: Doubles) -> Doubles:
    """The entropy of each row's shares, in units of log(columns): 0 for a single one, 1 for all alike or none."""
    if rows.shape[1] == 1:  # log 1 = 0 would divide: a single column has all shares, which is no entropy
        return np.zeros(len(rows))
    total = rows.sum(1, keepdims=True)
    p = np.where(total > 0, rows / np.where(total > 0, total, 1), 1 / rows.shape[1])
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1))).sum(1) / np.log(rows.shape[1]))
