"""Autoencoders that are kept smooth without noise, by penalties on the decoder and a pull on the code."""

from __future__ import annotations

from legato.families import Point
from legato.nets.bounded import bounded
from legato.objectives import DecoderSlope, DecoderWeights, Distortion, Pull
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import flat


@recipe
def rae_l2(data: DataSpec, latent_dim: int = 32, beta: float = 0.1, weight: float = 0.001) -> Recipe:
    """An autoencoder with a pull on its codes and decay of its decoder's weights, so that neither grows to undo the other.

    Ghosh et al. 2020, https://arxiv.org/abs/1903.12436 (RAE-L2); sample it --from a mixture fitted to its codes.
    """
    return Recipe(flat(data, latent_dim, posterior=Point()), Distortion() + beta * Pull() + weight * DecoderWeights())


@recipe
def rae_gp(data: DataSpec, latent_dim: int = 32, beta: float = 0.1, weight: float = 0.01) -> Recipe:
    """An autoencoder with a pull on its codes and a price on the decoder's slope at each of them.

    Ghosh et al. 2020, https://arxiv.org/abs/1903.12436 (RAE-GP); the slope is the whole Jacobian's, not that of a sum.
    """
    return Recipe(flat(data, latent_dim, posterior=Point()), Distortion() + beta * Pull() + weight * DecoderSlope())


@recipe
def rae_sn(data: DataSpec, latent_dim: int = 32, beta: float = 0.1, bound: float = 2.0) -> Recipe:
    """An autoencoder with a pull on its codes, none of whose decoder's layers stretches anything more than `bound` times.

    Ghosh et al. 2020, https://arxiv.org/abs/1903.12436 (RAE-SN); Miyato et al. 2018, https://arxiv.org/abs/1802.05957.
    """
    model = flat(data, latent_dim, posterior=Point())
    bounded(model.likelihood.net, bound)
    return Recipe(model, Distortion() + beta * Pull())
