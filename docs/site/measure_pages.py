"""The page of all measures, made of the table `legato/measures/known.py`."""

from __future__ import annotations

from legato.measures import known
from legato.measures.known import MEASURES, Measure

ARROWS = {"higher": "higher", "lower": "lower", "neither": "–"}
# Heading -> the key that it begins at: the table is in this order, and what stands before the next key belongs to the heading.
CHAPTERS = {
    "Likelihood": "distortion",
    "Widths and forces": "sigma",
    "Gradients and draws": "detached gradient",
    "What the rate is spent on": "mutual information",
    "Codes as a population": "norm distance",
    "Holes of the prior": "hole 1%",
    "Meaning": "purity",
    "Known factors": "MIG",
    "Samples, reconstructions and midpoints beside real images": "frechet reconstruction",
    "Paths": "straightness",
    "Robustness": "midpoint between ends",
    "The decoder's stretch": "stretch posterior",
}


def page() -> str:
    """Every measure, chapter by chapter."""
    chapters = "\n\n".join(f"## {title}\n\n{_table(rows)}" for title, rows in grouped().items())
    return f"""# Measures

Every figure that a survey, a scorecard, a comparison or a claim can hold: {len(MEASURES)} of them, from the one table
`src/legato/measures/known.py`. A key is what `survey.json` and `claims.json` call the measure; it never changes. Each comes
with its interval, its sample size and its method; what does not apply is null, with a `why`. How they are defined and what they
cost: [numbers](numbers.md). For a model of another library: [measure your own](measure.md).

{chapters}
"""


def grouped() -> dict[str, list[Measure]]:
    """Heading -> its measures; every measure stands under one."""
    starts = {key: title for title, key in CHAPTERS.items()}
    missing = sorted(set(starts) - set(MEASURES))
    if missing or next(iter(MEASURES)) not in starts:
        raise ValueError(f"no measure is called {missing}: CHAPTERS is to name keys of {known.__name__}")
    found: dict[str, list[Measure]] = {}
    title = ""
    for key, measure in MEASURES.items():
        title = starts.get(key, title)
        found.setdefault(title, []).append(measure)
    return found


def _table(rows: list[Measure]) -> str:
    head = "| measure | what it says | unit | better | needs |\n|---|---|---|---|---|\n"
    return head + "\n".join(_row(one) for one in rows)


def _row(one: Measure) -> str:
    cells = (f"**{one.headed}**<br>`{one.key}`", one.says, one.unit or "–", ARROWS[one.better], ", ".join(one.needs) or "–")
    return f"| {' | '.join(cell.replace('|', '∣') for cell in cells)} |"
