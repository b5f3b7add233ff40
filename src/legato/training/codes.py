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
from legato.moments import FEWER, sketched
from legato.moments import whole as whole_moments
from legato.ranks import sharing, whole
from legato.types import Doubles, Floats

# training rows whose codes are summed up: of all, and of each class, of which there may be many
OF_ALL, OF_CLASS = 10_000, 2_000


@torch.no_grad()
def summarise(model: LatentVariableModel, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """Mean and covariance of the aggregate posterior (1/N)Σ q(z|xₙ): Cov(μ) + diag(E σ²); and E σ², (d,). See moments.py.

    With these, latent distances can be whitened, and an autoencoder sampled from a Gaussian fitted to its codes.
    """
    if not whole_moments(math.prod(model.latent.event)):  # d × d numbers would fill the memory
        return _sketched(model, batches)
    shown = [_summary(model, some) for some in batches]
    # double: where codes lie far from 0, a covariance in single precision has few digits
    mu, width = (doubled(torch.cat(each)) for each in zip(*shown, strict=True))
    noise = width.square().mean(0)
    centred = mu - mu.mean(0)  # before the product: the mean's square would swallow the digits of what is left
    return {"mean": mu.mean(0), "covariance": centred.T @ centred / len(mu) + torch.diag(noise), "noise": noise}


def _summary(model: LatentVariableModel, some: Batch) -> tuple[Tensor, Tensor]:
    """μ and σ of a batch, (B, d), of which each rank computes its part."""
    with sharing(len(some)) as share:
        mine = some[share.part]
        shown = model.summary(mine.x, mine.given)
        return whole(shown.mu.flatten(1)), whole(shown.width.flatten(1))


def enough(model: LatentVariableModel, rows: int) -> int:
    """The number of training rows, of so many, that `summarise` is to look at."""
    return rows if whole_moments(math.prod(model.latent.event)) else min(rows, FEWER)


def _sketched(model: LatentVariableModel, batches: Iterable[Batch]) -> dict[str, Tensor]:
    squares: list[Doubles] = []
    counts: list[int] = []

    def means() -> Iterator[Floats]:
        for some in batches:
            mu, width = _summary(model, some)
            squares.append(doubled(width).square().sum(0).cpu().numpy())
            counts.append(len(mu))
            yield mu.cpu().numpy()

    found = sketched(means())
    # Only now: the two lists fill while the sketch takes the batches in.
    noisy = found.with_noise(np.sum(squares, 0) / sum(counts))
    return {name: torch.from_numpy(array) for name, array in noisy.arrays().items()}
