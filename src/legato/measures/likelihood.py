"""The likelihood that a model gives each image: distortion, rate, log p(x) by importance weighting, in nats per example.

Exactly the k draws asked for; the encoder runs once per batch; memory holds one chunk of decoded draws and k × batch weights.
Covered: scores at one k and the bound's curve over k, with how far the weights are to be trusted. Not covered: annealing
(annealed.py), which takes over where they are not; how many draws an example needs (as_needed.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from legato.batch import Batch
from legato.devices import doubled, drawing, widest
from legato.errors import Mistake
from legato.measures.estimate import Estimate, mean_over
from legato.measures.posterior import still
from legato.measures.tails import FEWEST, pareto_k, tail_length
from legato.model import LatentVariableModel
from legato.moments import whole
from legato.ranks import sharing
from legato.ranks import whole as whole_of
from legato.trace import Trace, effective_sample_size
from legato.types import Doubles

KS = (1, 10, 100, 1000, 5000)  # on a scale of powers: a bound rises with log k, to the 5,000 of Burda et al. 2016
Some = Tensor | Batch  # examples, of which perhaps more is known than x


@dataclass(frozen=True)
class Scores:
    """One row per example. Without a density (an autoencoder) only `distortion` and `mu` are there.

    distortion (n,): −E_q log p(x|z) over the draws; mu (n, d): posterior means, (n, 0) of codes of more than 4,096 dimensions;
    rate (n,): KL(q(z|x) ‖ p(z)); kl (n, d): the same per dimension where it has a closed form, (n, C) per channel of large
    codes; levels (n, L): of each level; index (n, m): what a codebook's posterior chose; log_px (n,): log (1/k)Σ w; ess:
    (Σw)²/Σw², between 1 and k; k_hat (n,): Pareto k̂ of the weights, above 0.7 log_px is not to be trusted, None below 21
    draws; draws (n,): behind log_px, 0 where it is annealed, None where all are equal.
    """

    distortion: Doubles
    mu: Doubles
    rate: Doubles | None = None
    kl: Doubles | None = None
    levels: Doubles | None = None
    index: Doubles | None = None
    log_px: Doubles | None = None
    ess: Doubles | None = None
    k_hat: Doubles | None = None
    draws: Doubles | None = None


@torch.no_grad()
def score(model: LatentVariableModel, batches: Iterable[Some], k: int, seed: int = 0, chunk: int | None = None) -> Scores:
    """Scores every example of `batches` (in order) with exactly k draws each. The global generator is left as it was.

    Of a model that reads labels, p(x) is p(x|y) here as everywhere.
    """
    device = next(model.parameters()).device
    with drawing(device, seed):
        # one generator for all batches: a seed for each would give every batch the same noise
        rows = [_shared(model, Batch.of(some), k, chunk) for some in batches]
    return scores_of(rows)


def _shared(model: LatentVariableModel, batch: Batch, k: int, chunk: int | None) -> dict[str, Tensor]:
    """`score_batch`, of which each rank computes its part."""
    with sharing(len(batch)) as share:
        found = score_batch(model, batch[share.part], k, chunk)
        return {name: whole_of(values) for name, values in found.items()}


def scores_of(rows: Sequence[dict[str, Tensor]]) -> Scores:
    """The scores of all batches, from what `score_batch` gave of each."""
    return Scores(**{name: joined([row[name] for row in rows]) for name in rows[0]})


def score_batch(model: LatentVariableModel, batch: Batch, k: int, chunk: int | None) -> dict[str, Tensor]:
    """The fields of `Scores` of one batch, from torch's own generator."""
    x = batch.x
    if not model.latent.has_density:
        trace = model(x, 1, batch.given)  # every draw of a point mass is the same
        return {"distortion": -trace.log_px[0], "mu": _means(trace)}
    log_w, total = [], torch.zeros(len(x), dtype=widest(x.device), device=x.device)
    costs: list[tuple[int, dict[str, Tensor]]] = []
    for trace in model.chunks(x, k, chunk, batch.given):
        # in double precision: a sum of some thousand terms of some hundred nats
        total += trace.log_px.sum(0, dtype=total.dtype)
        log_w.append(trace.log_w)
        costs.append((len(trace.code), _costs(trace, model)))
    # (k, B), in double precision: log p(x) is a small difference of large logarithms of k weights
    weights = doubled(torch.cat(log_w))
    log_sum = torch.logsumexp(weights, 0)
    index = trace.rungs[0].index if trace.rungs else None  # none where classes are summed over
    # a closed form gives each chunk the same rate, and the last is as good as any; a drawn one is a mean over all
    found = _mean_cost(costs) if trace.rate_varies else costs[-1][1]
    return (
        found
        | ({} if index is None else {"index": index.flatten(1)})
        | {
            "distortion": -total / k,
            "mu": _means(trace),
            "log_px": log_sum - math.log(k),
            "ess": effective_sample_size(weights),
            **_tails(weights),
        }
    )


