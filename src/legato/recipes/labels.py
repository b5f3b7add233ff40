"""Models that are told something of the images: each one's class, some's, or that two share factors."""

from __future__ import annotations

from legato.families import Gaussian
from legato.objectives import Classification, Distortion, Rate
from legato.priors import GaussianOfEachClass, StandardNormal
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import classes_of, code_of, frame, inferring, paired


@recipe
def conditional_vae(data: DataSpec, latent_dim: int = 32, beta: float = 1.0, learnt: bool = False) -> Recipe:
    """A VAE that is told each image's class: q(z|x, y), p(x|z, y); the code carries what the class does not say.

    Kingma, Rezende, Mohamed & Welling 2014, https://arxiv.org/abs/1406.5298, model M2 where every label is known; Sohn, Yan &
    Lee 2015, https://papers.nips.cc/paper/5775. p(z) is N(0, I), the same for every class; `learnt`: a Gaussian of its own for
    each class, learnt with the model.
    """
    code, classes = code_of(data, latent_dim), classes_of(data)
    # one for all: the code then need not tell the class again
    prior = GaussianOfEachClass(code, classes) if learnt else StandardNormal(code)
    return Recipe(frame(data, code, Gaussian(), prior, classes), Distortion() + beta * Rate())


@recipe
def m2_vae(data: DataSpec, latent_dim: int = 32, alpha: float = 0.1) -> Recipe:
    """A VAE that is told some images' class and infers that of the others, over which it sums: q(y|x), q(z|x, y), p(x|z, y).

    Kingma et al. 2014, https://arxiv.org/abs/1406.5298, M2. `alpha` weighs −log q(y|x) of a row, times rows per labelled one.
    """
    return Recipe(inferring(data, latent_dim), Distortion() + Rate() + alpha / data.labelled * Classification())


@recipe
def ada_gvae(data: DataSpec, latent_dim: int = 10, differ: int = 1, beta: float = 1.0) -> Recipe:
    """A VAE of pairs that share factors: latents by which the two hardly differ get one posterior, the mean of both.

    Locatello et al. 2020, https://arxiv.org/abs/2002.02886. In up to `differ` factors the two differ; in which, nobody says.
    """
    return Recipe(paired(data, latent_dim, "mean", differ), Distortion() + beta * Rate())


@recipe
def ml_vae(data: DataSpec, latent_dim: int = 10, differ: int = 1, beta: float = 1.0) -> Recipe:
    """A VAE of pairs that share factors, as `ada_gvae`, whose shared latents get the product of both posteriors.

    Bouchacourt, Tomioka & Nowozin 2018, https://arxiv.org/abs/1705.08841; which are shared is found as by Locatello.
    """
    return Recipe(paired(data, latent_dim, "product", differ), Distortion() + beta * Rate())
