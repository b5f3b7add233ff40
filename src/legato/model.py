"""A model: latent × likelihood. It makes traces; it never says what they cost (that is an objective's).

Covered: the pass, samples, reconstructions, and log p(x) by importance weighting with bounded memory.
Not covered: training, data, pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from legato.arguments import checked
from legato.conditional import Conditional
from legato.errors import Mistake
from legato.families import Family
from legato.latents import Latent
from legato.trace import Given, Summary, Trace

CHUNK = 2048  # decoded examples at a time in an estimate: few enough that small images stay near the cache


class LatentVariableModel(nn.Module):
    """p(x, z) = p(z) p(x|z), with q(z|x) to infer z. Shapes: x (B, *data), code (S, B, *event)."""

    @checked
    def __init__(self, latent: Latent, likelihood: Conditional) -> None:
        super().__init__()
        if latent.event != likelihood.given:
            raise Mistake(
                f"the latent's codes have shape {latent.event}, the likelihood reads {likelihood.given}: give both the same"
            )
        self.latent, self.likelihood = latent, likelihood

    def forward(self, x: Tensor, draws: int = 1) -> Trace:
        """One pass with `draws` draws of each example's code."""
        return self.trace(x, self.latent.encode(x), draws)

    def trace(self, x: Tensor, encoded: object, draws: int) -> Trace:
        """A pass from what `latent.encode(x)` gave: further draws without a further run of the encoder."""
        given = Given(infer=self.latent.posterior)
        code, rungs = self.latent.draw(encoded, draws, given)
        return Trace(x, self.likelihood(code), code, rungs, lambda: self.latent.summary(encoded, given))

    def learnt(self) -> list[Tensor]:
        """What training moves: the weights, and buffers that are learnt without a gradient, as a codebook is."""
        families = [part for part in self.modules() if isinstance(part, Family)]
        return [*self.parameters(), *(family.get_buffer(name) for family in families for name in family.learnt)]

    def decode(self, code: Tensor) -> Tensor:
        """The mean of p(x|z), (*lead, *data), in units of the prepared data."""
        likelihood: Distribution = self.likelihood(code)
        return likelihood.mean

    def sample(self, n: int) -> Tensor:
        """Decoded means of n codes from the prior, (n, *data)."""
        return self.decode(self.latent.sample(n, Given(infer=self.latent.posterior)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the middle of each posterior decodes to, (B, *data): no draw, the same at every call."""
        return self.decode(self.summary(x).mu)

    def summary(self, x: Tensor) -> Summary:
        """What is shown of the codes of x, (B, *event)."""
        return self.latent.summary(self.latent.encode(x), Given(infer=self.latent.posterior))

    def chunks(self, x: Tensor, k: int, chunk: int = CHUNK) -> Iterator[Trace]:
        """Traces whose draws add up to exactly k per example; the encoder runs once.

        Memory holds `chunk` decoded examples, or one draw of each of x where that is more.
        """
        if k < 1:
            raise Mistake(f"`k` is a number of draws, 1 or more; got {k}")
        encoded = self.latent.encode(x)
        most = max(chunk // max(len(x), 1), 1)
        for done in range(0, k, most):
            yield self.trace(x, encoded, min(most, k - done))

    @torch.no_grad()
    def log_likelihood(self, x: Tensor, k: int, chunk: int = CHUNK) -> Tensor:
        """log (1/k) Σᵢ p(x, zᵢ)/q(zᵢ|x), zᵢ ~ q(z|x): a stochastic lower bound on log p(x), (B,), nats per example.

        It rises with k towards log p(x). Burda et al. 2016, https://arxiv.org/abs/1509.00519, eq. 8.
        Raises `Mistake` where the posterior is a point mass: an autoencoder has no likelihood of x.
        """
        training = self.training
        self.eval()  # a scale that is solved from the batch in training is frozen here, else this were no likelihood
        try:
            log_w = torch.cat([trace.log_w for trace in self.chunks(x, k, chunk)])
        finally:
            self.train(training)
        return torch.logsumexp(log_w, 0) - math.log(k)
