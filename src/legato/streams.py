"""Random streams: a generator of its own for each purpose, so that two draws that should be independent are.

One seed and two purposes give two streams; the same seed and the same purpose the same one, in any process and for any model:
so models are compared on the same draws. Where two populations are drawn (training and test codes, codes and prior) each has a
purpose of its own, by name: with one stream for both, every row of one would have the noise of a row of the other.
"""

from __future__ import annotations

import numpy as np


def random_stream(seed: int, purpose: str, of: str = "") -> np.random.Generator:
    """The generator of `purpose`, for the population `of` where there are several."""
    key = purpose if not of else f"{purpose} of {of}"
    return np.random.default_rng([seed, *key.encode()])  # the bytes themselves, no `hash`, which Python salts
