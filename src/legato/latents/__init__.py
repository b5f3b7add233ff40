"""Latents: how x becomes a code, and where codes are drawn from without x."""

from legato.latents.flat import Flat
from legato.latents.hamiltonian import Hamiltonian
from legato.latents.hierarchy import Hierarchy
from legato.latents.ladder import Ladder
from legato.latents.latent import Latent

__all__ = ["Flat", "Hamiltonian", "Hierarchy", "Ladder", "Latent"]
