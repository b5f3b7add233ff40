"""Posteriors that are no Gaussian with independent dimensions."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.distributions import Independent
from torch.nn.functional import normalize

from legato.distributions.clouds import Logistic
from legato.distributions.hyperbolic import WrappedNormal, to_origin
from legato.distributions.sphere import UniformSphere
from legato.objectives import Distortion, Rate
from legato.posteriors import Choices, Direction, FullGaussian, Hyperbolic, Laplace, Sparse, Switches
from legato.priors import Unlearnt
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import code_of, flat, frame, led


@recipe
def full_gaussian_vae(data: DataSpec, latent_dim: int = 16, beta: float = 1.0) -> Recipe:
    """A VAE whose cloud may lie obliquely: a Gaussian with every covariance between its latents.

    Kingma & Welling 2019, https://arxiv.org/abs/1906.02691, section 2.5.
    """
    return Recipe(flat(data, latent_dim, posterior=FullGaussian()), Distortion() + beta * Rate())


@recipe
def laplace_vae(data: DataSpec, latent_dim: int = 32, beta: float = 1.0) -> Recipe:
    """A VAE whose cloud has a sharp middle and long tails: Laplace's in each dimension.

    Barello, Charles & Pillow 2018, https://doi.org/10.1101/399246, for sparse codes.
    """
    return Recipe(flat(data, latent_dim, posterior=Laplace()), Distortion() + beta * Rate())


@recipe
def vmf_vae(data: DataSpec, latent_dim: int = 16, beta: float = 1.0) -> Recipe:
    """A VAE whose codes are directions: von Mises–Fisher on the unit sphere, where the prior takes all alike.

    Davidson et al. 2018, https://arxiv.org/abs/1804.00891. Nothing draws codes to a centre: there is none.
    """
    code = code_of(data, latent_dim)
    model = frame(data, code, Direction("mises"), Unlearnt(code, UniformSphere), read=partial(normalize, dim=-1))
    return Recipe(model, Distortion() + beta * Rate())


@recipe
def power_spherical_vae(data: DataSpec, latent_dim: int = 16, beta: float = 1.0) -> Recipe:
    """A VAE whose codes are directions: power spherical, which is `vmf_vae` with a simpler density.

    De Cao & Aziz 2020, https://arxiv.org/abs/2006.04437.
    """
    code = code_of(data, latent_dim)
    model = frame(data, code, Direction("power"), Unlearnt(code, UniformSphere), read=partial(normalize, dim=-1))
    return Recipe(model, Distortion() + beta * Rate())


@recipe
def poincare_vae(data: DataSpec, latent_dim: int = 8, curvature: float = 1.0, beta: float = 1.0) -> Recipe:
    """A VAE whose codes lie in a space of negative curvature, which has room for trees: the Poincaré ball.

    Mathieu et al. 2019, https://arxiv.org/abs/1901.06033, with wrapped normals; the decoder reads the tangent plane's vector.
    """
    code = code_of(data, latent_dim)
    prior = Unlearnt(code, lambda zero: WrappedNormal(zero, torch.ones_like(zero), curvature))
    model = frame(data, code, Hyperbolic(curvature), prior, read=partial(to_origin, c=curvature))
    return Recipe(model, Distortion() + beta * Rate())


@recipe
def concrete_vae(data: DataSpec, latent_dim: int = 32, temperature: float = 0.5, beta: float = 1.0) -> Recipe:
    """A VAE whose latents are relaxed coins, nearly 0 or 1 at a low `temperature`.

    Maddison, Mnih & Teh 2017, https://arxiv.org/abs/1611.00712; Jang, Gu & Poole 2017, https://arxiv.org/abs/1611.01144.
    """
    code = code_of(data, latent_dim)
    prior = Unlearnt(code, lambda zero: Independent(Logistic(zero, torch.full_like(zero, 1 / temperature)), zero.ndim))
    model = frame(data, code, Switches(temperature), prior, read=Tensor.sigmoid)
    return Recipe(model, Distortion() + beta * Rate())


@recipe
def topk_autoencoder(data: DataSpec, latent_dim: int = 128, k: int = 16) -> Recipe:
    """An autoencoder of many units of which each image turns on `k`: a sparse code, whose units may come to mean something.

    Makhzani & Frey 2014, https://arxiv.org/abs/1312.5663; Gao et al. 2024, https://arxiv.org/abs/2406.04093. Units that are
    hardly ever on are favoured until they are.
    """
    return Recipe(flat(data, latent_dim, posterior=Sparse(code_of(data, latent_dim), min(k, latent_dim))), 1.0 * Distortion())


@recipe
def joint_vae(data: DataSpec, latent_dim: int = 32, choices: int = 10, temperature: float = 0.5, beta: float = 1.0) -> Recipe:
    """A VAE whose code is a Gaussian cloud beside a choice of one of `choices`, relaxed: classes that nobody named.

    Dupont 2018, https://arxiv.org/abs/1804.00104. The choice takes `choices` of the code's numbers, in logarithms.
    """
    code = code_of(data, latent_dim)
    family = Choices(code, min(choices, latent_dim), temperature)
    model = frame(data, code, family, Unlearnt(code, family.prior), read=family.read)
    return Recipe(model, Distortion() + beta * Rate())


@recipe
def hamiltonian_vae(data: DataSpec, latent_dim: int = 32, leaps: int = 2, beta: float = 1.0) -> Recipe:
    """A VAE whose draws are led by the slope of log p(x, z): `leaps` leapfrog steps to where the posterior is high.

    Caterini, Doucet & Sejdinovic 2018, https://arxiv.org/abs/1805.11328. Each leap runs the decoder and its slope once more.
    """
    return Recipe(led(flat(data, latent_dim), leaps), Distortion() + beta * Rate())
