"""The tables of docs/claims.md, from a recorded experiment.

    legato claims --data mnist --seeds 5 --minutes-per-model 1 --out runs/claims
    python records/claims_page.py runs/claims/claims.json        # writes the tables between the page's marks anew

Covered: the table of verdicts, and for each claim its rules and its primary measure of every model and control. Not covered:
what is said of them, which a person writes; that a verdict follows from its estimates, which tests/test_record.py checks.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from legato.claims import CLAIMS, HIGH, LOW
from legato.experiment.members import title_of
from legato.measures.estimate import Estimate
from legato.report.interval import bracketed

PAGE = Path(__file__).parents[1] / "docs" / "claims.md"
SHORT = ("value", "low", "high", "n", "unit", "method", "why")


def estimate(stored: Mapping[str, Any]) -> Estimate:
    """One of claims.json."""
    return Estimate(**{"why": None, **{name: stored[name] for name in SHORT if name in stored}})


def verdicts(record: Mapping[str, Any]) -> Iterator[str]:
    """The first table."""
    yield "| | claim | verdict |"
    yield "|---|---|---|"
    for claim in record["claims"]:
        yield f"| [{claim['id']}](#claim-{claim['id']}) | {claim['sentence']} | **{claim['verdict']}** |"


def tables(claim: Mapping[str, Any], titles: Mapping[str, str]) -> Iterator[str]:
    """A claim's verdict, its rules, and its primary measure of every model and control."""
    yield f"Verdict: **{claim['verdict']}**."
    yield ""
    yield "| rule | measured over seeds | fails at | holds from | so it |"
    yield "|---|---|---|---|---|"
    for rule in claim["rule"]:
        found, margins = bracketed(estimate(rule["estimate"])), f"{rule['fails']:g} | {rule['holds']:g}"
        yield f"| {rule['says']}: {_sides(rule, titles)} | {found} | {margins} | {rule['verdict']} |"
    yield ""
    yield f"The primary measure, {claim['rule'][0]['measure']} ({_unit(claim)}), of everyone:"
    yield ""
    everyone = {**claim["primary"], **claim["controls"]}
    yield "| | mean and 95 % interval over seeds |"
    yield "|---|---|"
    for one in everyone.values():
        yield f"| {one['title']} | {bracketed(estimate(one))} |"


def _sides(rule: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    of, beside = titles[rule["of"]], rule["beside"]
    return f"{rule['measure']} of {of}" + (f", over that of {titles[beside]}" if beside else "")


def _unit(claim: Mapping[str, Any]) -> str:
    everyone = [*claim["primary"].values(), *claim["controls"].values()]
    return next((seed["unit"] for one in everyone for seed in one["seeds"] if seed["unit"]), "no unit")


def named(record: Mapping[str, Any]) -> dict[str, str]:
    """What the rules call models -> what the page calls them."""
    betas = sorted({member["beta"] for member in record["protocol"]["members"] if "beta" in member})
    ends = {LOW: f"VAE, β = {betas[0]:g}", HIGH: f"VAE, β = {betas[-1]:g}"}
    names = {name for claim in CLAIMS for rule in claim.rules for name in (rule.of, rule.beside) if name}
    return {name: title_of(name) for name in names} | ends


def filled(page: str, record: Mapping[str, Any]) -> str:
    """The page with every table made anew between `<!-- NAME -->` and `<!-- / -->`."""
    parts = {"verdicts": "\n".join(verdicts(record))}
    parts |= {f"claim {claim['id']}": "\n".join(tables(claim, named(record))) for claim in record["claims"]}
    for name, text in parts.items():
        page, found = re.subn(rf"(<!-- {name} -->\n).*?(<!-- / -->)", rf"\g<1>{text}\n\g<2>", page, flags=re.DOTALL)
        assert found == 1, f"the page has {found} places for `{name}`"
    return page


if __name__ == "__main__":
    read = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), read), encoding="utf-8")
