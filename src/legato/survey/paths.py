"""Paths between images: how straight and even, how long, and how real what lies in the middle is."""

from __future__ import annotations

from legato.measures.clusters import Ends
from legato.measures.estimate import Estimate
from legato.measures.interpolation import Path as ImagePath
from legato.measures.interpolation import decoded, linear, slerp, smoothness
from legato.measures.realism import shell
from legato.survey.chapter import Chapter, Found
from legato.survey.evaluation import Evaluation
from legato.survey.reference import ReferenceFeatures


def straight(evaluation: Evaluation) -> Found:
    """Straightness, jumpiness and path length of linear paths in latent space, in pixels and in features; slerp beside."""
    first, second = (evaluation.test.mu[rows] for rows in evaluation.ends)
    decode = evaluation.subject.decode
    figures = walked(evaluation.reference, decoded(decode, first, second), evaluation.ends)
    figures |= walked(evaluation.reference, decoded(decode, first, second, slerp), evaluation.ends, " (slerp)")
    codes = evaluation.test.draw(
        evaluation.seed, "ends of paths"
    )  # as what they are compared with: means lie farther in than draws
    middle = linear(codes[evaluation.ends[0]], codes[evaluation.ends[1]], 0.5)
    at = shell(middle, codes, evaluation.whitening, evaluation.ends)
    return figures | {"midpoint norm": at["norm"]}, {}


def walked(reference: ReferenceFeatures, path: ImagePath, ends: Ends, suffix: str = "") -> dict[str, Estimate]:
    """Paths of one kind between the rows of `ends`, in pixels and in features."""
    kinds = smoothness(path, len(ends[0]), reference.features, ends=ends)
    figures: dict[str, Estimate] = {}
    # `strict=False`: where no features apply there are pixels alone
    for kind, where in zip(kinds, ("", " in features"), strict=False):
        figures |= {f"{name}{where}{suffix}": one for name, one in kind.estimates().items()}
    return figures


_KINDS = [f"{name}{where}" for where in ("", " in features") for name in ("straightness", "jumpiness", "path length")]
PATHS = Chapter("paths", (*_KINDS, *(f"{kind} (slerp)" for kind in _KINDS), "midpoint norm"), straight)
