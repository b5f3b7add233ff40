"""Disentanglement of the code: whether single dimensions are the factors that the images were drawn from, by every score.

Each score stands beside what the same rows give an encoder with starting weights, noise (its floors) and the true factors (its
ceiling): a score alone says nothing. On one core some 10 s for 5,000 rows and 10 latents, as much for the untrained encoder,
and once for all models as much for noise and the true factors. Not covered: data whose factors nobody knows.
"""

from __future__ import annotations

from legato.errors import Mistake
from legato.measures.disentanglement import NAMES
from legato.measures.estimate import absent
from legato.measures.known import WHOSE
from legato.survey.chapter import Chapter, Found
from legato.survey.evaluation import Evaluation
from legato.survey.known import Scores
from legato.survey.subject import untrained

TITLES = {
    "mig": "MIG",
    "modularity": "modularity",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "sap": "SAP",
    "factor_vae": "FactorVAE score",
    "explicitness": "explicitness",
    "irs": "IRS",
}
UNTRAINED, NOISE, TRUTH = WHOSE


def disentangled(evaluation: Evaluation) -> Found:
    """The scores of posterior means of test rows, and beside each its floors and its ceiling."""
    known = evaluation.shared.known
    assert known is not None
    # Floors and ceiling on these very rows: a score's bias at this number of images is in all of them alike.
    found = {
        "": known.scores(evaluation.test.mu, evaluation.test.sigma, evaluation.seed),
        UNTRAINED: _untrained(evaluation),
        NOISE: known.floor(evaluation.subject.latent_dim),
        TRUTH: known.ceiling,
    }
    return {_named(name, whose): scores[name] for name in NAMES for whose, scores in found.items()}, {}


def _untrained(evaluation: Evaluation) -> Scores:
    """Scores of the same network at its starting weights; none of its dimensions is dead, for its widths mean nothing."""
    space, known = evaluation.subject.space, evaluation.shared.known
    assert known is not None
    if space is None:
        return dict.fromkeys(NAMES, absent("the starting weights are known of a RUN alone"))
    try:
        start = untrained(space, evaluation.seed)
    except Mistake as error:
        return dict.fromkeys(NAMES, absent(str(error)))
    # Without its widths, which mean nothing before training: beside them every dimension might count as dead.
    return known.scores(start.encode(evaluation.shared.test.x)[0], None, evaluation.seed)


def _named(name: str, whose: str) -> str:
    return f"{TITLES[name]} ({whose})" if whose else TITLES[name]


_ALL = tuple(_named(name, whose) for name in NAMES for whose in ("", UNTRAINED, NOISE, TRUTH))
FACTORS = Chapter("known factors", _ALL, disentangled)
