"""Posteriors and priors of any shape, by normalising flows."""

from __future__ import annotations

from legato.flows import Flow, FlowPrior
from legato.objectives import Distortion, Rate
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import code_of, flat


@recipe
def flow_vae(data: DataSpec, latent_dim: int = 32, transforms: int = 3, beta: float = 1.0) -> Recipe:
    """A VAE whose cloud need not be a Gaussian: a normalising flow bends it for each image.

    Rezende & Mohamed 2015, https://arxiv.org/abs/1505.05770; Papamakarios et al. 2017, https://arxiv.org/abs/1705.07057.
    """
    posterior = Flow(code_of(data, latent_dim), transforms)
    return Recipe(flat(data, latent_dim, posterior=posterior), Distortion() + beta * Rate())


@recipe
def iaf_vae(data: DataSpec, latent_dim: int = 32, transforms: int = 2, beta: float = 1.0) -> Recipe:
    """A VAE whose cloud is bent by an inverse autoregressive flow: each number may depend on all before it.

    Kingma et al. 2016, https://arxiv.org/abs/1606.04934. Draws take one pass; the density is remembered from the draw.
    """
    posterior = Flow(code_of(data, latent_dim), transforms, inverse=True)
    return Recipe(flat(data, latent_dim, posterior=posterior), Distortion() + beta * Rate())


@recipe
def flow_prior_vae(
    data: DataSpec, latent_dim: int = 32, transforms: int = 3, autoregressive: bool = False, beta: float = 1.0
) -> Recipe:
    """A VAE whose prior is a normalising flow that is learnt with it: the codes need not lie as a Gaussian does.

    Chen et al. 2017, https://arxiv.org/abs/1611.02731. `autoregressive`: each number given all before it, in the place of
    couplings, with draws that take a pass for each.
    """
    prior = FlowPrior(code_of(data, latent_dim), transforms, autoregressive=autoregressive)
    return Recipe(flat(data, latent_dim, prior=prior), Distortion() + beta * Rate())
