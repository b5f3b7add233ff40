"""Latent dimensions in an order: the most informative first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from legato.moments import Moments


def by_spread(known: Moments) -> list[int]:
    """By Std μ of the training codes."""
    return _falling(known.variances - known.noise)  # the means' variance alone


def by_validation(metrics: Sequence[Mapping[str, Any]], dimensions: int, charged: bool) -> list[int]:
    """By KL at the last validation of a run, by Std μ where there is no KL or nobody was `charged` for it."""
    last = next((m["validation"] for m in reversed(metrics) if "validation" in m), None)
    if last is None:
        return list(range(dimensions))
    # A rate that nobody paid for tells how far σ shrank, not what a dimension knows.
    return _falling(np.asarray(last["std_mu"] if last["kl"] is None or not charged else last["kl"]))


def _falling(by: Any) -> list[int]:
    return [int(i) for i in np.argsort(-by, kind="stable")]  # stable: equals keep their order on any machine
