"""Tokenizers: codes that lie at places of an image, few numbers or one word at each, for a prior that is fitted afterwards."""

from __future__ import annotations

from legato.codebooks import FiniteScalars, Indexed, VectorQuantised
from legato.families import Gaussian
from legato.noise import noisy
from legato.objectives import Commitment, Distortion, Rate, beside
from legato.priors import StandardNormal
from legato.recipe import Recipe, prefers, recipe
from legato.setting import DataSpec
from legato.vocabulary import frame, places_of


@recipe
@prefers("gaussian", net="strided")
def tokenizer_kl(
    data: DataSpec, latent_dim: int = 4, downsampling: int = 4, beta: float = 0.01, perceptual: float = 0.0,
    adversary: float = 0.0, begin: float = 0.3, equivariance: float = 0.0, noise: float = 0.0,
) -> Recipe:  # fmt: skip
    """A Gaussian code of `latent_dim` numbers at each place of an image, at a small price of each nat of rate.

    Rombach et al. 2022, https://arxiv.org/abs/2112.10752. `beta`: nats of distortion that a nat of rate costs; 1 is the ELBO.
    """
    code = places_of(data, latent_dim, downsampling)
    model = frame(data, code, Gaussian(), StandardNormal(code), read=noisy(noise))
    return Recipe(model, beside(Distortion() + beta * Rate(), data.shape, perceptual, adversary, begin, equivariance))


@recipe
@prefers("gaussian", net="strided")
def tokenizer_vq(
    data: DataSpec, latent_dim: int = 8, downsampling: int = 4, codebook_size: int = 512, commitment: float = 0.25,
    perceptual: float = 0.0, adversary: float = 0.0, begin: float = 0.3, equivariance: float = 0.0, noise: float = 0.0,
) -> Recipe:  # fmt: skip
    """A word out of `codebook_size` at each place of an image, which stands for `latent_dim` numbers.

    Esser et al. 2021, https://arxiv.org/abs/2012.09841. The rate is log(codebook_size) nats a place.
    """
    family = VectorQuantised(code := places_of(data, latent_dim, downsampling), codebook_size)
    model = frame(data, code, family, Indexed(family, code), read=noisy(noise))
    plain = Distortion() + Rate() + commitment * Commitment()
    return Recipe(model, beside(plain, data.shape, perceptual, adversary, begin, equivariance, halves=False))


@recipe
@prefers("gaussian", net="strided")
def tokenizer_fsq(
    data: DataSpec, latent_dim: int = 4, downsampling: int = 4, levels: int = 8, perceptual: float = 0.0,
    adversary: float = 0.0, begin: float = 0.3, equivariance: float = 0.0, noise: float = 0.0,
) -> Recipe:  # fmt: skip
    """`latent_dim` small whole numbers at each place of an image, each one of `levels` values: levels^latent_dim words.

    Mentzer et al. 2023, https://arxiv.org/abs/2309.15505. The rate is latent_dim · log(levels) nats a place.
    """
    code, family = places_of(data, latent_dim, downsampling), FiniteScalars(levels)
    model = frame(data, code, family, Indexed(family, code), read=noisy(noise))
    return Recipe(model, beside(Distortion() + Rate(), data.shape, perceptual, adversary, begin, equivariance, halves=False))
