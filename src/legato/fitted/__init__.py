"""Priors that are fitted to codes after training: each is one more prior, in a model's place for p(z)."""

from legato.fitted.gaussians import Gaussians
from legato.fitted.matching import FlowMatching
from legato.fitted.scaled import Scaled
from legato.fitted.solver import Method
from legato.fitted.velocity import Attending, Dense, Velocity

__all__ = ["Attending", "Dense", "FlowMatching", "Gaussians", "Method", "Scaled", "Velocity"]
