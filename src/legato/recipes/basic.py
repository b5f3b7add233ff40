"""Autoencoders and VAEs with one Gaussian cloud or point per example, and the controls that take the KL apart."""

from __future__ import annotations

from legato.families import Homoscedastic, Point
from legato.objectives import Distortion, MeanRate, Pull, Rate, anneal
from legato.recipe import Recipe, prefers, recipe
from legato.setting import DataSpec
from legato.vocabulary import flat


@recipe
def autoencoder(data: DataSpec, latent_dim: int = 32) -> Recipe:
    """A point for each image and nothing but reconstruction: no noise, no rate, no prior that was trained for.

    Rumelhart, Hinton & Williams 1986; Hinton & Salakhutdinov 2006, https://doi.org/10.1126/science.1127647
    """
    # times 1, since a term by itself is no objective
    return Recipe(flat(data, latent_dim, posterior=Point()), 1.0 * Distortion())


@recipe
def vae(data: DataSpec, latent_dim: int = 32, beta: float = 1.0) -> Recipe:
    """A Gaussian cloud for each image, drawn from, and the rate paid for it. beta = 1 is the evidence lower bound.

    Kingma & Welling 2013, https://arxiv.org/abs/1312.6114
    """
    return Recipe(flat(data, latent_dim), Distortion() + beta * Rate())


@recipe
def beta_vae(data: DataSpec, latent_dim: int = 32, beta: float = 4.0) -> Recipe:
    """A VAE that pays beta for each nat of rate: fidelity against a code that is close to its prior.

    Higgins et al. 2017, https://openreview.net/forum?id=Sy2fzU9gl
    """
    return Recipe(flat(data, latent_dim), Distortion() + beta * Rate())


@recipe
def noisy_autoencoder(data: DataSpec, latent_dim: int = 32) -> Recipe:
    """A Gaussian cloud for each image and no rate: σ is learned, and nothing keeps it from shrinking.

    The control that shows what the rate does: `vae` with the KL term removed.
    """
    return Recipe(flat(data, latent_dim), 1.0 * Distortion())


@recipe
def mean_only_vae(data: DataSpec, latent_dim: int = 32, beta: float = 1.0) -> Recipe:
    """A Gaussian cloud for each image, charged for the distance of its mean from the origin, not for its width.

    A control: the KL's μ² without its σ² − log σ². Ghosh et al. 2020, https://arxiv.org/abs/1903.12436, regularise codes so.
    """
    return Recipe(flat(data, latent_dim), Distortion() + beta * MeanRate())


@recipe
def fixed_noise_autoencoder(data: DataSpec, latent_dim: int = 32, noise: float = 1.0) -> Recipe:
    """An autoencoder whose code is drawn from N(μ, noise²) and pays no rate: it can flee the noise by growing its codes.

    A control: noise that cannot shrink, without the KL. Poole, Sohl-Dickstein & Ganguli 2014, https://arxiv.org/abs/1406.1831
    """
    # one σ for all, which no training can shrink
    return Recipe(flat(data, latent_dim, posterior=Homoscedastic(noise)), 1.0 * Distortion())


@recipe
def pulled_autoencoder(data: DataSpec, latent_dim: int = 32, beta: float = 1.0) -> Recipe:
    """A point for each image, charged for its distance from the origin: the KL's pull on μ without the noise.

    A control. The decoder can undo the pull by growing: codes want whitening before they are measured, and a Gaussian fitted to
    them to be sampled from. Ghosh et al. 2020, https://arxiv.org/abs/1903.12436, add decay of the decoder's weights for that.
    """
    return Recipe(flat(data, latent_dim, posterior=Point()), Distortion() + beta * Pull())  # no rate: a point has no density


@recipe
def warmup_vae(data: DataSpec, latent_dim: int = 32, warmup: float = 0.25, free_bits: float = 0.0) -> Recipe:
    """A VAE whose rate is charged gradually, from 0 to 1 over `warmup` (a share of the run, or a number of steps).

    Bowman et al. 2016, https://arxiv.org/abs/1511.06349; Sønderby et al. 2016, https://arxiv.org/abs/1602.02282.
    `free_bits`: nats per dimension that are charged anyway (Kingma et al. 2016, https://arxiv.org/abs/1606.04934).
    """
    # a share fits a run of any length
    return Recipe(flat(data, latent_dim), Distortion() + anneal(0.0, 1.0, warmup) * Rate(free_bits))


@recipe
@prefers("optimal-gaussian")
def sigma_vae(data: DataSpec, latent_dim: int = 32) -> Recipe:
    """A VAE with a Gaussian likelihood whose one scale is solved in closed form, so that no β need be tuned.

    Rybkin, Daniilidis & Levine 2021, https://arxiv.org/abs/2006.13202. An explicit `likelihood` takes the solved one's place.
    """
    return Recipe(flat(data, latent_dim), Distortion() + Rate())
