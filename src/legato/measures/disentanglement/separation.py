"""SAP: how far the dimension that best predicts a factor, alone and simply, leads the second best.

Kumar, Sattigeri & Balakrishnan 2018, https://arxiv.org/abs/1711.00848, section 3: for a factor whose order means something the
squared correlation, else the balanced accuracy of thresholds on that one dimension. (Locatello et al. use a linear SVM for all;
it cannot tell ten ordered values from their own number, so that not even the true factors would score 1.) Where we differ: the
thresholds are those of 20 bins of equal width, each bin going to its most frequent class on one half, tested on the other half.
"""

from __future__ import annotations

import numpy as np

from legato.measures.disentanglement.information import BINS
from legato.measures.disentanglement.known import Known
from legato.types import Doubles, Integers

METHODS = {
    "sap": "separated attribute predictability (Kumar et al. 2018); at best the mean over factors of 1, or of 1 − 1/classes "
    "where the order means nothing",
}


def scores(known: Known, seed: int = 0) -> dict[str, float]:
    """`sap`, the mean gap over factors. At most 1 for an ordered factor, 1 − 1/classes for another, whose runner-up guesses."""
    table = np.stack([_predicted(known, k, seed) for k in range(len(known.ordered))], 1)
    ranked = np.sort(np.vstack([_guessing(known), table]), 0)
    return {"sap": float((ranked[-1] - ranked[-2]).mean())}


def _guessing(known: Known) -> Doubles:
    """The score of a dimension that knows nothing, (f,): the runner-up where there is but one dimension."""
    return np.array([0.0 if ordered else 1 / count for ordered, count in zip(known.ordered, known.counts, strict=True)])


def _predicted(known: Known, k: int, seed: int) -> Doubles:
    """The prediction of factor k by each dimension alone, (d,): R² or balanced accuracy."""
    if not known.ordered[k]:
        # Two halves: bins that are fitted and scored on the same images would tell noise from noise.
        fitted, tested = known.halves(seed)
        count = known.counts[k]
        return np.array([_balanced(fitted, tested, j, k, count) for j in range(known.codes.shape[1])])
    v = known.factors[:, k] - known.factors[:, k].mean()
    z = known.codes - known.codes.mean(0)
    return np.asarray((v @ z) ** 2 / ((v @ v) * (z * z).sum(0)))


def _balanced(fitted: Known, tested: Known, j: int, k: int, classes: int) -> float:
    """Balanced accuracy, so that a frequent class is not worth a guess."""
    # Inner edges alone: codes of the tested half beyond the fitted range fall into the end bins and not outside.
    edges = np.linspace(fitted.codes[:, j].min(), fitted.codes[:, j].max(), BINS + 1)[1:-1]
    truth = fitted.factors[:, k]
    table = np.zeros((BINS, classes))
    np.add.at(table, (np.searchsorted(edges, fitted.codes[:, j], "right"), truth), 1)
    # counts over the class's size: a frequent class would win every bin that is nearly even
    chosen = (table / np.bincount(truth, minlength=classes).clip(1)).argmax(1)
    right = chosen[np.searchsorted(edges, tested.codes[:, j], "right")] == tested.factors[:, k]
    return float(np.mean([right[rows].mean() for rows in _by_value(tested.factors[:, k])]))


def _by_value(column: Integers) -> list[Integers]:
    return [np.flatnonzero(column == value) for value in np.unique(column)]
