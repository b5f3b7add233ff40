"""Priors that are learnt with the model."""

from __future__ import annotations

from legato.objectives import Distortion, Rate
from legato.priors import MixtureOfGaussians
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vamp import Vamp
from legato.vocabulary import code_of, flat, ladder, rungs


@recipe
def mixture_vae(data: DataSpec, latent_dim: int = 32, components: int = 10, beta: float = 1.0) -> Recipe:
    """A VAE whose prior is a mixture of Gaussians that is learnt with it: clusters need not be squeezed into one ball.

    Jiang et al. 2017, https://arxiv.org/abs/1611.05148, without its assignment of examples; Tomczak & Welling 2018,
    https://arxiv.org/abs/1705.07120, call it the MoG prior.
    """
    prior = MixtureOfGaussians(code_of(data, latent_dim), components)
    return Recipe(flat(data, latent_dim, prior=prior), Distortion() + beta * Rate())


@recipe
def vamp_vae(data: DataSpec, latent_dim: int = 32, components: int = 100, beta: float = 1.0) -> Recipe:
    """A VAE whose prior is the mean of its own posteriors of `components` examples, which are learnt with it.

    Tomczak & Welling 2018, https://arxiv.org/abs/1705.07120. Each step encodes these, too.
    """
    prior = Vamp(code_of(data, latent_dim), data.shape, data.kind, components)
    return Recipe(flat(data, latent_dim, prior=prior), Distortion() + beta * Rate())


@recipe
def hierarchical_vamp_vae(
    data: DataSpec, latent_dim: int = 32, top: float = 0.5, components: int = 100, beta: float = 1.0
) -> Recipe:
    """A VAE of two rungs whose top, a share `top` of all latents, has the prior of `vamp_vae`.

    Tomczak & Welling 2018, https://arxiv.org/abs/1705.07120, section 4: HVAE with a VampPrior.
    """
    above, below = rungs(latent_dim, top)
    prior = Vamp((above,), data.shape, data.kind, components)
    return Recipe(ladder(data, (above, below), prior), Distortion() + beta * Rate())
