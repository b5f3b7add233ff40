"""Outlines: how far a point lies from the edge of a square, an ellipse, a heart, each of area 1 about the origin.

u to the right, v down, any shape of arrays, in sides of the unit square; distances are negative inside. From a distance in
pixels follows how much of a pixel is covered, which draws smooth edges without drawing anything larger first.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

import numpy as np

from legato.types import Singles

# half axes of an ellipse of area 1: of shapes of another area a pixel count would tell which it is
LONG, SHORT = sqrt(1.7 / pi), sqrt(1 / (1.7 * pi))
HEART = 1 / sqrt(1 + pi / 4)  # the side of a square that has area 1 together with half discs on two of its sides
LOWERED = HEART * 0.16  # so that a heart turns about its middle


def square(u: Singles, v: Singles) -> Singles:
    """The unit square: exact."""
    return _box(u, v, 0.5)


def _box(u: Singles, v: Singles, half: float) -> Singles:
    du, dv = np.abs(u) - half, np.abs(v) - half
    outside = np.sqrt(np.maximum(du, 0) ** 2 + np.maximum(dv, 0) ** 2)
    return np.asarray(outside + np.minimum(np.maximum(du, dv), 0))


def ellipse(u: Singles, v: Singles) -> Singles:
    """Distance in first order, (|p| − 1)/|∇|p||, p in half axes: exact at the outline, and only pixels there are mixed."""
    p, q = u / LONG, v / SHORT
    length = np.sqrt(p * p + q * q)
    slope = np.sqrt((p / LONG) ** 2 + (q / SHORT) ** 2)
    return np.asarray(length * (length - 1) / np.maximum(slope, 1e-6))  # in the middle the slope is 0


def heart(u: Singles, v: Singles) -> Singles:
    """A square on its tip and a disc on each upper side: the smallest distance is that of their union."""
    v = v - LOWERED
    a, b = (u + v) / sqrt(2), (v - u) / sqrt(2)  # along the square's sides, for it stands on its tip
    left = np.sqrt(a * a + (b + HEART / 2) ** 2)
    right = np.sqrt((a + HEART / 2) ** 2 + b * b)
    return np.asarray(np.minimum(np.minimum(left, right) - HEART / 2, _box(a, b, HEART / 2)))


OUTLINES: tuple[Callable[[Singles, Singles], Singles], ...] = (square, ellipse, heart)
