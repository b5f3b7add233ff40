"""The population of training codes, summed up: what to draw from where no prior was trained for."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from legato.batch import Batch
from legato.model import LatentVariableModel

OF_ALL, OF_CLASS = 10_000, 2_000  # training rows whose codes are summed up


@torch.no_grad()
def summarise(model: LatentVariableModel, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """mean (d,) and covariance (d, d) of the aggregate posterior (1/N)Σ q(z|xₙ): Cov(μ) + diag(E σ²); and E σ², (d,).

    With these, latent distances can be whitened, and an autoencoder sampled from a Gaussian fitted to its codes.
    """
    shown = [model.summary(some.x, some.given) for some in batches]
    mu = torch.cat([each.mu.flatten(1) for each in shown]).double()
    widths = [each.sigma.flatten(1) for each in shown if each.sigma is not None]
    noise = torch.cat(widths).double().square().mean(0) if widths else torch.zeros_like(mu[0])
    centred = mu - mu.mean(0)
    return {"mean": mu.mean(0), "covariance": centred.T @ centred / len(mu) + torch.diag(noise), "noise": noise}
