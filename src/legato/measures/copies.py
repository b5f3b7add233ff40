"""Copies: samples that lie nearer to a training image than images do that a model was not trained on.

A prior that is fitted to codes may end on the codes themselves. Covered: distances to the nearest training image, in any
features; the share of samples that are nearer than held-out images are. Not covered: which features (features.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import bdtrik

from legato.errors import Mistake
from legato.measures.clusters import share_interval
from legato.measures.estimate import Estimate
from legato.measures.neighbours import blocks
from legato.types import Doubles

QUANTILE = 0.01
LEAST = 100  # held-out images, of which one is the quantile
NEAR = 4  # training images whose distance is taken once more, by differences: a product loses the digits of a copy's


def copies(train: NDArray[Any], held_out: NDArray[Any], samples: NDArray[Any]) -> Estimate:
    """The share of samples nearer to a training image than 99 % of held-out ones are, features (N, f), (m, f) and (n, f).

    1 % where samples are as far from training images as held-out ones, 1 where they are copies. Its interval has the errors of
    both: Wilson's of the share, at the ends of the quantile's own. Raises `Mistake` for fewer than 100 held-out images.
    """
    if len(held_out) < LEAST:
        raise Mistake(f"a quantile of 1 % needs {LEAST} held-out images or more, got {len(held_out)}")
    usual, found = nearest(held_out, train), nearest(samples, train)
    low, value, high = (float((found < end).mean()) for end in _bounds(np.sort(usual)))
    method = f"share of samples nearer to one of {len(train):,} training images than 99 % of {len(usual):,} held-out ones"
    ends = (share_interval(share, share * (1 - share) / len(found), len(found)) for share in (low, high))
    (least, _), (_, most) = ends
    return Estimate(value, least, most, len(found), "share of samples", method)


def _bounds(usual: Doubles) -> tuple[float, float, float]:
    """The quantile of sorted distances between the ends of its 95 % interval (order statistics); 0: none is low enough."""
    low, high = (math.ceil(bdtrik(p, len(usual), QUANTILE)) for p in (0.025, 0.975))
    return float(usual[low - 1]) if low >= 1 else 0.0, float(np.quantile(usual, QUANTILE)), float(usual[high])


def nearest(x: NDArray[Any], y: NDArray[Any]) -> Doubles:
    """The distance of each of x (n, f) to the nearest of y (m, f), (n,)."""
    centre = np.asarray(y, np.float64).mean(0)
    first, second = (np.asarray(each, np.float64) - centre for each in (x, y))
    x32, y32 = (torch.as_tensor(each, dtype=torch.float) for each in (first, second))
    found = np.empty(len(first))
    for rows, squares in blocks(x32, y32):
        near = squares.topk(min(NEAR, len(second)), largest=False).indices.numpy()
        found[rows] = np.sqrt(np.square(first[rows, None] - second[near]).sum(2).min(1))
    return found
