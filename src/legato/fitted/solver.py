"""Ways along dx/dt = v(x, t): Euler's and Heun's equal steps, and steps that fit themselves to a tolerance.

A function of state and time gives its slope; the state may be one tensor or, with a density, two. Covered: either direction of
time. Not covered: what the slope is (matching.py).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor

from legato.errors import Mistake
from legato.forward_mode import changed, prepare

State = tuple[Tensor, ...]
Slope = Callable[[State, float], State]
Method = Literal["euler", "heun", "adaptive"]
SAFETY, LEAST, MOST = 0.9, 0.2, 5.0  # of a step's next length: below what the error allows, and no jump
SHORTEST = 1e-4  # of the whole way: a slope that asks for shorter steps is no velocity that was learnt


def solve(
    slope: Slope, state: State, begin: float, end: float, method: Method = "heun", steps: int = 32, within: float = 1e-3
) -> State:
    """The state at `end` of what is `state` at `begin`.

    `steps`: of Euler's (one slope each) and Heun's (two) method; `within`: the error that an adaptive step may make in a number
    of size 1 (Bogacki & Shampine 1989, https://doi.org/10.1016/0893-9659(89)90079-7, order 3 with an error of order 2).
    Raises `Mistake` for another method, for no steps, and where steps become too short.
    """
    if method not in get_args(Method):
        raise Mistake(f"`method` is one of {', '.join(get_args(Method))}, got {method!r}")
    if method == "adaptive":
        return _adaptive(slope, state, begin, end, within)
    if steps < 1:
        raise Mistake(f"`steps` is a number of steps, 1 or more; got {steps}")
    step = _euler if method == "euler" else _heun
    times = [begin + (end - begin) * i / steps for i in range(steps + 1)]
    for at, then in pairwise(times):
        state = step(slope, state, at, then - at)
    return state


def _moved(state: State, by: float, *slopes: tuple[float, State]) -> State:
    """state + by · Σ weight · slope."""
    return tuple(x + by * sum(weight * slope[i] for weight, slope in slopes) for i, x in enumerate(state))


def _euler(slope: Slope, state: State, at: float, by: float) -> State:
    return _moved(state, by, (1.0, slope(state, at)))


def _heun(slope: Slope, state: State, at: float, by: float) -> State:
    first = slope(state, at)
    return _moved(state, by, (0.5, first), (0.5, slope(_moved(state, by, (1.0, first)), at + by)))


def _adaptive(slope: Slope, state: State, begin: float, end: float, within: float) -> State:
    at, way = begin, end - begin
    by, first = way / 16, slope(state, begin)
    while abs(end - at) > 1e-9 * abs(way):
        by = end - at if abs(by) > abs(end - at) else by
        second = slope(_moved(state, by, (0.5, first)), at + by / 2)
        third = slope(_moved(state, by, (0.75, second)), at + 0.75 * by)
        then = _moved(state, by, (2 / 9, first), (1 / 3, second), (4 / 9, third))
        fourth = slope(then, at + by)
        other = _moved(state, by, (7 / 24, first), (1 / 4, second), (1 / 3, third), (1 / 8, fourth))
        # the root mean square over all numbers of a state: one step for all examples, so that a batch is one computation
        error = max(float(((a - b) / (1 + a.abs())).square().mean().sqrt()) for a, b in zip(then, other, strict=True)) / within
        if error <= 1:
            at, state, first = at + by, then, fourth
        by *= min(MOST, max(LEAST, SAFETY * (error + 1e-12) ** (-1 / 3)))
        if abs(by) < SHORTEST * abs(way) and abs(end - at) > abs(by):
            raise Mistake(
                "the velocity changes too quickly to be followed: fit the prior anew, for longer or with another seed"
            )
    return state


def divergence(velocity: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """v(x) and tr ∂v/∂x of rows (n, d), exactly: one Jacobian–vector product for each dimension; (n, d) and (n,)."""
    axes = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)

    def along(axis: Tensor) -> tuple[Tensor, Tensor]:
        value, change = changed(velocity, x, axis.expand_as(x))
        return value, (change * axis).sum(1)

    prepare()  # outside of the map, which its own tensors are no part of
    value, parts = torch.func.vmap(along, out_dims=(None, 0))(axes)  # type: ignore[arg-type]  # one v(x) for all axes
    return value, parts.sum(0)


def estimated_divergence(velocity: Callable[[Tensor], Tensor], x: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    """v(x) and uᵀ(∂v/∂x)u with u = ±1 (n, d): its mean over u is the trace. Hutchinson 1989."""
    value, change = changed(velocity, x, signs)
    return value, (change * signs).sum(1)
