"""Explicitness: whether a linear classifier on the whole code tells every value of every factor.

Ridgeway & Mozer 2018, https://arxiv.org/abs/1802.05312, section 3: the mean area under the ROC curve over factors and their
values, one against the rest. As in Locatello et al. 2019, https://arxiv.org/abs/1811.12359, the classifier is one multinomial
logistic regression per factor and not one per value: a value between others is no half space, and by separate classifiers the
true factors themselves would fail.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from legato.measures.disentanglement.known import Known
from legato.types import Doubles, Integers

WEAK = 100.0  # the least penalty that converges soon: a stronger one blurs neighbouring values, even of the true factors
METHODS = {"explicitness": "explicitness (Ridgeway & Mozer 2018), held-out area under the ROC curve; 1 at best, ½ by guessing"}


def scores(known: Known, seed: int = 0) -> dict[str, float]:
    """`explicitness`: fitted to one half, ranked on the other. Maximum 1, guessing gives ½."""
    fitted, tested = known.halves(seed)
    return {"explicitness": float(np.mean([_areas(fitted, tested, k).mean() for k in range(len(known.ordered))]))}


def _areas(fitted: Known, tested: Known, k: int) -> Doubles:
    probe = LogisticRegression(C=WEAK, max_iter=1000).fit(fitted.codes, fitted.factors[:, k])
    probability = probe.predict_proba(tested.codes)
    if len(probe.classes_) == 2:  # one column is one minus the other
        probability = probability[:, 1:]
    return area_under_roc(probability, tested.factors[:, k], probe.classes_[-probability.shape[1] :])


def area_under_roc(scores: NDArray[np.float64], truth: Integers, classes: Integers) -> Doubles:
    """P(a row of the class is ranked above one that is not), ties by half, (classes that are there,); scores (n, classes)."""
    member = truth[:, None] == classes
    positive, negative = member.sum(0), (~member).sum(0)
    there = (positive > 0) & (negative > 0)
    ranks = (rankdata(scores, axis=0) * member).sum(0)
    return np.asarray(((ranks - positive * (positive + 1) / 2)[there]) / (positive * negative)[there])
