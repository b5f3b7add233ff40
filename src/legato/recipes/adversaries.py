"""Models that learn beside a second player."""

from __future__ import annotations

from math import prod

from legato.errors import Mistake
from legato.families import Point
from legato.objectives import (
    Adversary,
    Distortion,
    FeatureDistortion,
    ImageAdversary,
    ImageCritic,
    Rate,
    TotalCorrelation,
    critic,
)
from legato.recipe import Recipe, prefers, recipe
from legato.setting import DataSpec
from legato.vocabulary import code_of, flat, net_of, reading, resolve


@recipe
def factor_vae(
    data: DataSpec, latent_dim: int = 32, gamma: float = 6.0, critic_width: int = 256, critic_depth: int = 3
) -> Recipe:
    """A VAE that pays gamma for each nat that its latents tell of each other; a critic learns how much that is.

    gamma = 0 is `vae`, to the last bit. Kim & Mnih 2018, https://arxiv.org/abs/1802.05983.
    """
    latents = prod(code_of(data, latent_dim))
    if latents < 2:
        raise Mistake(f"the total correlation is between 2 latents or more, got {latents}: use `vae`")
    model = flat(data, latent_dim)  # before the critic, so that it begins as the plain `vae` does
    return Recipe(model, Distortion() + Rate() + gamma * TotalCorrelation(critic(latents, critic_width, critic_depth)))


@recipe
def adversarial_autoencoder(
    data: DataSpec, latent_dim: int = 32, weight: float = 1.0, critic_width: int = 256, critic_depth: int = 2
) -> Recipe:
    """A cloud for each image and no rate: a critic that tells codes from draws of N(0, I) keeps them together.

    Makhzani et al. 2015, https://arxiv.org/abs/1511.05644. `weight`: nats of distortion for a nat of the critic's.
    """
    model = flat(data, latent_dim)
    judge = critic(prod(code_of(data, latent_dim)), critic_width, critic_depth)
    return Recipe(model, Distortion() + weight * Adversary(judge))


@recipe
def wae_gan(
    data: DataSpec, latent_dim: int = 32, weight: float = 10.0, critic_width: int = 256, critic_depth: int = 2
) -> Recipe:
    """An autoencoder whose codes together are drawn to N(0, I) by a critic that tells them from its draws: no noise.

    Tolstikhin, Bousquet, Gelly & Schölkopf 2018, https://arxiv.org/abs/1711.01558, algorithm 1.
    """
    model = flat(data, latent_dim, posterior=Point())
    judge = critic(prod(code_of(data, latent_dim)), critic_width, critic_depth)
    return Recipe(model, Distortion() + weight * Adversary(judge))


@recipe
@prefers("optimal-gaussian")
def vae_gan(data: DataSpec, latent_dim: int = 32, features: int = 64, weight: float = 1.0) -> Recipe:
    """A VAE judged by a critic of images: it is to reconstruct what the critic sees, and to be taken for real.

    Larsen et al. 2016, https://arxiv.org/abs/1512.09300. Fidelity is a distance between `features` of the critic, no log p(x);
    `weight`: of being taken for real, which teaches the decoder alone.
    """
    model, net = flat(data, latent_dim), reading(data, net_of(resolve(data)))
    judge = ImageCritic(net(data.shape, (features,)), features)
    return Recipe(model, FeatureDistortion(judge) + Rate() + weight * ImageAdversary(judge))
