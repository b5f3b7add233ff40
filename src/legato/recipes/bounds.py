"""Tighter bounds than the evidence lower bound, by several draws for each example."""

from __future__ import annotations

from legato.objectives import Distortion, ImportanceWeighted, MultiplyWeighted, PartiallyWeighted, Rate, Reparameterised
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import flat


@recipe
def iwae(data: DataSpec, latent_dim: int = 32, k: int = 5) -> Recipe:
    """A VAE trained on the importance-weighted bound of `k` draws, which lies nearer to log p(x) than the ELBO.

    Burda, Grosse & Salakhutdinov 2016, https://arxiv.org/abs/1509.00519. k = 1 is `vae` with the rate taken at the draw.
    """
    return Recipe(flat(data, latent_dim), 1.0 * ImportanceWeighted(k))


@recipe
def dreg_iwae(data: DataSpec, latent_dim: int = 32, k: int = 5) -> Recipe:
    """The `iwae` whose encoder learns more with more draws: its gradient lacks the part that is nothing but noise.

    Tucker, Lawson, Gu & Maddison 2019, https://arxiv.org/abs/1810.04152 (DReG): unbiased, unlike `landing_vae` with k > 1.
    """
    return Recipe(flat(data, latent_dim), 1.0 * Reparameterised(k, "doubly"))


@recipe
def landing_vae(data: DataSpec, latent_dim: int = 32, k: int = 1) -> Recipe:
    """A VAE whose encoder's gradient has no noise where its posterior is exact: it "sticks the landing".

    Roeder, Wu & Duvenaud 2017, https://arxiv.org/abs/1703.09194. Unbiased at k = 1; with more draws use `dreg_iwae`.
    """
    return Recipe(flat(data, latent_dim), 1.0 * Reparameterised(k, "landing"))


@recipe
def miwae(data: DataSpec, latent_dim: int = 32, m: int = 4, k: int = 4) -> Recipe:
    """A VAE trained on the mean of `m` importance-weighted bounds of `k` draws each.

    Between `vae` (k = 1) and `iwae` (m = 1) for one budget of draws. Rainforth et al. 2018, https://arxiv.org/abs/1802.04537;
    the name also stands for models of missing data, which this is not.
    """
    return Recipe(flat(data, latent_dim), 1.0 * MultiplyWeighted(m, k))


@recipe
def ciwae(data: DataSpec, latent_dim: int = 32, k: int = 8, beta: float = 0.5) -> Recipe:
    """A VAE trained on a mixture of two bounds: `beta` of the ELBO, the rest of the importance-weighted one of `k` draws.

    Rainforth et al. 2018, https://arxiv.org/abs/1802.04537, section 6. beta = 1 is `vae` with `k` draws, 0 is `iwae`.
    """
    return Recipe(flat(data, latent_dim), beta * Distortion() + beta * Rate() + (1 - beta) * ImportanceWeighted(k))


@recipe
def piwae(data: DataSpec, latent_dim: int = 32, m: int = 4, k: int = 4) -> Recipe:
    """A VAE whose decoder learns from the bound of all draws, its encoder from `m` bounds of `k` draws, with less noise.

    Rainforth et al. 2018, https://arxiv.org/abs/1802.04537, section 4. m = 1 is `iwae`.
    """
    return Recipe(flat(data, latent_dim), 1.0 * PartiallyWeighted(m, k))
