"""What training is judged by, whatever its objective: the ELBO at β = 1 (an autoencoder: the distortion), per dimension too.

Covered: one draw per image with a fixed seed, on the averaged weights. Not covered: final figures with intervals (measures/).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from legato.devices import drawing
from legato.distributions.solved import mean_square
from legato.families import Homoscedastic
from legato.model import LatentVariableModel
from legato.trace import Trace

SEED = 20131220
SCALE_SEED = SEED + 1  # training images are drawn with a noise of their own
IMAGES = 1000  # of the validation split: ±0.8 nats on MNIST, and some hundredths of a second


@torch.no_grad()
def validate(model: LatentVariableModel, batches: Iterable[Tensor]) -> dict[str, Any]:
    """distortion, rate, elbo (nats per image); per latent dimension: σ, Std μ, KL. None where a point mass has none.

    σ is the geometric mean over images, as everywhere: the one average that is the same of widths and of precisions.
    """
    with drawing(_device(model), SEED):
        seen = [_read(model(x), model.latent.has_density) for x in batches]
    distortion, mu, sigma = (torch.cat(column) for column in list(zip(*seen, strict=True))[:3])
    found = {"distortion": distortion.mean().item(), "std_mu": _list(mu.std(0, unbiased=False))}
    if not model.latent.has_density:
        return {**found, "rate": None, "elbo": None, "sigma": None, "kl": None}
    rate = torch.cat([rate for *_, rate, _ in seen if rate is not None])
    kl = [kl for *_, kl in seen if kl is not None]
    return {
        **found,
        "rate": rate.mean().item(),
        "elbo": -(distortion + rate).mean().item(),
        "sigma": _list(sigma.log().mean(0).exp()),
        "kl": _list(torch.cat(kl).mean(0)) if kl else None,
    }


@torch.no_grad()
def solve_scale(model: LatentVariableModel, batches: Iterable[Tensor]) -> None:
    """Solves a `solved` likelihood scale on training data and freezes it: σ² = mean (x − decoded mean of a draw)².

    A mean over examples, however they are cut into batches: the last batch is often a shorter one.
    """
    family = model.likelihood.family
    if not isinstance(family, Homoscedastic) or family.how != "solved":
        return
    with drawing(_device(model), SCALE_SEED):
        seen = [(len(trace.x), _mean_square(trace, family.log_scale.ndim == 1)) for trace in map(model, batches)]
    family.solve(torch.stack([n * square for n, square in seen]).sum(0) / sum(n for n, _ in seen))


def _mean_square(trace: Trace, per_column: bool) -> Tensor:
    return mean_square((trace.x - trace.likelihood.mean[0]).double() ** 2, per_column)


def _read(trace: Trace, has_density: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """−log p(x|z) (B,); μ and σ (B, d); the rate (B,) and KL per dimension (B, d) where the posterior has a density."""
    rung = trace.rungs[0]
    kl = rung.kl_per_dimension if has_density else None
    return (
        -trace.log_px[0].double(),
        rung.q.mean.flatten(1).double(),
        rung.q.stddev.flatten(1).double(),
        trace.kl.double() if has_density else None,
        None if kl is None else kl.flatten(1).double(),
    )


def _device(model: LatentVariableModel) -> torch.device:
    return next(model.parameters()).device


def _list(values: Tensor) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]
