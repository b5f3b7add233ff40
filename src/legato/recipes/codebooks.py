"""Codes that are chosen among finitely many."""

from __future__ import annotations

from legato.codebooks import FiniteScalars, Indexed, VectorQuantised
from legato.objectives import Commitment, Distortion, Rate
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import code_of, frame


@recipe
def fsq_vae(data: DataSpec, latent_dim: int = 32, levels: int = 8, learnt: bool = False) -> Recipe:
    """A code of small whole numbers: each latent is rounded to one of `levels` values, and costs log(levels) nats.

    `learnt`: the prior over the values is learnt with the model, instead of uniform. Mentzer et al. 2023,
    https://arxiv.org/abs/2309.15505.
    """
    code = code_of(data, latent_dim)
    family = FiniteScalars(levels)
    return Recipe(frame(data, code, family, Indexed(family, code, learnt)), Distortion() + Rate())


@recipe
def vq_vae(
    data: DataSpec,
    latent_dim: int = 16,
    token_dim: int = 8,
    codebook_size: int = 256,
    commitment: float = 0.25,
    learnt: bool = False,
) -> Recipe:
    """A code of `latent_dim` words out of `codebook_size`: each is the nearest row of a codebook that follows the encoder.

    van den Oord, Vinyals & Kavukcuoglu 2017, https://arxiv.org/abs/1711.00937, with moving averages (appendix A.1). The rate is
    latent_dim · log(codebook_size) nats where the prior is uniform; `learnt`: a prior over the words, learnt with the model.
    --latent-shape 8,4,4 lays the words out: 4 × 4 of them, of 8 numbers each.
    """
    code = data.words.latent_shape or (latent_dim, token_dim)
    family = VectorQuantised(code, codebook_size)
    # rows follow by averages; this alone draws the encoder to them
    objective = Distortion() + Rate() + commitment * Commitment()
    # the prior is over the posterior's own rows
    return Recipe(frame(data, code, family, Indexed(family, code, learnt)), objective)
