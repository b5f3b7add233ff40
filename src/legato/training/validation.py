"""Validation: the ELBO at β = 1 (an autoencoder: the distortion), whatever the objective, and per dimension.

Covered: one draw per image with a fixed seed, on the averaged weights. Not covered: final figures with intervals (measures/).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from legato.batch import Batch
from legato.devices import doubled, drawing
from legato.model import LatentVariableModel
from legato.moments import whole as whole_moments
from legato.ranks import sharing, total, whole
from legato.trace import Trace, effective_sample_size

SEED = 20131220  # one for all runs, so that their curves can be compared
SCALE_SEED = SEED + 1  # training images are drawn with a noise of their own
WEIGHED = 1000  # draws in all, whose importance weights are looked at: images shrink as draws for each grow
IMAGES = 1000  # of the validation split: ±0.8 nats on MNIST, and some hundredths of a second


@torch.no_grad()
def validate(model: LatentVariableModel, batches: Iterable[Batch], likelihood: bool = True) -> dict[str, Any]:
    """distortion, rate, elbo (nats per image); per latent dimension: σ, Std μ, KL. None where a point mass has none.

    `likelihood`: whether the decoder was trained to give log p(x|z); else a sum of its nats and the rate is no ELBO.

    σ is the geometric mean over images, as everywhere: the one average that is the same of widths and of precisions. Of codes
    of more than 4,096 dimensions they are told per channel: σ's geometric and Std μ's quadratic mean over places, KL's sum.
    """
    # The same noise at every validation: the curve then shows the weights alone.
    with drawing(_device(model), SEED):
        seen = [_passed(model, some) for some in batches]
    distortion, mu, sigma, rate, kl, usage = (_joined(column) for column in zip(*seen, strict=True))
    assert distortion is not None
    assert mu is not None
    spread = mu.std(0, unbiased=False) if mu.ndim == 2 else _spread(mu.sum(0) / len(distortion), model)
    found: dict[str, Any] = {"distortion": distortion.mean().item(), "std_mu": _list(spread)}
    found |= {} if usage is None else {"usage": _usage(usage.sum(0))}
    if rate is None:
        return {**found, "rate": None, "elbo": None, "sigma": None, "kl": None}
    return {
        **found,
        "rate": rate.mean().item(),
        # at β = 1 whatever was trained: so all runs can be compared
        "elbo": -(distortion + rate).mean().item() if likelihood else None,
        "sigma": None if sigma is None else _list(sigma.log().mean(0).exp()),
        "kl": None if kl is None else _list(kl.mean(0)),
    }


@torch.no_grad()
def solve_scale(model: LatentVariableModel, batches: Iterable[Batch]) -> None:
    """Settles what a likelihood solves from training data, such as σ² = mean (x − decoded mean of a draw)²; else nothing."""

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for some in batches:
            with sharing(len(some)) as share:
                mine = some[share.part]
                found = whole(model(mine.x, 1, mine.given).likelihood.mean[0])
            yield some.x, found

    # Draws of the posterior, not its means: those give a smaller error, and σ would be too small for what sampling decodes.
    with drawing(_device(model), SCALE_SEED):
        model.likelihood.family.finish(pairs)


def _passed(model: LatentVariableModel, some: Batch) -> tuple[Tensor | None, ...]:
    """`_read` of a batch, of which each rank computes its part; then how often each value of a codebook was chosen."""
    with sharing(len(some)) as share:
        mine = some[share.part]
        trace = model(mine.x, 1, mine.given)
        usage = model.latent.usage(trace.rungs) if trace.rungs else None  # none where classes are summed over
        return *_read(trace, model), None if usage is None else total(usage)[None]


def _read(trace: Trace, model: LatentVariableModel) -> tuple[Tensor | None, ...]:
    """−log p(x|z) (B,); μ and σ (B, d); the rate (B,) and KL per dimension (B, d) where the posterior has a density.

    Of large codes σ and KL are of channels, and of μ there are its sum and that of its squares over the batch, (1, 2, d).
    All of the whole batch, where ranks share it.
    """
    shown, kl = trace.summary, trace.kl_per_dimension if model.latent.has_density else None
    mu, sigma = doubled(shown.mu.flatten(1)), None if shown.sigma is None else doubled(shown.sigma.flatten(1))
    if not whole_moments(mu.shape[1]):  # else each line of metrics.jsonl would hold tens of thousands of figures
        # sums alone: μ of every image would fill n × d numbers
        mu = total(torch.stack([mu.sum(0), mu.square().sum(0)]))[None]
        sigma = None if sigma is None else _mean_of_channels(sigma.log(), model).exp()
    else:
        mu = whole(mu)
    rate = doubled(trace.kl) if model.latent.has_density else None
    parts = None if kl is None else model.latent.parts(doubled(kl))
    distortion, *others = (None if one is None else whole(one) for one in (doubled(-trace.log_px[0]), sigma, rate, parts))
    return distortion, mu, *others


def _spread(moments: Tensor, model: LatentVariableModel) -> Tensor:
    """E μ and E μ², (2, d) -> the quadratic mean of Std μ over each channel's places, (C,)."""
    variance = (moments[1] - moments[0].square()).clamp(min=0)  # rounding may leave less than 0, whose root is no number
    return _mean_of_channels(variance[None], model)[0].sqrt()


def _mean_of_channels(values: Tensor, model: LatentVariableModel) -> Tensor:
    sums = model.latent.parts(values)
    return sums * (sums.shape[1] / values.shape[1])


def _usage(counts: Tensor) -> dict[str, float]:
    """Perplexity and the share of values that no token chose, of counts (books, K); `tokens` of each book.

    Perplexity is exp of the entropy of usage, a mean over books, from 1 to K: as `measures.rate.codebook_perplexity` has it.
    """
    counts = doubled(counts)
    shares = counts / counts.sum(1, keepdim=True)
    entropy = -torch.special.xlogy(shares, shares).sum(1)
    return {
        "perplexity": float(f"{entropy.mean().exp().item():.6g}"),
        "unused": (counts == 0).float().mean().item(),
        "size": counts.shape[1],
        "tokens": counts[0].sum().item(),
    }


@torch.no_grad()
def effective_draws(model: LatentVariableModel, batches: Iterable[Batch], k: int) -> float:
    """The effective number (Σw)²/Σw² of k importance weights, from 1 to k: a mean over the examples of the first batch."""
    with drawing(_device(model), SEED), sharing(len(some := next(iter(batches)))) as share:
        mine = some[share.part]
        found = whole(effective_sample_size(model(mine.x, k, mine.given).log_w))
    return float(f"{found.mean().item():.6g}")


def _joined(column: tuple[Tensor | None, ...]) -> Tensor | None:
    there = [part for part in column if part is not None]
    return torch.cat(there) if there else None


def _device(model: LatentVariableModel) -> torch.device:
    return next(model.parameters()).device


def _list(values: Tensor) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]
