"""Named models, a sentence each, in a file per idea.

Options are the signature; the shared words (net, width, depth, likelihood) come with `data`.
"""

from legato.recipe import Recipe, recipe
from legato.recipes.adversaries import adversarial_autoencoder, factor_vae, vae_gan, wae_gan
from legato.recipes.aggregates import beta_tc_vae, dip_vae, info_vae, swae, wae_mmd
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
from legato.recipes.bounds import ciwae, dreg_iwae, iwae, landing_vae, miwae, piwae
from legato.recipes.codebooks import fsq_vae, gradient_vq_vae, lfq_vae, residual_vq_vae, sequence_vq_vae, vq_vae
from legato.recipes.constraints import capacity_vae, geco_vae
from legato.recipes.flows import flow_prior_vae, flow_vae, iaf_vae
from legato.recipes.labels import ada_gvae, conditional_vae, m2_vae, ml_vae
from legato.recipes.ladders import hierarchy_vae, ladder_vae
from legato.recipes.likenesses import log_cosh_vae, ssim_vae
from legato.recipes.penalties import rae_gp, rae_l2, rae_sn
from legato.recipes.posteriors import (
    concrete_vae,
    full_gaussian_vae,
    hamiltonian_vae,
    joint_vae,
    laplace_vae,
    poincare_vae,
    power_spherical_vae,
    topk_autoencoder,
    vmf_vae,
)
from legato.recipes.priors import hierarchical_vamp_vae, mixture_vae, vamp_vae
from legato.recipes.tokenizers import tokenizer_fsq, tokenizer_kl, tokenizer_vq

__all__ = [
    "Recipe", "ada_gvae", "adversarial_autoencoder", "autoencoder", "beta_tc_vae", "beta_vae", "capacity_vae", "ciwae",
    "concrete_vae", "conditional_vae", "dip_vae", "dreg_iwae", "factor_vae", "fixed_noise_autoencoder", "flow_prior_vae",
    "flow_vae", "fsq_vae", "full_gaussian_vae", "geco_vae", "gradient_vq_vae", "hamiltonian_vae", "hierarchical_vamp_vae",
    "hierarchy_vae", "iaf_vae", "info_vae", "iwae", "joint_vae", "ladder_vae", "landing_vae", "laplace_vae", "lfq_vae",
    "log_cosh_vae", "m2_vae", "mean_only_vae", "miwae", "mixture_vae", "ml_vae", "noisy_autoencoder", "piwae", "poincare_vae",
    "power_spherical_vae", "pulled_autoencoder", "rae_gp", "rae_l2", "rae_sn", "recipe", "residual_vq_vae", "sequence_vq_vae",
    "sigma_vae", "ssim_vae", "swae", "tokenizer_fsq", "tokenizer_kl", "tokenizer_vq", "topk_autoencoder", "vae", "vae_gan",
    "vamp_vae", "vmf_vae", "vq_vae", "wae_gan", "wae_mmd", "warmup_vae",
]  # fmt: skip
