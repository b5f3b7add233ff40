"""The chapters, in the order in which they are measured."""

from __future__ import annotations

from legato.survey.chapter import Chapter
from legato.survey.likelihood import BOUNDS, WIDTHS

CHAPTERS: tuple[Chapter, ...] = (BOUNDS, WIDTHS)
