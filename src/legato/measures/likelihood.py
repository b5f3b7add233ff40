"""What a model gives of each image: distortion, rate, and log p(x) by importance weighting, in nats per example.

Exactly the k draws asked for; the encoder runs once per batch; memory holds one chunk of decoded draws and k × batch weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legato.model import CHUNK, LatentVariableModel

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """One row per example. Without a density (an autoencoder) only `distortion` and `mu` are there."""

    distortion: Doubles  # −E_q log p(x|z), (n,), over the draws
    mu: Doubles  # posterior means, (n, d)
    rate: Doubles | None = None  # KL(q(z|x) ‖ p(z)), (n,)
    kl: Doubles | None = None  # the same per dimension, (n, d), where it has a closed form
    log_px: Doubles | None = None  # log (1/k)Σ w, (n,)
    ess: Doubles | None = None  # (Σw)²/Σw², between 1 and k


@torch.no_grad()
def score(model: LatentVariableModel, batches: Iterable[Tensor], k: int, seed: int = 0, chunk: int = CHUNK) -> Scores:
    """Scores every example of `batches` (in order) with exactly k draws each. The global generator is left as it was."""
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        rows = [_score_batch(model, x, k, chunk) for x in batches]
    return Scores(**{name: _join([row[name] for row in rows]) for name in rows[0]})


def _score_batch(model: LatentVariableModel, x: Tensor, k: int, chunk: int) -> dict[str, Tensor]:
    if not model.latent.has_density:
        trace = model(x)  # every draw of a point mass is the same
        return {"distortion": -trace.log_px[0], "mu": trace.rungs[0].q.mean.flatten(1)}
    log_w, total = [], torch.zeros(len(x), dtype=torch.double, device=x.device)
    for trace in model.chunks(x, k, chunk):
        total += trace.log_px.sum(0, dtype=torch.double)
        log_w.append(trace.log_w)
    weights = torch.cat(log_w).double()  # (k, B)
    log_sum = torch.logsumexp(weights, 0)
    rung = trace.rungs[0]
    kl = rung.kl_per_dimension
    return ({} if kl is None else {"kl": kl.flatten(1)}) | {
        "distortion": -total / k,
        "mu": rung.q.mean.flatten(1),
        "rate": trace.kl,
        "log_px": log_sum - float(np.log(k)),
        "ess": torch.exp(2 * log_sum - torch.logsumexp(2 * weights, 0)),
    }


def _join(parts: list[Tensor]) -> Doubles:
    return np.asarray(torch.cat(parts).double().cpu().numpy())
