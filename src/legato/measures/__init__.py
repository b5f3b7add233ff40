"""Measures: estimates with intervals, of what a trained model does."""

from __future__ import annotations

from legato.measures.comparison import compare
from legato.measures.estimate import Estimate, absent, bootstrap, mean_over
from legato.measures.scorecard import evaluate

__all__ = ["Estimate", "absent", "bootstrap", "compare", "evaluate", "mean_over"]
