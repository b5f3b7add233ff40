"""Whether similar images lie together: labels of neighbours, and what a linear classifier reads from codes."""

from __future__ import annotations

from legato.measures.semantics import few_label_probe, linear_probe, purity
from legato.measures.trustworthiness import preserved
from legato.survey.chapter import Chapter, Found
from legato.survey.visit import Visit

PROBED = 10_000  # training codes that the linear probe sees


def labelled(visit: Visit) -> Found:
    """k-NN purity of test codes and linear probes; codes are whitened, since an axis's unit is nobody's merit."""
    train, test = visit.shared.train.labels, visit.shared.test.labels
    assert train is not None
    assert test is not None
    codes, known = visit.whitening.apply(visit.test.mu), visit.whitening.apply(visit.train.mu)
    near = purity(codes, test, seed=visit.seed)
    figures = {
        "purity": near.estimate(),
        "probe": linear_probe(known[:PROBED], train[:PROBED], codes, test).estimate(),
        "few-label probe": few_label_probe(known, train, codes, test, seed=visit.seed).estimate(),
    }
    by_class = {name: one.value for name, one in near.by_class().items()}
    return figures, {"purity by chance": near.chance, "purity by class": by_class}


def neighbours(visit: Visit) -> Found:
    """Whether neighbours as codes are neighbours as images, and the reverse; images by their features."""
    codes = visit.whitening.apply(visit.test.mu)
    found = preserved(codes, visit.eyes.features(visit.shared.test.images), sample=visit.effort.judged, seed=visit.seed)
    return found.estimates, {}


LABELS = Chapter("labels", ("purity", "probe", "few-label probe"), labelled)
NEIGHBOURS = Chapter("neighbourhoods", ("trustworthiness", "continuity"), neighbours)
