"""The page's seeded draws, written once more from their definition: mulberry32, then Box and Muller."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

WORD = 0xFFFFFFFF


def uniform(seed: int) -> Iterator[float]:
    """Numbers in [0, 1)."""
    state = seed & WORD
    while True:
        state = (state + 0x6D2B79F5) & WORD
        mixed = ((state ^ (state >> 15)) * (state | 1)) & WORD
        mixed ^= (mixed + (((mixed ^ (mixed >> 7)) * (mixed | 61)) & WORD)) & WORD
        yield ((mixed ^ (mixed >> 14)) & WORD) / 2**32


def normals(seed: int, count: int) -> NDArray[np.float32]:
    """Independent draws from N(0, 1), (count,)."""
    drawn, numbers = [], uniform(seed)
    while len(drawn) < count:
        radius, angle = math.sqrt(-2 * math.log(1 - next(numbers))), 2 * math.pi * next(numbers)
        drawn += [radius * math.cos(angle), radius * math.sin(angle)]
    return np.array(drawn[:count], np.float32)
