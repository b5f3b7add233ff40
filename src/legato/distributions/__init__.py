"""Distributions that torch lacks, and the table of closed-form divergences between those it has."""

from legato.distributions.bernoulli import IndependentBernoulli
from legato.distributions.continuous_bernoulli import ContinuousBernoulli
from legato.distributions.divergence import closed_form, kl_per_dimension, register_kl
from legato.distributions.pixels import BIN, DiscretizedLogistic
from legato.distributions.point import PointMass
from legato.distributions.reparameterised import log_density, reparameterised
from legato.distributions.solved import SolvedNormal

__all__ = [
    "BIN",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "IndependentBernoulli",
    "PointMass",
    "SolvedNormal",
    "closed_form",
    "kl_per_dimension",
    "log_density",
    "register_kl",
    "reparameterised",
]
