"""Objectives: weighted sums of terms, each a function of one trace, in nats per example."""

from legato.objectives.adversaries import TotalCorrelation, critic
from legato.objectives.bounds import Commitment, Distortion, ImportanceWeighted, MeanRate, Pull, Rate, importance_weighted_bound
from legato.objectives.constraints import Multiplier
from legato.objectives.term import Loss, Objective, Term, Weight, anneal

__all__ = [
    "Commitment",
    "Distortion",
    "ImportanceWeighted",
    "Loss",
    "MeanRate",
    "Multiplier",
    "Objective",
    "Pull",
    "Rate",
    "Term",
    "TotalCorrelation",
    "Weight",
    "anneal",
    "critic",
    "importance_weighted_bound",
]
