"""Whether a run's posterior has collapsed, in a word, and what to do about it, in a few."""

from __future__ import annotations

from collections.abc import Sequence

from legato.data.prepared import Prepared
from legato.measures.collapse import State, collapse
from legato.report.html import Badge, Section, Table, Tone
from legato.report.interval import bracketed
from legato.report.trained.subjects import Subject, shown_rows, stored

MOST = 2000  # examples: a dimension that is used by none of them is used by none
THRESHOLD = 0.01  # of active units, Burda et al.'s

SAID: dict[State, tuple[str, Tone]] = {
    "points": ("has no prior", "unknown"),
    "uncharged": ("KL not charged", "unknown"),
    "collapsed": ("collapsed", "bad"),
    "unsettled": ("not converged", "part"),
    "mostly unused": ("mostly unused", "good"),
    "some unused": ("some unused", "good"),
    "all used": ("not collapsed", "good"),
}


def collapse_section(subjects: Sequence[Subject], data: Prepared) -> Section:
    """A row for each run: the word, how many dimensions move with the example, and the advice."""
    rows = shown_rows(data)[:MOST]
    kept = stored(data, rows)
    table = []
    for subject in subjects:
        mu, sigma = subject.space.encode(kept, rows)
        found = collapse(mu, sigma if subject.space.has_density else None)
        advice = found.advice(subject.space.prior_was_trained)
        active = f"{bracketed(found.active[THRESHOLD])} of {subject.space.latent_dim}"
        table.append((subject.title, Badge(*SAID[advice.state]), active, advice.sentence))
    caption = (
        f"Posteriors of {len(rows):,} test examples. Active: dimensions whose mean varies by more than {THRESHOLD} (Var μ)."
    )
    text = "A posterior collapses where it is the prior for every example: the code then says nothing."
    return Section("Has it collapsed?", text, table=Table(("run", "verdict", "active", "advice"), table, caption, stacked=True))
