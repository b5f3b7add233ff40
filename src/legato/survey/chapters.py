"""The chapters, in the order in which they are measured."""

from __future__ import annotations

from legato.survey.chapter import Chapter
from legato.survey.disentangled import FACTORS
from legato.survey.fidelity import LADDER, MIDPOINTS
from legato.survey.likelihood import ANNEALED, BOUNDS, WEIGHTED, WIDTHS
from legato.survey.meaning import LABELS, NEIGHBOURS
from legato.survey.mechanics import BALANCE, DRAWN, GRADIENTS
from legato.survey.paths import PATHS
from legato.survey.population import HOLES, NULL, RATE, SHAPE
from legato.survey.robustness import CYCLE, NOISE, STRETCH

CHAPTERS: tuple[Chapter, ...] = (
    BOUNDS,
    WEIGHTED,
    ANNEALED,
    WIDTHS,
    BALANCE,
    GRADIENTS,
    DRAWN,
    RATE,
    NULL,
    SHAPE,
    HOLES,
    LABELS,
    NEIGHBOURS,
    FACTORS,
    LADDER,
    MIDPOINTS,
    PATHS,
    NOISE,
    CYCLE,
    STRETCH,
)
