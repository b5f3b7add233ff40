"""Paths between images: how straight and even, how long, and how real what lies in the middle is."""

from __future__ import annotations

from legato.measures.interpolation import cross_fade, decoded, linear, slerp, smoothness
from legato.measures.interpolation import Path as ImagePath
from legato.measures.realism import shell
from legato.survey.chapter import Chapter, Found
from legato.survey.visit import Visit


def straight(visit: Visit) -> Found:
    """Straightness, jumpiness and path length of linear paths in latent space, in pixels and in features; slerp beside."""
    first, second = (visit.test.mu[rows] for rows in visit.ends)
    figures, curves = walked(visit, decoded(visit.subject.decode, first, second), "")
    spherical, more = walked(visit, decoded(visit.subject.decode, first, second, slerp), " (slerp)")
    middle = linear(first, second, 0.5 * (first[:, 0] == first[:, 0]))
    at = shell(middle, visit.test.draw(visit.seed), visit.whitening)
    return figures | spherical | {"midpoint norm": at["norm"]}, curves | more


def faded(visit: Visit) -> Found:
    """The same of the control: the two images blended pixel by pixel."""
    first, second = (visit.shared.test.images[rows] for rows in visit.ends)
    return walked(visit, cross_fade(first, second), "")


def walked(visit: Visit, path: ImagePath, suffix: str) -> Found:
    """One kind of path."""
    kinds = smoothness(path, visit.effort.paths, visit.eyes.features, seed=visit.seed)
    figures = {}
    for kind, where in zip(kinds, ("", " in features"), strict=False):
        figures |= {f"{name}{where}{suffix}": one for name, one in kind.estimates().items()}
    return figures, {}


_KINDS = [f"{name}{where}" for where in ("", " in features") for name in ("straightness", "jumpiness", "path length")]
PATHS = Chapter("paths", (*_KINDS, *(f"{kind} (slerp)" for kind in _KINDS), "midpoint norm"), straight)
