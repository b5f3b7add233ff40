"""The variance of a mean over images to every term of which all images contribute, as they do to log q̂ and to "the nearest".

Covered: the delete-group jackknife, from terms that are at hand for each group of images. What an image changes is its own
draws' mean and what it does to the terms of all others. Not covered: terms that are an image's own alone (clusters.py).

An image of a bootstrap's resample is its own double: nobody can tell the two apart, and every figure of neighbours is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from legato.measures.clusters import image_variance
from legato.streams import random_stream
from legato.types import Bools, Doubles, Rows

GROUPS = 20  # a variance of 20 figures is known to a third or so, and costs 20 sums over what is at hand
LIMITS = (0.1, 10.0)  # of the ratio: where a figure hardly varies both variances are rounding


@dataclass(frozen=True)
class Groups:
    """n images in `count` groups of `size` at random, of_image (n,). What is left over is one more, which is never left out."""

    of_image: Rows
    count: int
    size: int

    @property
    def names(self) -> Rows:
        """The names of all groups, that of the images left over among them."""
        return np.unique(self.of_image)

    def kept(self, group: int) -> Bools:
        """A mask of all groups but one."""
        return np.asarray(self.names != group)


def in_groups(n: int, seed: int = 0, count: int = GROUPS) -> Groups:
    """n images, in `count` groups or, where they are fewer, each for itself."""
    count = min(count, n)
    size = n // count
    of_image = np.full(n, count)
    of_image[random_stream(seed, "left out").permutation(n)[: count * size]] = np.repeat(np.arange(count), size)
    # What is left over is never left out: a smaller group would count as much as the others.
    return Groups(of_image, count, size)


def left_out_variance(values: Doubles, image: Rows, without: Callable[[Bools], Doubles], groups: Groups) -> float:
    """The variance of the mean of values (m,), value k being of image[k], with all that images do to each other's values.

    `without` gives the values (m,) that there would be if only the groups (all,) that are kept had been there. With G groups
    of h among N images the variance is (N − h)²/(hN) times that of the G figures with one left out: Shao & Wu 1989,
    https://doi.org/10.1214/aos/1176347263. It counts what k images do together k times, so it errs on the wide side: Efron &
    Stein 1981, https://doi.org/10.1214/aos/1176345462. From few groups it is rough itself: what it gives is the ratio to the
    same for the values as they are, times `image_variance` of these, which is exact where images do not meet.
    """
    # The ratio alone is taken from groups: of 20 figures a variance is rough, and `image_variance` is not.
    alone, group = image_variance(values, image), groups.of_image[image]
    # Of two groups a variance has one degree of freedom: the ratio would be anything.
    if len(np.unique(group)) < 3:
        return alone
    rest = [group != g for g in range(groups.count)]
    own = np.var([values[rows].mean() for rows in rest])
    whole = np.var([without(groups.kept(g))[rows].mean() for g, rows in enumerate(rest)])
    return alone * float(np.clip(whole / own, *LIMITS)) if own > 0 else alone  # no ratio where a figure does not vary at all
