"""One group of latents: the ladder with a single rung."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from legato.arguments import checked
from legato.conditional import Conditional
from legato.distributions.divergence import kl_per_dimension
from legato.distributions.reparameterised import reparameterised
from legato.errors import Mistake
from legato.latents.latent import Latent
from legato.priors import Prior, drawn
from legato.shown import Line
from legato.trace import NOTHING, Given, Rung, Summary
from legato.types import Precision, Temperature


class OneGroup(Latent):
    """q(z|x) and p(z) about one group of latents. Raises `Mistake` where they are about codes of different shapes."""

    def __init__(self, posterior: Conditional, prior: Prior) -> None:
        super().__init__()
        if posterior.event != prior.event:
            raise Mistake(f"the posterior's codes have shape {posterior.event}, the prior's {prior.event}: give both the same")
        self.q: Conditional = posterior
        self.p: Prior = prior
        self.event, self.standard_prior = posterior.event, prior.standard

    def prior(self, given: Given = NOTHING) -> Distribution:
        """p(z)."""
        p: Distribution = self.p(self.known(given))
        return p

    def draw_prior(
        self,
        n: int,
        rng: np.random.Generator,
        temperature: Temperature = 1.0,
        dtype: Precision = np.float32,
        given: Given = NOTHING,
    ) -> NDArray[Any]:
        """n codes from the prior, (n, *event)."""
        (one,) = self.temperatures(temperature)
        return self.p.draw(n, rng, one, dtype, self.known(given))

    def ways(
        self, n: int, rng: np.random.Generator, frames: int, temperature: float = 1.0, given: Given = NOTHING
    ) -> Iterator[NDArray[Any]]:
        """The ways of n draws of the prior from noise, (n, *event) each time."""
        return self.p.ways(n, rng, frames, temperature, self.known(given))

    def take(self, prior: Prior) -> None:
        """The prior in the place of the model's own."""
        self.p, self.standard_prior, self.has_moments = prior, prior.standard, self.has_moments and prior.has_moments
        self.exact_prior = prior.exact

    def sample(self, n: int, given: Given = NOTHING) -> Tensor:
        """n codes from the prior, (n, *event)."""
        return drawn(self.prior(given), n)


class Flat(OneGroup):
    """z ~ q(z|x), z ~ p(z). Kingma & Welling 2013; with a point mass for q it is an autoencoder.

    Raises `Mistake` where posterior and prior are about codes of different shapes.
    """

    @checked
    def __init__(self, posterior: Conditional, prior: Prior) -> None:
        super().__init__(posterior, prior)
        self.has_density, self.has_width = posterior.family.has_density, posterior.family.has_width
        self.portable_width = posterior.family.portable_width
        self.has_choice, self.has_product = posterior.family.has_choice, posterior.family.has_product
        self.books = posterior.family.books_of(self.event)
        # of both: terms that charge a distance measure from one to the other
        self.has_moments = posterior.family.has_moments and prior.has_moments

    def encode(self, x: Tensor, given: Given = NOTHING) -> Distribution:
        """q(z|x) itself."""
        return self.posterior(x, given)

    def draw(self, encoded: Distribution, draws: int, given: Given) -> tuple[Tensor, tuple[Rung, ...]]:
        """z = μ + σ⊙ε for a Gaussian, so that gradients reach μ and σ; the rung keeps ε."""
        z, noise = reparameterised(encoded, draws)
        return z, (Rung(encoded, self.p(given), z, noise),)

    def summary(self, encoded: Distribution, given: Given = NOTHING) -> Summary:
        """The posterior's own moments, and its KL from the prior where that has a closed form."""
        mu, sigma = self.q.family.moments(encoded)
        kl = kl_per_dimension(encoded, self.p(given)) if self.has_density else None
        return Summary(mu, sigma, kl, self.q.family.how)

    def posterior(self, x: Tensor, given: Given = NOTHING) -> Distribution:
        """q(z|x), batch shape (B,)."""
        q: Distribution = self.q(x, given)
        return q

    def usage(self, rungs: Sequence[Rung]) -> Tensor | None:
        """That of the posterior's family."""
        return self.q.family.usage(rungs[0].q)

    def told(self) -> list[Line]:
        """q(z|x) and p(z) by their families."""
        return [("q(z|x)", f"{type(self.q.family).__name__} of shape {self.event}", ""), ("p(z)", type(self.p).__name__, "")]
