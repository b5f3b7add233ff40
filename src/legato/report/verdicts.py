"""Verdicts as a report shows them: a table of sentences, each with its word in a badge and what was found.

Covered: badges that read without colour, a table that stands upright on a phone. Not covered: what decides (`legato.claims`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from legato.claims import Verdict
from legato.report.html import Badge, Table, Tone, kept

TONES: dict[Verdict, Tone] = {
    Verdict.HOLDS: "good",
    Verdict.IN_PART: "part",
    Verdict.FAILS: "bad",
    Verdict.CANNOT_TELL: "unknown",
}


@dataclass(frozen=True)
class Judged:
    """One claim: its number and sentence, the word, and in a sentence or two what was found."""

    number: int
    sentence: str
    verdict: str
    found: str = ""


def verdict_badge(word: str) -> Badge:
    """The word in its colour, behind its mark. Raises ValueError for a word that is no verdict."""
    return Badge(str(word), TONES[Verdict(word)])


def verdict_table(judged: Sequence[Judged], caption: str = "") -> Table:
    """One row for each claim, in the order given: the sentence, the word, what was found."""
    rows = [(f"{one.number}. {one.sentence}", verdict_badge(one.verdict), kept(one.found) or None) for one in judged]
    return Table(("claim", "verdict", "what was found"), rows, caption, stacked=True)
