"""The way there and back: how far encode(decode(z)) lies from z.

Covered: the distance, in units in which that of an unrelated code is known. Not covered: images, whose way back is the
distortion, in nats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.measures.distances import euclidean
from legato.measures.estimate import Estimate, mean_over
from legato.measures.whitening import Whitening
from legato.types import Doubles


def cycle_errors(codes: NDArray[Any], again: NDArray[Any], whitening: Whitening) -> Doubles:
    """‖S^{-½}(encode(decode(z)) − z)‖/√d for codes (n, d): (n,). 0 is the same code, √2 about that of an unrelated one."""
    return np.asarray(euclidean(whitening.apply(again), whitening.apply(codes)) / np.sqrt(whitening.latent_dim))


def code_cycle(codes: NDArray[Any], again: NDArray[Any], whitening: Whitening) -> Estimate:
    """The mean of these errors. At draws of the prior it tells whether the encoder knows what the decoder does there."""
    return mean_over(cycle_errors(codes, again, whitening), "standard deviations", "|S^-1/2 (encode(decode(z)) - z)| / sqrt(d)")
