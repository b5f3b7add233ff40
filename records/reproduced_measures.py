"""Measures of the reproductions: −log p(x) by importance weights, Fréchet distance of samples, the mutual information gap.

One estimator for all models, whoever trained them. Covered: what records/reproductions.py compares. Not covered: training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture
from torch import Tensor

from legato.data.factors import ORDERED, factors_of
from legato.devices import drawing
from legato.measures.digits import DigitFeatures
from legato.measures.disentanglement.information import scores
from legato.measures.disentanglement.known import Known
from legato.measures.fidelity import frechet
from legato.measures.likelihood import effective_sample_size
from legato.model import LatentVariableModel

FEW = 10  # draws for every test example; what all draws add to these is measured on some
SEED, COMPONENTS = 1, 10  # of a mixture of Gaussians that samples are drawn from, as in the paper
Figures = dict[str, float]


@dataclass(frozen=True)
class Sample:
    """What is measured on: x (n, *data) as models see it, places that get all `k` draws, grey pictures, ids, training x."""

    x: Tensor
    some: NDArray[Any]
    k: int
    grey: NDArray[Any]
    ids: list[str]
    training: NDArray[Any]


@torch.no_grad()
def nll(model: LatentVariableModel, weights: Callable[[Tensor, int], Tensor], sample: Sample) -> Figures:
    """−log (1/k) Σ w, nats: its mean over all test examples at k = 10, and what k draws add, measured on some of them.

    The sum is an unbiased estimate of the mean over all at k; `half`, of the 95 % interval, is of the second part, the only one
    that is a sample. `elbo` is the mean of log w, of all.
    """
    with drawing(torch.device("cpu"), SEED):
        few = [weights(x, FEW).double() for x in sample.x.split(250)]
        low = torch.cat([bound(w) for w in few])
        chosen = torch.from_numpy(sample.some)
        many = [weights(x, sample.k).double() for x in sample.x[chosen].split(5)]
    more = torch.cat([bound(w) for w in many]) - low[chosen]
    ess = torch.cat([effective_sample_size(w) for w in many])
    half = 1.96 * float(more.std()) / math.sqrt(len(more))
    elbo = torch.cat([w.mean(0) for w in few]).mean()
    found = {"nll": -float(low.mean() + more.mean()), "half": half, "elbo": float(elbo), "ess": float(ess.mean())}
    return {name: round(value, 4) for name, value in found.items()}


def bound(log_w: Tensor) -> Tensor:
    """log (1/k) Σ w, (k, B) -> (B,)."""
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))


@torch.no_grad()
def distance(model: LatentVariableModel, weights: object, sample: Sample) -> Figures:
    """The Fréchet distance of 10,000 samples from the test pictures, by the features of a classifier of digits.

    `mixture`: samples from a mixture of ten Gaussians fitted to codes; `prior`, of a model that has one: from it.
    """
    features, rng = DigitFeatures(), np.random.default_rng(SEED)
    real = features.of(sample.grey / np.float32(255))
    codes = np.concatenate([model.summary(x).mu.numpy() for x in torch.from_numpy(sample.training).split(500)])
    mixture = GaussianMixture(COMPONENTS, random_state=SEED).fit(np.float64(codes))
    places = {"mixture": rng.permutation(mixture.sample(len(real))[0])}
    if model.latent.has_density:
        places["prior"] = rng.standard_normal((len(real), codes.shape[1]))
    found = {}
    for name, z in places.items():
        drawn = np.concatenate([model.decode(some).clamp(0, 1).numpy() for some in torch.from_numpy(np.float32(z)).split(500)])
        estimate = frechet(real, features.of(drawn))
        found |= {name: round(estimate.value, 3), f"{name}_half": round((estimate.high - estimate.low) / 2, 3)}
    return found


@torch.no_grad()
def gap(model: LatentVariableModel, weights: object, sample: Sample) -> Figures:
    """The mutual information gap of posterior means of the test pictures, and how many dimensions are alive."""
    summaries = [model.summary(x) for x in sample.x.split(500)]
    codes = np.concatenate([one.mu.numpy() for one in summaries])
    noise = np.concatenate([one.sigma.numpy() for one in summaries if one.sigma is not None])
    known = Known.of(codes, factors_of(sample.ids), ORDERED, np.square(noise).mean(0))
    alive = known.codes.shape[1]
    return {"mig": round(scores(known)["mig"], 4) if alive else 0.0, "alive": alive}  # a code that says nothing has no gap


MEASURES = {"nll": nll, "frechet": distance, "mig": gap}
