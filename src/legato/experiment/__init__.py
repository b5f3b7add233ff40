"""The experiment behind the claims: a family of models trained alike, measured alike, and judged by one table."""

from __future__ import annotations

from legato.experiment.conclusion import conclude
from legato.experiment.family import Protocol
from legato.experiment.run import Experiment, conduct
from legato.workers import stoppable

__all__ = ["Experiment", "Protocol", "conclude", "conduct", "stoppable"]
