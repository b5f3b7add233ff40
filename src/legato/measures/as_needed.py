"""Draws by need: as many as each example's weights ask for, and annealing where no number would do (`evaluate --k auto`).

An average of importance weights is governed by its largest where their tail is heavy, and more draws hardly help: k̂ is the
tail's shape, which no number of draws changes. So an example gets draws until its weights are seen to be light, and is annealed
where they are not. How many, that is chosen by draws which are then thrown away; log p(x) is estimated with fresh ones. To keep
those whose weights looked well would be to choose an estimate by its own error: E w of the chosen is not p(x). With fresh draws
the expected bound of each example, at the k it got or of its annealing, is at most its log p(x), and so is the mean of all.

Covered: one group of Gaussian latents; other posteriors get the most draws instead of annealing. Not covered: the lightest tail
that is still one (a posterior of two modes, one of which no draw found, looks light).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legato.batch import Batch
from legato.errors import Mistake
from legato.measures.annealed import Effort, anneal
from legato.measures.likelihood import Scores, Some, log_weights, score_batch, scores_of
from legato.measures.posterior import gaussian_posterior, is_gaussian, log_joint, still
from legato.measures.tails import pareto_k, settled
from legato.model import LatentVariableModel
from legato.streams import random_stream
from legato.types import Integers

# half the temperatures of `Effort`: only examples whose weights are heavy pay for it
ANNEALING = Effort(chains=8, temperatures=50, leapfrogs=3)


@dataclass(frozen=True)
class Ladder:
    """Numbers of draws: `first`, doubled while the weights' tails are heavy, to at most `most`; then annealing."""

    first: int = 250
    most: int = 1000
    annealing: Effort = ANNEALING

    def __post_init__(self) -> None:
        # below 21 draws no tail can be fitted, so that nothing would be known of the weights
        if not 21 <= self.first <= self.most:
            raise Mistake(f"the first number of draws is 21 or more and at most the last, got {self.first} and {self.most}")

    def __str__(self) -> str:
        return f"{self.first:,} to {self.most:,}"


LADDER = Ladder()


@torch.no_grad()
def score_as_needed(
    model: LatentVariableModel, batches: Iterable[Some], seed: int = 0, ladder: Ladder = LADDER, chunk: int | None = None
) -> Scores:
    """Scores every example of `batches` (in order), each with as many draws as it needs: `draws`, 0 where it is annealed.

    The others of its figures are then from `ladder.first` draws; it has no k̂ (NaN). Raises `Mistake` for a point mass.
    """
    with still(model, seed) as device:
        # A stream of its own: whether one example is annealed must not move the draws of the others.
        generator = torch.Generator(device).manual_seed(int(random_stream(seed, "annealing").integers(2**62)))
        return scores_of([_batch(model, Batch.of(some), ladder, generator, chunk) for some in batches])


def _batch(
    model: LatentVariableModel, batch: Batch, ladder: Ladder, generator: torch.Generator, chunk: int | None
) -> dict[str, Tensor]:
    needed = draws_needed(model, batch, ladder, chunk)
    groups = [(k, torch.from_numpy(np.flatnonzero(needed == k)).to(batch.x.device)) for k in np.unique(needed)]
    parts = [
        _weighted(model, batch[rows], int(k), chunk) if k else _annealed(model, batch[rows], ladder, generator, chunk)
        for k, rows in groups
    ]
    # Groups come by their number of draws; the caller's order is that of the batch.
    back = torch.cat([rows for _, rows in groups]).argsort()  # argsort of a permutation is its inverse
    return {name: torch.cat([part[name] for part in parts])[back.to(parts[0][name].device)] for name in parts[0]}


@torch.no_grad()
def draws_needed(model: LatentVariableModel, some: Some, ladder: Ladder = LADDER, chunk: int | None = None) -> Integers:
    """The number of draws that each of B examples needs, (B,); 0: annealing. From torch's generator; all draws are dropped.

    k is settled where k̂ of the draws so far and of as many again, k each, both say so: one alone says so by chance for some.
    """
    batch = Batch.of(some)
    needed = np.zeros(len(batch), np.int64)
    left, k, drawn = np.arange(len(batch)), ladder.first, _log_weights(model, batch, ladder.first, chunk)
    while len(left) and k <= ladder.most:
        again = _log_weights(model, batch[torch.from_numpy(left).to(batch.x.device)], k, chunk)
        # The larger of two: a single k̂ of light-looking weights may have missed the one that is heavy.
        light = np.maximum(_shapes(drawn), _shapes(again)) <= settled(k)
        needed[left[light]] = k
        left, drawn, k = left[~light], np.concatenate([drawn, again])[:, ~light], 2 * k
    # Annealing starts at a Gaussian q with a known density; other posteriors get the most draws in its place.
    if not is_gaussian(model, batch[:1].x, batch[:1].given):
        # What is still heavy stays 0 for a Gaussian posterior, which is the sign for annealing.
        needed[left] = ladder.most
    return needed


def _log_weights(model: LatentVariableModel, batch: Batch, k: int, chunk: int | None) -> NDArray[np.float64]:
    return np.asarray(log_weights(model, batch, k, chunk).cpu().numpy())


def _shapes(log_w: NDArray[np.float64]) -> NDArray[np.float64]:
    found = pareto_k(log_w)
    assert found is not None
    return found


def _weighted(model: LatentVariableModel, batch: Batch, k: int, chunk: int | None) -> dict[str, Tensor]:
    return {**score_batch(model, batch, k, chunk), "draws": torch.full((len(batch),), k)}


def _annealed(
    model: LatentVariableModel, batch: Batch, ladder: Ladder, generator: torch.Generator, chunk: int | None
) -> dict[str, Tensor]:
    mu, sigma = gaussian_posterior(model, batch.x, batch.given)
    found = anneal(log_joint(model, batch.x, batch.given), mu, sigma, ladder.annealing, generator)
    # Annealing gives the bound alone; distortion and rate are plain means over draws, which few of them settle.
    scored = score_batch(model, batch, ladder.first, chunk)
    bounds = torch.from_numpy(found.lower).to(scored["log_px"])
    # NaN and not 0: annealed examples have no weights, and 0 would say that they are the best of weights
    nothing = torch.full((len(batch),), torch.nan, dtype=torch.double)
    return {**scored, "log_px": bounds, "k_hat": nothing, "draws": torch.zeros(len(batch), dtype=torch.long)}
