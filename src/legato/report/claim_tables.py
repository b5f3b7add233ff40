"""The tables of the claims' report: a claim's rules with their estimates, and the figures of every model side by side."""

from __future__ import annotations

from typing import Any

from legato.experiment.contrasts import Evidence
from legato.experiment.members import title_of
from legato.measures.controls import Ranking
from legato.measures.estimate import Estimate
from legato.measures.interval import bracketed
from legato.report.html import Table
from legato.report.verdicts import verdict_badge
from legato.survey.material import Material

IMAGES = ("frechet", "realism")  # measures of images, which a control's may be put beside
JUDGED = ("mean image", "nearest copy", "cross-fade")
SHOWN = {  # measure -> its heading
    "elbo": "ELBO",
    "distortion": "distortion",
    "rate": "rate",
    "noise ratio": "σ / spread",
    "frechet reconstruction": "FD reconstructed",
    "frechet mixture": "FD mixture",
    "frechet prior": "FD N(0, I)",
    "frechet midpoint": "FD midpoint",
    "realism prior": "realism N(0, I)",
    "coverage prior": "coverage N(0, I)",
    "hole 1%": "H 1 %",
    "mutual information": "I(n; z)",
    "confusion": "confusion",
    "r50": "r₅₀",
    "purity": "purity",
}


def units(material: Material) -> str:
    """In what the table's columns are."""
    eyes = material.eyes
    return (
        "ELBO, distortion, rate and I(n; z) in nats per example. FD: Fréchet distance of decoded means to "
        f"{len(material.test):,} test images in {eyes.first.name}; realism: the share of samples that lie among real images, "
        "real = 1. H 1 %: share of the prior's draws where held-out codes are rarer than 1 in 100. r₅₀ in standard deviations "
        "of the codes."
    )


def compared(evidence: Evidence, caption: str) -> Table:
    """A row for each model and control, mean over seeds ± half its interval over seeds."""
    known = [measure for measure in SHOWN if any(evidence.values(measure, name) for name in evidence.found)]
    rows = [(title_of(name), *(_cell(evidence, measure, name) for measure in known)) for name in evidence.found]
    return Table(
        ("model", *(SHOWN[measure] for measure in known)), rows, f"{caption} Means over seeds ± half a 95 % t-interval."
    )


def rules(found: list[dict[str, Any]]) -> Table:
    """What was asked, what came out, the margins, the word."""
    rows = []
    for rule in found:
        estimate = Estimate(**{"why": None, **rule["estimate"]})
        beside = f" / {title_of(rule['beside'])}" if rule["beside"] else ""
        value = bracketed(estimate) if estimate.value is not None else f"{estimate.why}"
        says = f"{rule['says']} (true by arithmetic)" if rule["arithmetic"] else rule["says"]
        row = (
            says,
            f"{rule['measure']}, {title_of(rule['of'])}{beside}",
            value,
            margins(rule),
            verdict_badge(rule["verdict"]),
        )
        rows.append(row)
    return Table(("rule", "measure", "estimate over seeds", "margins", "word"), rows, stacked=True)


def margins(rule: dict[str, Any]) -> str:
    """Where a rule holds and where it does not, in words."""
    if rule["upto"] is None:
        return f"{rule['holds']:g} holds, {rule['fails']:g} does not"
    return f"{rule['holds']:.3g} to {rule['upto']:.3g} holds, below {rule['fails']:.3g} or above {rule['beyond']:.3g} does not"


def blind(evidence: Evidence, found: list[dict[str, Any]]) -> list[str]:
    """A sentence for each control that a rule's measure puts above the model it is about."""
    told: dict[str, None] = {}
    for measure, of in {(rule["measure"], rule["of"]): None for rule in found if rule["measure"].startswith(IMAGES)}:
        controls = {name: evidence.found[name][0][measure] for name in JUDGED if measure in evidence.found.get(name, [{}])[0]}
        ranking = Ranking(measure, evidence.over_seeds(measure, of), controls, not measure.startswith("frechet"))
        plain = (sentence.replace(" )", ")").replace("the model", title_of(of)) for sentence in ranking.warnings())
        told |= dict.fromkeys(f"Beware: {sentence}." for sentence in plain)
    return list(told)


def _cell(evidence: Evidence, measure: str, name: str) -> str | None:
    if not evidence.values(measure, name):
        return None
    one = evidence.over_seeds(measure, name)
    assert one.value is not None
    digits = 1 if abs(one.value) >= 20 else 2 if abs(one.value) >= 0.1 else 3
    if abs(one.value) < 0.001 and one.value != 0:
        return f"{one.value:.0e}"
    if one.low is None or one.high is None or name in evidence.fixed:
        return f"{one.value:.{digits}f}"
    return f"{one.value:.{digits}f} ± {(one.high - one.low) / 2:.{digits}f}"
