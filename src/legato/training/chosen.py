"""Choices that `legato.train` takes by name, written out so that an editor completes them: of training, data, every recipe.

The one list of these that is written by hand; tests/test_python.py holds it to the options themselves.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from legato.data.options import Channels, Layout, Values
from legato.setting import Condition, LikelihoodName, NetName
from legato.types import Shape

RecipeName = Literal[
    "ada_gvae",
    "adversarial_autoencoder",
    "autoencoder",
    "beta_tc_vae",
    "beta_vae",
    "capacity_vae",
    "ciwae",
    "concrete_vae",
    "conditional_vae",
    "dip_vae",
    "dreg_iwae",
    "factor_vae",
    "fixed_noise_autoencoder",
    "flow_prior_vae",
    "flow_vae",
    "fsq_vae",
    "full_gaussian_vae",
    "geco_vae",
    "gradient_vq_vae",
    "hamiltonian_vae",
    "hierarchical_vamp_vae",
    "hierarchy_vae",
    "iaf_vae",
    "info_vae",
    "iwae",
    "joint_vae",
    "ladder_vae",
    "landing_vae",
    "laplace_vae",
    "lfq_vae",
    "log_cosh_vae",
    "m2_vae",
    "mean_only_vae",
    "miwae",
    "mixture_vae",
    "ml_vae",
    "noisy_autoencoder",
    "piwae",
    "poincare_vae",
    "power_spherical_vae",
    "pulled_autoencoder",
    "rae_gp",
    "rae_l2",
    "rae_sn",
    "residual_vq_vae",
    "sequence_vq_vae",
    "sigma_vae",
    "ssim_vae",
    "swae",
    "tokenizer_fsq",
    "tokenizer_kl",
    "tokenizer_vq",
    "topk_autoencoder",
    "vae",
    "vae_gan",
    "vamp_vae",
    "vmf_vae",
    "vq_vae",
    "wae_gan",
    "wae_mmd",
    "warmup_vae",
]


class OfRecipes(TypedDict, total=False):
    """The shared words, and what one recipe or another takes."""

    net: NetName
    width: int | None
    depth: int | None
    latent_shape: Shape | None
    likelihood: LikelihoodName
    scale: float | None
    condition: Condition

    latent_dim: int
    beta: float
    noise: float
    warmup: float
    free_bits: float
    components: int
    transforms: int
    top: float
    levels: int
    entropy: float
    learnt: bool
    token_dim: int
    codebook_size: int
    commitment: float
    gamma: float
    target: float
    tolerance: float
    critic_width: int
    critic_depth: int
    k: int
    m: int
    alpha: float
    weight: float
    weighted: bool
    kind: int
    diagonal: float
    kernel: str
    directions: int
    bound: float
    steepness: float
    features: int
    capacity: float
    growth: float
    curvature: float
    temperature: float
    autoregressive: bool
    books: int
    choices: int
    leaps: int
    differ: int
    prior_width: int
    downsampling: int
    perceptual: float
    adversary: float
    begin: float
    equivariance: float


class Chosen(OfRecipes, total=False):
    """Options of training and of the data, beside what recipes take."""

    steps: int | None
    epochs: float | None
    minutes: float | None
    max_passes: float | None
    keep: Literal["last", "best"]
    batch_size: int | None
    learning_rate: float | None
    warmup_steps: int
    weight_decay: float
    clip: float
    ema: float
    precision: Literal["auto", "float32", "tf32", "bfloat16"]
    engine: Literal["auto", "eager", "compiled", "graphed"]
    shard: bool
    start: str | None
    freeze: Literal["nothing", "encoder"]
    seed: int
    snapshots: int
    checkpoint_minutes: float

    size: int | None
    crop: bool
    channels: Channels
    background: str
    window: str | None
    column: str | None
    layout: Layout
    values: Values
    group: str | None
    stream: bool
    buffer: int
    strict: bool
    split_seed: int
