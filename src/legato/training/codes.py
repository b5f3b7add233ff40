"""The population of training codes, summed up: what to draw from where no prior was trained for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from legato.batch import Batch
from legato.devices import doubled
from legato.model import LatentVariableModel
from legato.moments import FEWER, sketched, whole
from legato.types import Doubles, Floats

# training rows whose codes are summed up: of all, and of each class, of which there may be many
OF_ALL, OF_CLASS = 10_000, 2_000


@torch.no_grad()
def summarise(model: LatentVariableModel, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """Mean and covariance of the aggregate posterior (1/N)Σ q(z|xₙ): Cov(μ) + diag(E σ²); and E σ², (d,). See moments.py.

    With these, latent distances can be whitened, and an autoencoder sampled from a Gaussian fitted to its codes.
    """
    if not whole(math.prod(model.latent.event)):  # d × d numbers would fill the memory
        return _sketched(model, batches)
    shown = [model.summary(some.x, some.given) for some in batches]
    # double: where codes lie far from 0, a covariance in single precision has few digits
    mu = doubled(torch.cat([each.mu.flatten(1) for each in shown]))
    widths = [each.sigma.flatten(1) for each in shown if each.sigma is not None]
    noise = doubled(torch.cat(widths)).square().mean(0) if widths else torch.zeros_like(mu[0])
    centred = mu - mu.mean(0)  # before the product: the mean's square would swallow the digits of what is left
    return {"mean": mu.mean(0), "covariance": centred.T @ centred / len(mu) + torch.diag(noise), "noise": noise}


def enough(model: LatentVariableModel, rows: int) -> int:
    """The number of training rows, of so many, that `summarise` is to look at."""
    return rows if whole(math.prod(model.latent.event)) else min(rows, FEWER)


def _sketched(model: LatentVariableModel, batches: Iterable[Batch]) -> dict[str, Tensor]:
    squares: list[Doubles] = []
    counts: list[int] = []

    def means() -> Iterator[Floats]:
        for some in batches:
            shown = model.summary(some.x, some.given)
            squares.append(doubled(shown.width.flatten(1)).square().sum(0).cpu().numpy())
            counts.append(len(shown.mu))
            yield shown.mu.flatten(1).cpu().numpy()

    found = sketched(means())
    # Only now: the two lists fill while the sketch takes the batches in.
    noisy = found.with_noise(np.sum(squares, 0) / sum(counts))
    return {name: torch.from_numpy(array) for name, array in noisy.arrays().items()}
