"""There and back: how far encode(decode(z)) lies from z, and decode(encode(x)) from x.

Covered: both distances, in units in which an unrelated code or image is known. Not covered: nats (the distortion).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.measures.distances import apart, euclidean, relative
from legato.measures.estimate import Estimate, absent, bootstrap, mean_over
from legato.measures.whitening import Whitening
from legato.types import Doubles


def cycle_errors(codes: NDArray[Any], again: NDArray[Any], whitening: Whitening) -> Doubles:
    """‖S^{-½}(encode(decode(z)) − z)‖/√d for codes (n, d): (n,). 0 is the same code, √2 about that of an unrelated one."""
    return np.asarray(euclidean(whitening.apply(again), whitening.apply(codes)) / np.sqrt(whitening.latent_dim))


def code_cycle(codes: NDArray[Any], again: NDArray[Any], whitening: Whitening) -> Estimate:
    """Their mean. At draws of the prior it tells whether the encoder knows what the decoder does there."""
    return mean_over(cycle_errors(codes, again, whitening), "standard deviations", "|S^-1/2 (encode(decode(z)) - z)| / sqrt(d)")


def image_cycle(images: NDArray[Any], again: NDArray[Any], seed: int = 0) -> Estimate:
    """E d(x, decode(encode(x)))/E d(x, x′) for images (n, *data), x′ another one: 0 is the same image, 1 an unrelated one."""
    method, unit = "E d(x, decode(encode(x))) / E d(x, x'), Euclidean", "share of the distance between images"
    errors, whole = euclidean(images, again), apart(images, seed)
    if not whole.any():
        return absent("all images are the same", unit, method)
    value = float(errors.mean() / whole.mean())
    return bootstrap(lambda weights: relative(errors, whole, weights), value, len(errors), unit, method)
