"""A group of latents whose draws are led by the slope of log p(x, z) to where the posterior is high.

Covered: leapfrog steps with tempering, their exact density, a middle without momentum. Not covered: how many steps pay.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from legato.arguments import checked
from legato.conditional import Conditional
from legato.distributions.reparameterised import log_density, reparameterised
from legato.errors import Mistake
from legato.latents.flat import OneGroup
from legato.priors import Prior
from legato.ranks import drawn as shared
from legato.shown import Line
from legato.trace import NOTHING, Given, Rung, Summary

LONGEST = 0.5  # of a leapfrog step: at longer ones the energy of a unit Gaussian is no longer nearly kept


class Led(Rung):
    """A rung whose draw is z_K, led from z_0 ~ q: log q is that of z_K with its momentum, less the momentum's own."""

    def __init__(self, q: Distribution, p: Distribution, z: Tensor, log_q: Tensor) -> None:
        super().__init__(q, p, z)
        self.log_q, self.kl_per_dimension, self.kl_of_all = log_q, None, None


class Hamiltonian(OneGroup):
    """z_0 ~ q(z|x), ρ_0 ~ N(0, I/β_0), then K leapfrog steps by U(z) = −log p(x, z), the momentum cooled after each.

    ρ ← ρ − ½ε ∂U/∂z; z ← z + ε ρ; ρ ← ρ − ½ε ∂U/∂z; ρ ← ρ √(β_{k−1}/β_k), β_k from β_0 < 1 to 1. Leapfrog steps keep the
    volume, cooling shrinks it by β_0^{d/2}, which is what the momentum's first density has too much: the bound's
    log q is log q(z_0|x) + log N(√β_0 ρ_0; 0, I) − log N(ρ_K; 0, I). ε of each latent and β_0 are learnt. Caterini, Doucet &
    Sejdinovic 2018, https://arxiv.org/abs/1805.11328, algorithm 1.

    `likelihood`: the model's own decoder, whose slope leads. Raises `Mistake` for no steps, and where shapes do not meet.
    """

    has_density = True
    has_width = True
    has_moments = False
    has_choice = False
    has_product = False

    @checked
    def __init__(self, posterior: Conditional, prior: Prior, likelihood: Conditional, steps: int = 3) -> None:
        super().__init__(posterior, prior)
        if steps < 1:
            raise Mistake(f"`steps` is a number of leapfrog steps, 1 or more; got {steps}")
        self._likelihood = [likelihood]  # in a list: it is the model's, and is stored once
        self.steps = steps
        self.length = nn.Parameter(torch.full(self.event, -1.4))  # ε = ½ σ(length), a tenth at first
        self.warmth = nn.Parameter(torch.tensor(1.0))  # √β_0 = σ(warmth)

    asks_decoder = True
    portable = False  # what leads a code is a gradient

    def encode(self, x: Tensor, given: Given = NOTHING) -> tuple[Distribution, Tensor]:
        """q(z_0|x), and x itself, which leads."""
        found: Distribution = self.q(x, given)
        return found, x

    def draw(self, encoded: tuple[Distribution, Tensor], draws: int, given: Given) -> tuple[Tensor, tuple[Rung, ...]]:
        """z_K, (S, B, *event)."""
        q, x = encoded
        z, noise = reparameterised(q, draws)
        start = shared(lambda shape: torch.empty(shape, dtype=z.dtype, device=z.device).normal_(), z.shape, 1)
        end, momentum = self.led(z, start / torch.sigmoid(self.warmth), x, given)
        momenta = 0.5 * (momentum.square() - start.square())
        log_q = log_density(q, z, noise) + momenta.flatten(2).sum(2)
        return end, (Led(q, self.p(given), end, log_q),)

    def led(self, z: Tensor, momentum: Tensor, x: Tensor, given: Given) -> tuple[Tensor, Tensor]:
        """Position and momentum after K cooled leapfrog steps, (S, B, *event) each."""
        step = LONGEST * torch.sigmoid(self.length)
        coldness = self._coldness()
        slope = self._slope(z, x, given)
        for k in range(self.steps):
            momentum = momentum - 0.5 * step * slope
            z = z + step * momentum
            slope = self._slope(z, x, given)
            momentum = (momentum - 0.5 * step * slope) * (coldness[k] / coldness[k + 1])
        return z, momentum

    def _coldness(self) -> Tensor:
        """√β_k, from √β_0 to 1 by k², (K + 1,): quadratic, as in the paper's eq. 9."""
        start = torch.sigmoid(self.warmth)
        share = torch.arange(self.steps + 1, dtype=start.dtype, device=start.device) / self.steps
        return 1 / ((1 - 1 / start) * share.square() + 1 / start)

    def _slope(self, z: Tensor, x: Tensor, given: Given) -> Tensor:
        """∂U/∂z = −∂ log p(x, z)/∂z."""
        learning = torch.is_grad_enabled()
        with torch.enable_grad():  # also where nothing is learnt: the slope is a gradient
            at = z if z.requires_grad else z.detach().requires_grad_()
            energy = -(self._likelihood[0](at, given).log_prob(x) + self.p(given).log_prob(at)).sum()
            (slope,) = torch.autograd.grad(energy, at, create_graph=learning)
        return slope

    def summary(self, encoded: tuple[Distribution, Tensor], given: Given = NOTHING) -> Summary:
        """Where the first cloud's middle is led without momentum, and that cloud's width."""
        q, x = encoded
        middle, _ = self.led(q.mean[None], torch.zeros_like(q.mean)[None], x, given)
        return Summary(middle[0], q.stddev, None, "where the first cloud's middle is led, and that cloud's standard deviation")

    def posterior(self, x: Tensor, given: Given = NOTHING) -> Distribution | None:
        """None: what draws are led to has a density only with its momentum."""
        return None

    def told(self) -> list[Line]:
        """The first cloud, how it is led, and p(z)."""
        how = f"{type(self.q.family).__name__} of shape {self.event}, led by {self.steps} leapfrog steps"
        return [("q(z|x)", how, ""), ("p(z)", type(self.p).__name__, "")]
