"""Codes that are chosen among finitely many."""

from __future__ import annotations

from legato.codebooks import FiniteScalars, Indexed, LookupFree, ResidualQuantised, VectorQuantised
from legato.objectives import Commitment, Distortion, IndexEntropy, Rate, Rows
from legato.recipe import Recipe, lies_in_a_grid, recipe
from legato.sequences import Sequential
from legato.setting import DataSpec
from legato.vocabulary import code_of, frame, row_of, words_of


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
@lies_in_a_grid
def vq_vae(
    data: DataSpec, latent_dim: int = 16, token_dim: int = 8, codebook_size: int = 256,
    commitment: float = 0.25, learnt: bool = False,
) -> Recipe:  # fmt: skip
    """A code of `latent_dim` words out of `codebook_size`: each is the nearest row of a codebook that follows the encoder.

    van den Oord, Vinyals & Kavukcuoglu 2017, https://arxiv.org/abs/1711.00937, with moving averages (appendix A.1). The rate is
    latent_dim · log(codebook_size) nats where the prior is uniform; `learnt`: a prior over the words, learnt with the model.
    --latent-shape 8,4,4 lays the words out: 4 × 4 of them, of 8 numbers each; pictures above 1,024 values have a grid at once.
    """
    code = words_of(data, latent_dim, token_dim)
    family = VectorQuantised(code, codebook_size)
    # rows follow by averages; this alone draws the encoder to them
    objective = Distortion() + Rate() + commitment * Commitment()
    # the prior is over the posterior's own rows
    return Recipe(frame(data, code, family, Indexed(family, code, learnt)), objective)


@recipe
@lies_in_a_grid
def gradient_vq_vae(
    data: DataSpec, latent_dim: int = 16, token_dim: int = 8, codebook_size: int = 256,
    commitment: float = 0.25, learnt: bool = False,
) -> Recipe:  # fmt: skip
    """The `vq_vae` whose codebook learns by gradient, as weights do, in the place of moving averages.

    van den Oord, Vinyals & Kavukcuoglu 2017, https://arxiv.org/abs/1711.00937, eq. 3.
    """
    code = words_of(data, latent_dim, token_dim)
    family = VectorQuantised(code, codebook_size, gradient=True)
    objective = Distortion() + Rate() + 1.0 * Rows() + commitment * Commitment()
    return Recipe(frame(data, code, family, Indexed(family, code, learnt)), objective)


@recipe
@lies_in_a_grid
def sequence_vq_vae(
    data: DataSpec, latent_dim: int = 16, token_dim: int = 8, codebook_size: int = 256,
    commitment: float = 0.25, prior_width: int = 128,
) -> Recipe:  # fmt: skip
    """The `vq_vae` under a prior that tells each word from those before it, learnt with the model: rates fall, samples hold.

    van den Oord, Vinyals & Kavukcuoglu 2017, https://arxiv.org/abs/1711.00937, section 3.3.
    """
    code = words_of(data, latent_dim, token_dim)
    family = VectorQuantised(code, codebook_size)
    objective = Distortion() + Rate() + commitment * Commitment()
    return Recipe(frame(data, code, family, Sequential(family, code, prior_width)), objective)


@recipe
@lies_in_a_grid
def lfq_vae(
    data: DataSpec, latent_dim: int = 16, token_dim: int = 8, entropy: float = 1.0,
    commitment: float = 0.25, learnt: bool = False,
) -> Recipe:  # fmt: skip
    """A code of `latent_dim` words of `token_dim` bits: every number becomes its sign, and no codebook is looked up.

    Yu et al. 2023, https://arxiv.org/abs/2310.05737. `entropy`: the price of words that are unsure, or not used alike.
    """
    code = words_of(data, latent_dim, token_dim)
    family = LookupFree(code)
    objective = Distortion() + Rate() + commitment * Commitment() + entropy * IndexEntropy()
    return Recipe(frame(data, code, family, Indexed(family, code, learnt)), objective)


@recipe
def residual_vq_vae(
    data: DataSpec, latent_dim: int = 8, token_dim: int = 8, codebook_size: int = 256, books: int = 2,
    commitment: float = 0.25, learnt: bool = False,
) -> Recipe:  # fmt: skip
    """The `vq_vae` with `books` codebooks in a row, each of what those before it have left over.

    Lee et al. 2022, https://arxiv.org/abs/2203.01941. Its code holds the rows of all books, the first one's before the others'.
    """
    family = ResidualQuantised(row_of(data, latent_dim, token_dim), codebook_size, books)
    model = frame(data, family.event, family, Indexed(family, family.event, learnt), read=family.summed)
    return Recipe(model, Distortion() + Rate() + commitment * Commitment())
