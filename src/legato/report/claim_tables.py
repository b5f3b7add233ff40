"""The tables of the claims' report: a claim's rules with their estimates, the figures of every model side by side, what the
measures do not see.
"""

from __future__ import annotations

from typing import Any

from legato.experiment.contrasts import Evidence
from legato.experiment.members import title_of
from legato.measures.controls import BLINDNESS, Ranking
from legato.measures.estimate import estimate_of
from legato.measures.interval import bracketed
from legato.measures.known import called, measure_of
from legato.report.html import NBSP, Section, Table
from legato.report.verdicts import verdict_badge
from legato.survey.material import Material

JUDGED = ("mean image", "nearest copy", "cross-fade")
SHOWN = {  # part of the table -> its measures, few enough to stand beside each other at 1,200 pixels
    "What the models cost and keep": ("elbo", "distortion", "rate", "noise ratio", "mutual information", "confusion"),
    "How real their images are": (
        *("frechet reconstruction", "frechet mixture", "frechet prior", "frechet midpoint", "realism prior", "coverage prior"),
    ),
    "What their spaces are like": ("hole 1%", "r50", "moved by a tenth", "purity"),
}


def units(material: Material) -> str:
    """A sentence that says which units the columns are in."""
    return (
        f"Distances (Fréchet) in {material.reference.first.name}, of decoded means from {len(material.test):,} test images. "
        "Means over seeds ± half a 95 % t-interval; – where a model or a control has none."
    )


def compared(evidence: Evidence, caption: str) -> list[Section]:
    """A table for each part, a row for each model and control that has any of its figures; the caption is the last's."""
    known = {part: [key for key in keys if _any(evidence, key)] for part, keys in SHOWN.items()}
    parts = [Section(part, table=_table(evidence, keys)) for part, keys in known.items() if keys]
    for part in parts[-1:]:
        assert part.table is not None
        parts[-1] = Section(part.title, table=Table(part.table.columns, part.table.rows, caption))
    return parts


def _any(evidence: Evidence, measure: str) -> bool:
    return any(evidence.values(measure, name) for name in evidence.found)


def _table(evidence: Evidence, keys: list[str]) -> Table:
    names = [name for name in evidence.found if any(evidence.values(key, name) for key in keys)]
    rows = [(title_of(name), *(_cell(evidence, key, name) for key in keys)) for name in names]
    return Table(("model", *(called(key) for key in keys)), rows)


def rules(found: list[dict[str, Any]]) -> Table:
    """The rules of a claim: what was asked, what came out, the margins, the word."""
    rows = []
    for rule in found:
        estimate = estimate_of(rule["estimate"])
        beside = f" / {title_of(rule['beside'])}" if rule["beside"] else ""
        value = bracketed(estimate).replace(" ", NBSP) if estimate.value is not None else f"{estimate.why}"
        says = f"{rule['says']} (true by arithmetic)" if rule["arithmetic"] else rule["says"]
        row = (
            says,
            f"{called(rule['measure'])}: {title_of(rule['of'])}{beside}",
            value,
            margins(rule),
            verdict_badge(rule["verdict"]),
        )
        rows.append(row)
    return Table(("what was asked", "measure", "found, over seeds", "margins", "verdict"), rows, stacked=True)


def margins(rule: dict[str, Any]) -> str:
    """The margins of a rule in words: where it holds and where it does not."""
    if rule["upto"] is None:
        return f"{rule['holds']:g} holds, {rule['fails']:g} does not"
    return f"{rule['holds']:.3g} to {rule['upto']:.3g} holds, below {rule['fails']:.3g} or above {rule['beyond']:.3g} does not"


def blind(evidence: Evidence, claims: list[dict[str, Any]]) -> Table | None:
    # A dictionary for its order: each name once, as it was met.
    """Each measure that puts a control above a model which a rule is about, and what that says of the measure."""
    above: dict[tuple[str, str], dict[str, None]] = {}
    for rule in (rule for claim in claims for rule in claim["rule"] if measure_of(rule["measure"]).stood_in):
        for control in _ahead(evidence, rule["measure"], rule["of"]):
            above.setdefault((rule["measure"], control), {})[title_of(rule["of"])] = None
    rows = [(called(m), title_of(control), "; ".join(told), BLINDNESS[control]) for (m, control), told in above.items()]
    return Table(("measure", "puts this", "above", "for"), rows, stacked=True) if rows else None


def _ahead(evidence: Evidence, measure: str, of: str) -> list[str]:
    # Of seed 0: these controls are images that no seed trains.
    controls = {name: evidence.found[name][0][measure] for name in JUDGED if measure in evidence.found.get(name, [{}])[0]}
    return Ranking(measure, evidence.over_seeds(measure, of), controls, measure_of(measure).better == "higher").above()


def _cell(evidence: Evidence, measure: str, name: str) -> str | None:
    if not evidence.values(measure, name):
        return None
    one = evidence.over_seeds(measure, name)
    assert one.value is not None
    # Digits by size: a column of Fréchet distances and shares would else be either ragged or full of zeros.
    digits = 1 if abs(one.value) >= 20 else 2 if abs(one.value) >= 0.1 else 3
    if abs(one.value) < 0.001 and one.value != 0:
        return f"{one.value:.0e}".replace("e-0", "e-").replace("-", "−")
    told = f"{one.value:.{digits}f}".replace("-", "−")
    # what no seed trains has no interval, and ± 0 would look exact
    if one.low is None or one.high is None or name in evidence.fixed:
        return told
    return f"{told} ± {(one.high - one.low) / 2:.{digits}f}"