def _means(trace: Trace) -> Tensor:
    """Posterior means (B, d), where they are few enough to be kept of every example."""
    mu = trace.summary.mu.flatten(1)
    # (B, 0) and not None: every batch has the field then, and they can be joined
    return mu if whole(mu.shape[1]) else mu[:, :0]


def _costs(trace: Trace, model: LatentVariableModel) -> dict[str, Tensor]:
    """The rate (B,), its parts by dimension (B, d) where they have a closed form, and by level (B, L) where there are some."""
    kl, found = trace.kl_per_dimension, {"rate": trace.kl}
    found |= {} if kl is None else {"kl": model.latent.parts(kl)}
    return found | ({"levels": torch.stack([rung.kl for rung in trace.rungs], 1)} if model.latent.levels else {})


def _mean_cost(costs: Sequence[tuple[int, dict[str, Tensor]]]) -> dict[str, Tensor]:
    """Means over all draws: each entry says of how many it is the mean."""
    count = sum(draws for draws, _ in costs)
    # only what every chunk has: a mean over some of the draws would not fit the rate beside it
    names = [name for name in costs[0][1] if all(name in cost for _, cost in costs)]
    return {name: torch.stack([draws * doubled(cost[name]) for draws, cost in costs]).sum(0) / count for name in names}


def _tails(log_w: Tensor) -> dict[str, Tensor]:
    """k̂ where there are draws enough; NaN where a weight is none, which is told of where log p(x) is averaged."""
    if tail_length(len(log_w)) < FEWEST:
        return {}
    known = torch.isfinite(log_w.amax(0))
    found = torch.full((log_w.shape[1],), math.nan, dtype=torch.double)
    if known.any():  # CPU: Pareto tails are fitted in NumPy, a few numbers an image
        found[known.cpu()] = torch.from_numpy(pareto_k(log_w[:, known].cpu().numpy()))
    return {"k_hat": found}


def joined(parts: Iterable[Tensor]) -> Doubles:
    """One array, float64, of the parts of all batches."""
    return np.asarray(doubled(torch.cat(list(parts))).cpu().numpy())


@dataclass(frozen=True)
class Curve:
    """The importance-weighted bound over k, one row per example, all from one set of max(k) draws.

    bounds (n, len(ks)), nats: log p(x) from below; ess (n,): (Σw)²/Σw² of all draws; k_hat (n,): their Pareto k̂, above 0.7 not
    to be trusted.
    """

    ks: tuple[int, ...]  # rising, so that the largest, from which all others are taken, is the last
    bounds: Doubles
    ess: Doubles
    k_hat: Doubles | None

    def estimates(self) -> dict[int, Estimate]:
        """k -> the mean bound with its interval over examples."""
        method = "importance-weighted bound on log p(x)"
        return {k: mean_over(row, "nats", f"{method}, k = {k}") for k, row in zip(self.ks, self.bounds.T, strict=True)}


@torch.no_grad()
def importance_curve(
    model: LatentVariableModel, batches: Iterable[Some], ks: Sequence[int] = KS, seed: int = 0, chunk: int | None = None
) -> Curve:
    """The bound at each k for every example of `batches` (in order), from exactly max(k) draws each.

    Burda et al. 2016, https://arxiv.org/abs/1509.00519. Raises `Mistake` for a point mass: it has no weights.
    """
    ks = tuple(sorted(set(ks)))  # each k once, since two rows of a curve at one k would be one estimate twice
    with still(model, seed):
        weights = (log_weights(model, Batch.of(some), ks[-1], chunk) for some in batches)
        rows = [(bounds(log_w, ks), effective_sample_size(log_w), pareto_k(log_w.cpu().numpy())) for log_w in weights]
    found, ess, k_hat = zip(*rows, strict=True)
    tails = [tail for tail in k_hat if tail is not None]
    return Curve(ks, joined(found), joined(ess), np.concatenate(tails) if tails else None)


def log_weights(model: LatentVariableModel, batch: Batch, k: int, chunk: int | None) -> Tensor:
    """log p(x, z) − log q(z|x) of k draws of each example, (k, B), nats."""
    return torch.cat([trace.log_w for trace in model.chunks(batch.x, k, chunk, batch.given)])


def bounds(log_w: Tensor, ks: Sequence[int]) -> Tensor:
    """log (1/k) Σ w for each k of `ks` from weights log_w (K, n), K ≥ max(ks): (n, len(ks)), float64, nats.

    Below K it is averaged over the ⌊K/k⌋ disjoint groups of k draws: the mean of independent estimates at that very k, where
    the first k draws alone would throw the others away, and overlapping groups would be correlated.
    """
    if not ks or min(ks) < 1 or max(ks) > len(log_w):
        raise Mistake(f"`ks` are numbers of draws, 1 to {len(log_w)}; got {tuple(ks)}")
    log_w = doubled(log_w)
    return torch.stack([_bound(log_w, k) for k in ks], 1)


def _bound(log_w: Tensor, k: int) -> Tensor:
    groups = log_w[: len(log_w) // k * k].reshape(-1, k, log_w.shape[1])
    return torch.logsumexp(groups, 1).mean(0) - math.log(k)
