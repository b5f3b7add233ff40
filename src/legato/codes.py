"""Codes by themselves, without a model: what their dimensions are called, and what lies between two.

A dimension is called z0, z1, … wherever a person reads of one: on pages, in pictures, tables and lines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.arguments import numbers
from legato.errors import Mistake


def name_of(dimension: int) -> str:
    """z0 for the first."""
    return f"z{dimension}"


def names_of(count: int) -> str:
    """All of a model's dimensions in a few letters: z0 … z31."""
    return name_of(0) if count == 1 else f"{name_of(0)} … {name_of(count - 1)}"


def told(event: Sequence[int]) -> str:
    """The size of a code, and the order in which its numbers stand in a row."""
    count = math.prod(event)
    if len(event) == 1:
        return f"{count} dimensions"
    return f"{count} dimensions, {' × '.join(map(str, event))} in a row: {name_of(0)} … run along the last side first"


def missing(dimension: int, count: int) -> Mistake:
    """The mistake of naming a dimension that a model of `count` does not have."""
    return Mistake(f"there is no dimension {name_of(dimension)}: the model has {names_of(count)}")


def dimensions(named: Sequence[int], count: int) -> list[int]:
    """Dimensions by their numbers. Raises `Mistake` for one that a model of `count` does not have."""
    chosen = numbers(named, "dims")
    if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu":
        raise Mistake(f"`dims` must be a list of numbers of dimensions, such as [0, 1], got {named!r}")
    for dimension in chosen:
        if not 0 <= dimension < count:
            raise missing(int(dimension), count)
    return [int(dimension) for dimension in chosen]


def number_of(name: str) -> int:
    """3 of z3, or of 3. Raises `Mistake` for what names no dimension."""
    found = re.fullmatch(r"z?(\d{1,9})", name.strip())
    if found is None:
        raise Mistake(f"`{name}` names no dimension: give z0, z1, … or 0, 1, …")
    return int(found[1])


def stops_of(stops: NDArray[Any], steps: int, count: int) -> NDArray[np.float64]:
    """The stops of a path, codes (n, count), exactly. Raises `Mistake` for another shape, and for less than 2 of any."""
    codes = numbers(stops, "stops").astype(np.float64)  # so that float32 ends come back exactly
    if codes.ndim != 2 or codes.shape[1] != count:
        raise Mistake(f"`stops` must be codes (n, {count}), got the shape {codes.shape}: encode(x)[0] gives them")
    if len(codes) < 2 or steps < 2:
        raise Mistake(f"a path needs 2 stops and 2 steps or more, got {len(codes)} stops and {steps} steps")
    return codes


def path(stops: NDArray[Any], steps: int, spherical: bool) -> NDArray[np.float64]:
    """Codes from stop to stop (n, d), each leg in `steps` codes that share its ends: ((n − 1)(steps − 1) + 1, d)."""
    between = slerp if spherical else lerp
    legs = [np.stack([between(a, b, alpha) for alpha in np.linspace(0, 1, steps)]) for a, b in pairwise(stops)]
    return np.concatenate([legs[0], *(leg[1:] for leg in legs[1:])])  # each stop once, though two legs share it


def spread(steps: int, span: float) -> NDArray[np.float64]:
    """Places from −span to span, (steps,). Raises `Mistake` for less than 2."""
    if steps < 2:
        raise Mistake(f"a traversal needs 2 steps or more, got {steps}")
    return np.linspace(-span, span, steps)


def swept(start: NDArray[Any], dims: Sequence[int], mean: NDArray[Any], moves: NDArray[Any]) -> NDArray[Any]:
    """Codes (len(dims), steps, d) that lie at `start` but for one dimension each, at mean + moves (steps, d).

    Raises `Mistake` for a start that is no code.
    """
    if start.shape != mean.shape:
        raise Mistake(f"`anchor` must be a code of {len(mean)} numbers, got the shape {start.shape}: see encode(x)[0]")
    codes = np.tile(start, (len(dims), len(moves), 1))
    for row, dim in enumerate(dims):
        codes[row, :, dim] = mean[dim] + moves[:, dim]
    return codes.astype(np.float32)


def lerp(a: NDArray[Any], b: NDArray[Any], alpha: float) -> NDArray[Any]:
    """(1 − α)a + αb."""
    return (1 - alpha) * a + alpha * b


def slerp(a: NDArray[Any], b: NDArray[Any], alpha: float) -> NDArray[Any]:
    """(sin((1−α)ω) a + sin(αω) b)/sin ω, ω the angle between a and b; linear where they are (anti)parallel.

    Keeps to the shell where a high-dimensional normal lives. White 2016, https://arxiv.org/abs/1609.04468.
    """
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    omega = np.arccos(np.clip(np.dot(a, b) / norms, -1, 1)) if norms > 0 else 0.0  # rounding may step beyond ±1
    if np.sin(omega) < 1e-6:  # else 0/0
        return lerp(a, b, alpha)
    return np.asarray((np.sin((1 - alpha) * omega) * a + np.sin(alpha * omega) * b) / np.sin(omega))


def grid_of(codes: NDArray[Any]) -> NDArray[np.float64]:
    """Codes (N, C, h, w) as they are, codes (N, d) as d channels of one place. Raises `Mistake` for others, and on NaN."""
    found = numbers(codes, "codes").astype(np.float64)
    if found.ndim not in (2, 4) or not found.size:
        raise Mistake(f"`codes` must be (N, d) or (N, C, h, w), got {found.shape}")
    if broken := int((~np.isfinite(found)).reshape(len(found), -1).any(1).sum()):
        raise Mistake(f"{broken} of {len(found)} codes are not finite: the run diverged, train it anew")
    return found if found.ndim == 4 else found[:, :, None, None]
