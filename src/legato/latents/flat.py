"""One group of latents: the ladder with a single rung."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from legato.arguments import checked
from legato.conditional import Conditional
from legato.distributions.reparameterised import reparameterised
from legato.errors import Mistake
from legato.latents.latent import Latent
from legato.priors import Prior
from legato.trace import Given, Rung


class Flat(Latent):
    """z ~ q(z|x), z ~ p(z). Kingma & Welling 2013; with a point mass for q it is an autoencoder.

    Raises `Mistake` where posterior and prior are about codes of different shapes.
    """

    @checked
    def __init__(self, posterior: Conditional, prior: Prior) -> None:
        super().__init__()
        if posterior.event != prior.event:
            raise Mistake(f"the posterior's codes have shape {posterior.event}, the prior's {prior.event}: give both the same")
        self.q: Conditional = posterior
        self.p: Prior = prior
        self.event = posterior.event
        self.has_density = posterior.family.has_density

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x) itself."""
        return self.posterior(x)

    def draw(self, encoded: Distribution, draws: int, given: Given) -> tuple[Tensor, tuple[Rung, ...]]:
        """z = μ + σ⊙ε for a Gaussian, so that gradients reach μ and σ; the rung keeps ε."""
        z, noise = reparameterised(encoded, draws)
        return z, (Rung(encoded, self.p(given), z, noise),)

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x), batch shape (B,)."""
        q: Distribution = self.q(x)
        return q

    def sample(self, n: int, given: Given) -> Tensor:
        """n codes from the prior, (n, *event)."""
        prior: Distribution = self.p(given)
        return prior.sample((n,))
