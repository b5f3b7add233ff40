"""A `LatentVariableModel` as measures ask it: its Gaussian posteriors, log p(x, z), and that it stands still meanwhile.

Covered: one group of latents of shape (d,) with a Gaussian posterior. Not covered: ladders, codebooks, flows; points have no
density. Each is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from legato.devices import drawing, widest
from legato.errors import Mistake
from legato.model import LatentVariableModel
from legato.trace import NOTHING, Given

Density = Callable[[Tensor], Tensor]  # z (C, B, d) -> (C, B), nats


@contextmanager
def still(model: LatentVariableModel, seed: int) -> Iterator[torch.device]:
    """The model in evaluation mode and torch's generator at `seed`; both are as they were afterwards.

    A likelihood's scale that is solved from each batch in training is frozen here: else p(x|z) would be no density of x.
    """
    device, training = next(model.parameters()).device, model.training
    model.eval()
    try:
        with drawing(device, seed):
            yield device
    finally:  # also after an error: a model that stayed in evaluation mode would train on without dropout or batch statistics
        model.train(training)


def gaussian_posterior(model: LatentVariableModel, x: Tensor, given: Given = NOTHING) -> tuple[Tensor, Tensor]:
    """(μ, σ) of q(z|x), each (B, d). Raises `Mistake` where q is no diagonal Gaussian over a vector."""
    base = _diagonal(model.latent.posterior(x, given))
    if base is None:
        raise Mistake(
            "this measure needs a Gaussian posterior over a vector, N(mu, diag sigma^2): a point has no density, and a code "
            "with a shape is no vector"
        )
    return base.loc, base.scale


def is_gaussian(model: LatentVariableModel, x: Tensor, given: Given = NOTHING) -> bool:
    """True where q(z|x) is such a Gaussian; not where it is a sum over classes."""
    return not model.infers_class and _diagonal(model.latent.posterior(x, given)) is not None


# The whole type and not only a mean and a scale: other families have these and another density.
def _diagonal(q: Distribution | None) -> Normal | None:
    base = q.base_dist if isinstance(q, Independent) else q
    return base if isinstance(base, Normal) and base.loc.ndim == 2 else None


def log_joint(model: LatentVariableModel, x: Tensor, given: Given = NOTHING) -> Density:
    """z (C, B, d) ↦ log p(x|z) + log p(z), (C, B), nats, for x (B, *data); added up in double precision."""
    prior, cost = prior_of(model, given), distortion(model, x, given)
    # added in double precision: differences of such sums, some thousand nats each, are weights
    return lambda z: prior.log_prob(z).to(widest(z.device)) - cost(z)


def distortion(model: LatentVariableModel, x: Tensor, given: Given = NOTHING) -> Density:
    """z (C, B, d) ↦ −log p(x|z), (C, B), nats."""

    def cost(z: Tensor) -> Tensor:
        likelihood: Distribution = model.likelihood(z, given)
        log_px: Tensor = likelihood.log_prob(x)
        return -log_px

    return cost


def prior_of(model: LatentVariableModel, given: Given = NOTHING) -> Distribution:
    """p(z) of the whole code."""
    # `infer` is for priors that are made of posteriors, as a VampPrior is
    return model.latent.prior(replace(given, infer=model.latent.posterior))
