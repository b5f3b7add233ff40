"""Models that are asked for a fidelity, and find the weight that gives it."""

from __future__ import annotations

from legato.objectives import Distortion, Multiplier, Rate
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import flat


@recipe
def geco_vae(data: DataSpec, latent_dim: int = 32, target: float = 80.0, tolerance: float = 1.0) -> Recipe:
    """A VAE of the least rate whose distortion is `target` nats per example: the weight of the distortion finds itself.

    Choose the target beside the distortion at which a `vae` of the same net ends (80 nats on binarised digits): below it
    pictures are sharper and codes dearer. Within `tolerance` nats of it the weight slows down. Rezende & Viola 2018,
    https://arxiv.org/abs/1810.00597.
    """
    # the target is one of fidelity; the rate stays the ELBO's
    return Recipe(flat(data, latent_dim), Multiplier(target, tolerance) * Distortion() + Rate())
