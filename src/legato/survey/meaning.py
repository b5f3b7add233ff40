"""Meaning in the codes: labels of neighbours, and what a linear classifier reads."""

from __future__ import annotations

from legato.measures.semantics import few_label_probe, linear_probe, purity
from legato.measures.trustworthiness import preserved
from legato.survey.chapter import Chapter, Found
from legato.survey.evaluation import Evaluation

PROBED = 10_000  # training codes that the linear probe sees: with so many its penalty hardly matters (measures/semantics.py)


def labelled(evaluation: Evaluation) -> Found:
    """k-NN purity of test codes and linear probes; codes are whitened, since an axis's unit is nobody's merit."""
    train, test = evaluation.shared.train.labels, evaluation.shared.test.labels
    assert train is not None
    assert test is not None
    # Whitened by the training population's moments, not by the test rows' own: one unit for both sides of a probe.
    codes, known = evaluation.whitening.apply(evaluation.test.mu), evaluation.whitening.apply(evaluation.train.mu)
    near = purity(codes, test, seed=evaluation.seed)
    figures = {
        "purity": near.estimate(),
        "probe": linear_probe(known[:PROBED], train[:PROBED], codes, test).estimate(),
        "few-label probe": few_label_probe(known, train, codes, test, seed=evaluation.seed).estimate(),
    }
    by_class = {name: one.value for name, one in near.by_class().items()}
    return figures, {"purity by chance": near.chance, "purity by class": by_class}


def neighbours(evaluation: Evaluation) -> Found:
    """Neighbours as codes that are neighbours as images, and the reverse; images by their features."""
    codes = evaluation.whitening.apply(evaluation.test.mu)
    found = preserved(
        codes,
        evaluation.reference.features(evaluation.shared.test.images),
        sample=evaluation.effort.judged,
        seed=evaluation.seed,
    )
    return found.estimates, {}


LABELS = Chapter("labels", ("purity", "probe", "few-label probe"), labelled)
NEIGHBOURS = Chapter("neighbourhoods", ("trustworthiness", "continuity"), neighbours)
