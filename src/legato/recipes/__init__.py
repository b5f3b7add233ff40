"""Named models, a sentence each, in a file per idea.

Options are the signature; the shared words (net, width, depth, likelihood) come with `data`.
"""

from legato.recipe import Recipe, recipe
from legato.recipes.adversaries import factor_vae
from legato.recipes.basic import (
    autoencoder,
    beta_vae,
    fixed_noise_autoencoder,
    mean_only_vae,
    noisy_autoencoder,
    pulled_autoencoder,
    sigma_vae,
    vae,
    warmup_vae,
)
from legato.recipes.codebooks import fsq_vae, vq_vae
from legato.recipes.constraints import geco_vae
from legato.recipes.flows import flow_vae
from legato.recipes.labels import conditional_vae
from legato.recipes.ladders import ladder_vae
from legato.recipes.priors import mixture_vae

__all__ = [
    "Recipe",
    "autoencoder",
    "beta_vae",
    "conditional_vae",
    "factor_vae",
    "fixed_noise_autoencoder",
    "flow_vae",
    "fsq_vae",
    "geco_vae",
    "ladder_vae",
    "mean_only_vae",
    "mixture_vae",
    "noisy_autoencoder",
    "pulled_autoencoder",
    "recipe",
    "sigma_vae",
    "vae",
    "vq_vae",
    "warmup_vae",
]
