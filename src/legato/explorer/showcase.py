"""Examples for the page's tour: images that models give back well, and the straight ways between two codes.

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
from legato.types import Doubles, Floats

CANDIDATES = 256  # images of the map's random order that are looked at: the tour waits while they are decoded
OTHERS = 2_000  # real images that what is given back is compared with
COMPARED = 8_000_000  # values of them at most: a cursor waits
NEIGHBOURS = 15  # an odd number, so that two classes never tie
CHOSEN = 24


def given_back(space: LatentSpace, codes: Codes, places: NDArray[np.int64]) -> Slices[Floats]:
    """D(μ) of the images at these places of the map, (n, *shape)."""
    found = []
    for at in range(0, len(places), DECODED):
        found.append(decode(space, codes.mu[places[at : at + DECODED]]))
        yield
    return np.concatenate(found)


def flat(seen: NDArray[Any]) -> Floats:
    """Examples (n, *shape) as rows whose distances count: of a table each column in its own deviation."""
    rows = seen.reshape(len(seen), -1)
    # in single precision; a constant column has no deviation to divide by
    return (rows if seen.ndim == 4 else rows / np.maximum(rows.std(0), 1e-12)).astype(np.float32)


def others_of(places: NDArray[np.int64], n: int, numbers: int) -> NDArray[np.int64]:
    """Places of real images, of `numbers` values each, that what is given back is compared with: none of these, if there are
    enough others.  # a hundred at least, however large images are: the nearest of fewer would not be near
    """
    others = np.setdiff1d(np.arange(n), places)[: max(100, min(OTHERS, COMPARED // numbers))]
    # A tiny source has no others: then an image may be its own neighbour, rather than none be shown.
    return others if len(others) >= NEIGHBOURS else np.arange(n)


def recognised(back: Floats, labels: NDArray[np.int64], others: Floats, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True where most of the nearest real images (m, *shape) of what is given back (n, *shape) are of its own class, (n,)."""
    rows = flat(np.concatenate([back, others]))  # together, since a table's columns must be measured in one unit
    ours, theirs = rows[: len(back)], rows[len(back) :]
    squares = np.square(theirs).sum(1) - 2 * ours @ theirs.T  # less what is the same for all of them
    # stable: ties go by place, so that the tour is the same again
    near = np.argsort(squares, axis=1, kind="stable")[:, :NEIGHBOURS]
    return np.asarray((classes[near] == labels[:, None]).mean(1) > 0.5)


def at_home(codes: Codes, places: NDArray[np.int64], labels: NDArray[np.int64]) -> Slices[NDArray[np.bool_]]:
    """True where most of the nearest codes of each place are of its own class, (n,); `labels` are the whole map's."""
    found = []
    for place in places:
        near, _ = codes.nearest(codes.mu[place], NEIGHBOURS + 1)
        # one more was asked for, since the nearest of all is the place itself
        found.append(np.mean(labels[near[near != place]] == labels[place]) > 0.5)
        yield
    return np.array(found, bool)


def shares_lost(back: Floats, seen: NDArray[Any], labels: NDArray[np.int64]) -> Doubles:
    """√mean (x̂ − x)² of images (n, *shape) over the median of their class, (n,): 1 and less is the better half."""
    ours, theirs = np.split(flat(np.concatenate([back, seen])), 2)
    error = np.sqrt(np.square(ours - theirs).mean(1))
    # by class: a plain 1 is given back better than any 8, and would fill the list
    usual = {label: np.median(error[labels == label]) for label in np.unique(labels)}
    return np.asarray(error / np.maximum([usual[label] for label in labels], 1e-12))


def suited(suits: Sequence[NDArray[np.bool_]], has_density: Sequence[bool]) -> list[int]:
    """The models whose images are shown: all, where some image suits all; else the first that has any, one with clouds before
    one without.
    """
    everything = list(range(len(suits)))
    if np.logical_and.reduce(suits).sum() > 1:  # two at least: a way needs two ends
        return everything
    return sorted((model for model in everything if suits[model].sum() > 1), key=lambda model: not has_density[model])[:1]


def in_turn(lost: Doubles, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most `CHOSEN` places (n,), class after class in turn, the best of each first: neighbours in the list differ."""
    rank = np.zeros(len(lost), np.int64)
    for label in np.unique(labels):
        of_it = labels == label
        rank[of_it] = lost[of_it].argsort(kind="stable").argsort(kind="stable")  # argsort of argsort is the rank
    return np.lexsort((labels, rank))[:CHOSEN]


def along(landscape: Landscape, ends: Doubles, cells: int) -> Slices[dict[str, Any]]:
    """Each way (n, 2, d) at the middles of `cells` equal parts: the error of re-encoding and its threshold, and whether the
    data goes there. None where the decoder gives no finite number.
    """
    # middles of parts and not their ends, which are codes of images and no way between them
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
