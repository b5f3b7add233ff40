"""Posterior collapse of a run in a word, and what to do about it in a few."""

from __future__ import annotations

from collections.abc import Sequence

from legato.data.prepared import Prepared
from legato.measures.collapse import Collapse, State, collapse
from legato.measures.interval import bracketed
from legato.report.html import Badge, Section, Table, Tone
from legato.report.trained.subjects import Subject, shown_rows, stored
from legato.types import Floats

MOST = 2000  # examples: a dimension that is used by none of so many is used by none
THRESHOLD = 0.01  # of active units: Burda et al.'s, for counts that compare with theirs

OWN_PRIOR = (
    "The prior is not N(0, I): how far a posterior lies from it is not told dimension by dimension. A dimension that is not "
    "active here says nothing of the image, whatever the prior."
)

SAID: dict[State, tuple[str, Tone]] = {
    "points": ("has no prior", "unknown"),
    "uncharged": ("KL not charged", "unknown"),
    "collapsed": ("collapsed", "bad"),
    "unsettled": ("not converged", "part"),
    "mostly unused": ("mostly unused", "good"),
    "some unused": ("some unused", "good"),
    "all used": ("not collapsed", "good"),
}


Row = tuple[str, Badge, str, str]  # title, verdict, active dimensions, advice


def collapse_section(subjects: Sequence[Subject], data: Prepared) -> Section:
    """A row for each run: the word, how many dimensions move with the example, and the advice."""
    rows = shown_rows(data, MOST)
    kept = stored(data, rows)
    return verdict_section([_judged(subject, *subject.space.encode(kept, rows)) for subject in subjects], len(rows))


def _judged(subject: Subject, mu: Floats, sigma: Floats) -> Row:
    space = subject.space
    if not space.has_standard_prior:
        return beside_its_own_prior(subject.title, mu)
    return judged(subject.title, collapse(mu, sigma if space.has_width else None), charged=space.prior_was_trained)


def beside_its_own_prior(title: str, mu: Floats) -> Row:
    """The row of a model whose prior is not N(0, I): the KL's closed form in each dimension is no price there."""
    return title, Badge("prior of its own", "unknown"), active(collapse(mu, None)), OWN_PRIOR


def judged(title: str, found: Collapse, *, charged: bool = True) -> Row:
    """The row of any model; `charged`: whether its objective charged the KL."""
    advice = found.advice(charged)
    sentence = advice.sentence[:1].upper() + advice.sentence[1:]
    return title, Badge(*SAID[advice.state]), active(found), sentence


def active(found: Collapse) -> str:
    """The number of dimensions that move with the example, of how many."""
    return f"{bracketed(found.active[THRESHOLD])} of {len(found.signal)}"


def verdict_section(rows: Sequence[Row], examples: int, of: str = "run") -> Section:
    """The rows, judged on so many test examples; `of`: what each row is."""
    caption = (
        f"Posteriors of {examples:,} test examples. Active: dimensions whose mean varies by more than {THRESHOLD} (Var μ)."
    )
    text = "A posterior collapses where it is the prior for every example: the code then says nothing."
    return Section("Has it collapsed?", text, table=Table((of, "verdict", "active", "advice"), rows, caption, stacked=True))
