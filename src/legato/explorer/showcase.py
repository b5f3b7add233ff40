"""What the page's tour is shown with: images that models give back well, and the straight ways between two codes.

Covered: the choice of images by a rule that is told beside them; along a way, how far each place is from what it encodes back
to, and whether the data goes there. Not covered: intervals and controls (measures/interpolation.py), for which no page waits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.explorer.codes import Codes
from legato.explorer.landscape import DECODED, Landscape, decode
from legato.explorer.worker import Slices
from legato.latent_space import LatentSpace

Doubles = NDArray[np.float64]
CANDIDATES = 256  # images of the map's random order that are looked at
NEIGHBOURS = 15
CHOSEN = 24


def errors(space: LatentSpace, codes: Codes, places: NDArray[np.int64], seen: NDArray[Any]) -> Slices[Doubles]:
    """How far D(μ(x)) is from each image x (n, *shape) at these places of the map, √ of the mean square, (n,).

    Of a table each column counts in its own deviation: units of columns do not compare.
    """
    flat = seen.reshape(len(seen), -1).astype(np.float64)
    scale = np.ones(1) if seen.ndim == 4 else np.maximum(flat.std(0), 1e-12)
    found = []
    for at in range(0, len(places), DECODED):
        back = decode(space, codes.mu[places[at : at + DECODED]]).reshape(-1, flat.shape[1])
        found.append(np.sqrt(np.square((back - flat[at : at + DECODED]) / scale).mean(1)))
        yield
    return np.concatenate(found)


def at_home(codes: Codes, places: NDArray[np.int64], labels: NDArray[np.int64]) -> Slices[NDArray[np.bool_]]:
    """Whether most of the nearest codes of each of these places are of its own class, (n,); `labels` are the whole map's."""
    found = []
    for place in places:
        near, _ = codes.nearest(codes.mu[place], NEIGHBOURS + 1)
        found.append(np.mean(labels[near[near != place]] == labels[place]) > 0.5)
        yield
    return np.array(found, bool)


def well_given_back(error: Doubles, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these images lie in the better half of their class, (n,)."""
    usual = {label: np.median(error[labels == label]) for label in np.unique(labels)}
    return error <= np.array([usual[label] for label in labels])


def suited(suits: Sequence[NDArray[np.bool_]], has_density: Sequence[bool]) -> list[int]:
    """The models whose images are shown: all, where some image suits all; else the first that has any, one with clouds before
    one without.
    """
    everything = list(range(len(suits)))
    if np.logical_and.reduce(suits).sum() > 1:
        return everything
    return sorted((model for model in everything if suits[model].sum() > 1), key=lambda model: not has_density[model])[:1]


def in_turn(places: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most `CHOSEN` of them, class after class in turn, each class in the map's order: neighbours in the list differ."""
    rank = np.zeros(len(places), np.int64)
    for label in np.unique(labels):
        of_it = labels == label
        rank[of_it] = np.arange(of_it.sum())
    return places[np.lexsort((labels, rank))][:CHOSEN]


def along(landscape: Landscape, ends: Doubles, cells: int) -> Slices[dict[str, Any]]:
    """Each way (n, 2, d) at the middles of `cells` equal parts: the error of re-encoding and its threshold, and whether the
    data goes there. None where the decoder gives no finite number.
    """
    share = ((np.arange(cells) + 0.5) / cells)[None, :, None]
    places = ((1 - share) * ends[:, :1] + share * ends[:, 1:]).reshape(-1, ends.shape[-1])
    error, threshold = yield from landscape.measured("holes", places)
    support, least = yield from landscape.measured("support", places)
    return {
        "errors": [[_finite(one) for one in way] for way in error.reshape(len(ends), cells).tolist()],
        "inside": (support >= least).reshape(len(ends), cells).tolist(),
        "threshold": threshold,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
