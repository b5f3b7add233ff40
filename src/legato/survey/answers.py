"""Answers of a person's functions, read as arrays: codes, images, nats.

Covered: arrays, tensors, pairs (μ, σ), torch distributions, objects with `.mean` and `.stddev` (or `.std`).
Not covered: calling them (calling.py); what is not finite, or has another number of rows, is refused here in one line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from legato.errors import Mistake
from legato.types import Floats

CODES = "expected μ, a pair (μ, σ), a torch Normal, or an object with `.mean` and `.stddev`"


def codes(answer: Any) -> tuple[Floats, Floats]:
    """μ and σ, (n, *latent) each; σ = 0 where the answer has no width. Raises `Mistake` where it is no diagonal Gaussian."""
    mean, width = _mean_and_width(answer)
    mu = array(mean, "encode")
    sigma = np.zeros_like(mu) if width is None else array(width, "encode")
    if mu.ndim < 2 or sigma.shape != mu.shape:
        raise Mistake(f"`encode` gave μ {mu.shape} and σ {sigma.shape}: expected (n, d) or (n, C, h, w), both alike")
    # A log-variance read as σ is the usual mistake, and is below 0 for every posterior narrower than the prior.
    if (sigma < 0).any():
        raise Mistake("`encode` gave a σ below 0: it must be a standard deviation; of a log-variance it is exp(½ log σ²)")
    _check_gaussian(answer, sigma)
    return mu, sigma


def _mean_and_width(answer: Any) -> tuple[Any, Any]:
    if isinstance(answer, np.ndarray | Tensor):
        return answer, None
    if isinstance(answer, tuple | list):
        if len(answer) != 2:
            raise Mistake(f"`encode` gave {len(answer)} things: {CODES}")
        return answer[0], answer[1]
    if not hasattr(answer, "mean"):
        raise Mistake(f"`encode` gave a {type(answer).__name__}: {CODES}")
    # torch's Normal has `stddev`; diffusers' distribution has `std`
    return answer.mean, getattr(answer, "stddev", getattr(answer, "std", None))


def _check_gaussian(answer: Any, sigma: Floats) -> None:
    base = answer
    # Independent only says which axes are summed; what counts is the distribution within.
    while isinstance(base, Independent):
        base = base.base_dist
    # Draws and densities below are those of N(μ, diag σ²): another distribution's first two moments would give wrong ones.
    if isinstance(base, Distribution) and not isinstance(base, Normal) and sigma.any():
        raise Mistake(f"`encode` gave a {type(base).__name__}: the measures know points and Normals with a diagonal covariance")


def images(answer: Any) -> Floats:
    """Decoded means, (n, *shape)."""
    return array(mean_of(answer), "decode")


def mean_of(answer: Any) -> Any:
    """A distribution's mean; anything else is its own."""
    return answer.mean if isinstance(answer, Distribution) else answer


def nats(answer: Any) -> NDArray[np.float64]:
    """log p(x|z), (n,)."""
    # double precision: a difference of two such sums of some hundred nats is what is looked at
    found = array(answer, "log_px").astype(np.float64)
    if found.ndim != 1:
        raise Mistake(f"`log_px` gave {found.shape}: expected (n,), the sum over each image's own pixels, in nats")
    return found


def array(values: Any, name: str) -> Floats:
    """The values in single precision. Raises `Mistake` where it holds no numbers, or NaN, or infinity."""
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()  # float first: NumPy has no bfloat16
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise Mistake(f"`{name}` gave a {type(values).__name__}: expected a NumPy array or a torch tensor of real numbers")
    # told here, by row and by name: further on it would be one NaN for a whole figure
    if broken := int((~np.isfinite(values)).reshape(len(values), -1).any(1).sum()):
        raise Mistake(
            f"`{name}` gave NaN or infinite values in {broken} of {len(values)} rows: the model diverged, or its input"
        )
    return np.asarray(values, np.float32)
