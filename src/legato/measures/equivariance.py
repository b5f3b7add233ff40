"""Equivariance of an encoder or a decoder: whether what is done to the one side may as well be done to the other.

    E‖f(T x) − T f(x)‖²/E‖T f(x) − T f(x′)‖²,  x′ another example: 0 is exact, 1 is unrelated

The denominator is that of moved codes, so that 1 means unrelated for scale too, where pooling narrows codes; for flips and
turns it is E‖f(x) − f(x′)‖². Spaces of equivariant autoencoders are easier to generate: Kouzelis et al. 2025,
https://arxiv.org/abs/2502.09509; Skorokhodov et al. 2025, https://arxiv.org/abs/2502.14831. Covered: scale by average pooling,
flips, quarter turns, shifts by the downsampling factor, of grids (N, C, h, w). Not covered: codes without places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.measures.distances import at_both_ends, partners, relative
from legato.measures.estimate import Estimate, absent, bootstrap
from legato.types import Doubles, Floats

Grids = NDArray[Any]  # (N, C, h, w)
UNIT = "share of an unrelated one's"


@dataclass(frozen=True)
class Move:
    """A change T of a picture, and of its code. `fits`: the reason why grids of a size (h, w) cannot be changed so, or None.

    `compared`: the part of a moved grid that both sides know; all of it but where a shift brings in what nobody saw.
    """

    name: str
    apply: Callable[[Grids, int], Grids]  # grids, and how many of their places a place of the code is
    fits: Callable[[int, int], str | None]
    compared: Callable[[Grids, int], Grids] = lambda grids, step: grids


def halved(grids: Grids, step: int = 1) -> Grids:
    """Average pooling by 2, the divisor 4."""
    n, channels, height, width = grids.shape
    return np.asarray(grids.reshape(n, channels, height // 2, 2, width // 2, 2).mean((3, 5)), grids.dtype)


def flipped(grids: Grids, step: int = 1) -> Grids:
    """Left becomes right."""
    return np.ascontiguousarray(grids[..., ::-1])


def turned(grids: Grids, step: int = 1) -> Grids:
    """A quarter turn."""
    return np.ascontiguousarray(np.rot90(grids, axes=(2, 3)))


def shifted(grids: Grids, step: int = 1) -> Grids:
    """`step` places to the right; what comes in from the left repeats the edge."""
    return np.concatenate([np.repeat(grids[..., :1], step, 3), grids[..., :-step]], 3)


def _even(height: int, width: int) -> str | None:
    return None if height % 2 == width % 2 == 0 else f"{height} × {width} places cannot be halved"


def _any(height: int, width: int) -> str | None:
    return None if width > 1 else "there is one place a row"


def _square(height: int, width: int) -> str | None:
    return None if height == width > 1 else f"{height} × {width} places have no quarter turn"


MOVES = (
    Move("scale", halved, _even),
    Move("flip", flipped, _any),
    Move("shift", shifted, _any, lambda grids, step: grids[..., step:]),
    Move("turn", turned, _square),
)


def equivariance(moved: Grids, expected: Grids, seed: int = 0, method: str = "") -> Estimate:
    """E‖f(T x) − T f(x)‖²/E‖T f(x) − T f(x′)‖² from f(T x) and T f(x), (n, …) each; bootstrap over examples with both ends.

    Raises `Mistake` where the two have other shapes.
    """
    if moved.shape != expected.shape:
        raise Mistake(f"a moved code must have the shape of the code that is moved: {moved.shape} and {expected.shape}")
    method = method or "E|f(Tx) - T f(x)|^2 / E|T f(x) - T f(x')|^2"
    error, others = _squares(moved, expected), partners(len(expected), seed)
    whole = at_both_ends(np.stack([_squares(expected, expected[row]) for row in others]), others)
    if not whole.any():
        return absent("the codes of all images are alike: there is nothing to compare with", UNIT, method)
    value = float(error.mean() / whole.mean())
    return bootstrap(lambda weights: relative(error, whole, weights), value, len(error), UNIT, method)


def unrelated(moved: Grids, expected: Grids, seed: int = 0) -> Estimate:
    """The control: the same with each moved code beside another example's, 1 but for chance where moves leave codes alike."""
    return equivariance(moved, expected[partners(len(expected), seed)[0]], seed)


def _squares(a: Floats, b: Floats) -> Doubles:
    apart = np.asarray(a, np.float64) - b
    return np.asarray(np.square(apart).reshape(len(a), -1).sum(1))
