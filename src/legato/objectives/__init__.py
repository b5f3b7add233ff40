"""Objectives: weighted sums of terms, each a function of one trace, in nats per example."""

from legato.objectives.adversaries import (
    Adversary,
    FeatureDistortion,
    ImageAdversary,
    ImageCritic,
    TotalCorrelation,
    critic,
)
from legato.objectives.aggregate import Covariance, Discrepancy, IndexEntropy, SlicedWasserstein
from legato.objectives.beside import beside
from legato.objectives.bounds import (
    Commitment,
    Distortion,
    ImportanceWeighted,
    MeanRate,
    Pull,
    Rate,
    Rows,
    importance_weighted_bound,
)
from legato.objectives.constraints import Begun, Capacity, Multiplier
from legato.objectives.decomposition import Dependence, DimensionwiseRate, IndexInformation
from legato.objectives.equivariance import Equivariance
from legato.objectives.features import Perceptual
from legato.objectives.importance import MultiplyWeighted, PartiallyWeighted, Reparameterised, miwae_bound
from legato.objectives.labels import Classification
from legato.objectives.likenesses import Dissimilarity, LogCosh
from legato.objectives.patches import PatchAdversary, PatchCritic
from legato.objectives.penalties import DecoderSlope, DecoderWeights
from legato.objectives.term import Loss, Objective, Term, Weight, anneal

__all__ = [
    "Adversary",
    "Begun",
    "Capacity",
    "Classification",
    "Commitment",
    "Covariance",
    "DecoderSlope",
    "DecoderWeights",
    "Dependence",
    "DimensionwiseRate",
    "Discrepancy",
    "Dissimilarity",
    "Distortion",
    "Equivariance",
    "FeatureDistortion",
    "ImageAdversary",
    "ImageCritic",
    "ImportanceWeighted",
    "IndexEntropy",
    "IndexInformation",
    "LogCosh",
    "Loss",
    "MeanRate",
    "Multiplier",
    "MultiplyWeighted",
    "Objective",
    "PartiallyWeighted",
    "PatchAdversary",
    "PatchCritic",
    "Perceptual",
    "Pull",
    "Rate",
    "Reparameterised",
    "Rows",
    "SlicedWasserstein",
    "Term",
    "TotalCorrelation",
    "Weight",
    "anneal",
    "beside",
    "critic",
    "importance_weighted_bound",
    "miwae_bound",
]
