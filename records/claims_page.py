"""The tables of docs/claims.md, from a recorded experiment.

    legato claims --data mnist --seeds 5 --steps-per-model 3007 --out runs/claims
    python records/claims_page.py runs/claims      # keeps claims.json and every figure here, and makes the page's tables anew
    python records/claims_page.py                  # makes them anew from what is kept
    python records/claims_page.py --anew           # judges what is kept by the table of today, with claims that it did not know

Covered: the table of verdicts; for each claim its rules and its primary measure of every model and control; what else the page
shows beside. Not covered: what is said of them, which a person writes; that a verdict follows from its estimates, which
tests/test_record.py checks.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from legato.claims import CLAIMS, EDITION, FAMILY, KINDS, Claim, Verdict, combined, decide, parts, table_hash, word
from legato.experiment.across import across
from legato.experiment.conclusion import CONTROLS
from legato.experiment.contrasts import Evidence, contrasts
from legato.experiment.members import LARGE, title_of
from legato.experiment.scales import declared
from legato.measures.estimate import Estimate, absent, holm
from legato.measures.interval import bracketed
from legato.measures.seeds import Contrast
from legato.report.claim_tables import margins

HERE = Path(__file__).parent
QUICK = HERE / "claims-mnist-quick.json"  # without figures by seed
PAGE, CLAIMED, FIGURES = HERE.parent / "docs" / "claims.md", HERE / "claims-mnist.json", HERE / "claims-mnist-figures.json"
BEFORE = HERE / "claims-mnist-first.json"  # the first edition's
ORDER = (
    *("autoencoder", "noise", "pull", "mean-only", "fixed-noise"),
    *("beta-0.01", "beta-0.1", "beta-0.3", "beta-1", "beta-4", "beta-10"),
    *("untrained", "pca", "cross-fade", "train-against-test", "mean-image", "nearest-copy"),
)
SPACED = ("train-against-test", "mean-image", "nearest-copy")
BESIDE = {  # tables of means over seeds: heading -> measure
    "ladder": {
        "reconstructions": "frechet reconstruction",
        "mixture": "frechet mixture",
        "Gaussian": "frechet gaussian",
        "N(0, I)": "frechet prior",
    },
    "rates": {
        "rate": "rate",
        "I(n; z)": "mutual information",
        "KL(q̂ ‖ p)": "marginal KL",
        "the same, null": "null marginal KL",
        "confusion": "confusion",
        "null": "null confusion",
        "overlap": "overlap",
    },
    "holes": {
        "H 1 %": "hole 1%",
        "H 5 %": "hole 5%",
        "kernel H 5 %": "kernel hole 5%",
        "of means alone": "kernel hole of means 5%",
        "classifier": "two-sample accuracy",
    },
    "paths": {
        "straightness": "straightness",
        "in features": "straightness in features",
        "jumpiness": "jumpiness",
        "in features ": "jumpiness in features",
        "between its ends": "midpoint between ends",
        "realism at midpoints": "realism midpoint",
        "‖midpoint‖": "midpoint norm",
    },
    "robust": {
        "moved by a tenth": "moved by a tenth",
        "r₅₀": "r50",
        "in features": "r50 in features",
        "class flips at": "flip50",
        "stretch": "stretch posterior",
        "unevenness": "stretch posterior unevenness",
        "I(n; z)": "mutual information",
    },
    "meaning": {
        "purity": "purity",
        "linear probe": "probe",
        "probe, few labels": "few-label probe",
        "trustworthiness": "trustworthiness",
        "continuity": "continuity",
    },
    "gradients": {
        "variance, score to pathwise": "variance ratio",
        "without baseline": "variance ratio without baseline",
        "signal to noise, pathwise": "signal to noise, pathwise",
        "score": "signal to noise, score function",
        "bias, squared s.e.": "bias of the score function",
    },
    "models": {
        "distortion": "distortion",
        "rate": "rate",
        "ELBO": "elbo",
        "Fréchet of samples": "frechet prior",
        "coverage of samples": "coverage prior",
        "root mean square of μ": "size of means",
        "σ": "sigma",
    },
    "likelihoods": {
        "ELBO of these rows": "elbo of the weighted rows",
        "nll, k = 5,000": "nll",
        "untrusted": "untrusted share",
        "effective draws": "effective draws",
    },
}
SHORT = ("value", "low", "high", "n", "unit", "method", "why")


def estimate(stored: Mapping[str, Any]) -> Estimate:
    """One of claims.json."""
    return Estimate(**{"why": None, **{name: stored[name] for name in SHORT if name in stored}})


def verdicts(record: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    """The first table: every verdict beside that of the first edition."""
    yield "| | claim | verdict | first edition |"
    yield "|---|---|---|---|"
    first = {claim["id"]: claim["verdict"] for claim in before["claims"]}
    for claim in record["claims"]:
        number, said = f"[{claim['id']}](#claim-{claim['id']})", f"**{claim['verdict']}**"
        yield f"| {number} | {claim['sentence']} | {said} | {first.get(claim['id'], '–')} |"


def tables(claim: Mapping[str, Any], titles: Mapping[str, str]) -> Iterator[str]:
    """A claim's verdict, its rules, and its primary measure of every model and control."""
    yield f"Verdict: **{claim['verdict']}**." + (f" {claim['parts']}." if claim["parts"] else "")
    yield ""
    yield "| rule | measured over seeds | margins | p | so it |"
    yield "|---|---|---|---|---|"
    for rule in claim["rule"]:
        found = bracketed(estimate(rule["estimate"]))
        yield f"| {_cell(rule['says'])}: {_sides(rule, titles)} | {found} | {margins(rule)} | {_p(rule)} | {rule['verdict']} |"
    yield ""
    yield f"The primary measure, {claim['rule'][0]['measure']} ({_unit(claim)}), of everyone:"
    yield ""
    everyone = {**claim["primary"], **claim["controls"]}
    yield "| | mean and 95 % interval over seeds |"
    yield "|---|---|"
    for one in everyone.values():
        yield f"| {one['title']} | {bracketed(estimate(one))} |"


def _cell(text: str) -> str:
    """Text in a table, where a bar would begin the next column."""
    return text.replace("|", r"\|")


def _sides(rule: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    of, beside = titles[rule["of"]], rule["beside"]
    return f"{rule['measure']} of {of}" + (f", over that of {titles[beside]}" if beside else "")


def _p(rule: Mapping[str, Any]) -> str:
    """The p-value behind the word: of the first row adjusted for the number of claims."""
    if rule["arithmetic"]:
        return "by arithmetic"
    p, kinds = rule.get("adjusted p") or rule["p"], {"does not hold here": "fails", "holds in part": "past failing"}
    if p is None:
        return "–"
    value = p[kinds.get(rule["verdict"], "holds")]
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _unit(claim: Mapping[str, Any]) -> str:
    everyone = [*claim["primary"].values(), *claim["controls"].values()]
    return next((seed["unit"] for one in everyone for seed in one["seeds"] if seed["unit"]), "no unit")


def named() -> dict[str, str]:
    """What the rules call models -> what the page calls them."""
    names = {name for claim in CLAIMS for rule in claim.rules for name in (rule.of, rule.beside) if name}
    return {name: title_of(name) for name in names}


def filled(page: str) -> str:
    """The page with every table made anew between `<!-- NAME -->` and `<!-- / -->`, from what is kept."""
    record, figures, before = (json.loads(path.read_text(encoding="utf-8")) for path in (CLAIMED, FIGURES, BEFORE))
    parts = {"verdicts": "\n".join(verdicts(record, before))}
    parts |= {f"claim {claim['id']}": "\n".join(tables(claim, named())) for claim in record["claims"]}
    parts |= {name: "\n".join(beside(figures, measures)) for name, measures in BESIDE.items()}
    for name, text in parts.items():
        page, found = re.subn(rf"(<!-- {name} -->\n).*?(<!-- / -->)", rf"\g<1>{text}\n\g<2>", page, flags=re.DOTALL)
        assert found == 1, f"the page has {found} places for `{name}`"
    return page


def keep(out: Path) -> None:
    """claims.json as it is, and of every model and control the value of each figure by seed, to six digits."""
    record = json.loads((out / "claims.json").read_text(encoding="utf-8"))
    CLAIMED.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    kept: dict[str, dict[str, list[float | None]]] = {}
    for path in sorted((out / "evidence").glob(f"*-{LARGE}-seed*.json")):
        name = re.sub(rf"-{LARGE}-seed\d+$", "", path.stem)
        for measure, one in json.loads(path.read_text(encoding="utf-8"))["figures"].items():
            value = one["value"]
            kept.setdefault(name, {}).setdefault(measure, []).append(value if value is None else float(f"{value:.6g}"))
    lines = [f"{json.dumps(name)}: {json.dumps(figures)}" for name, figures in kept.items()]
    FIGURES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def anew(record: Mapping[str, Any], figures: Mapping[str, Mapping[str, list[float | None]]]) -> dict[str, Any]:
    """A record judged by the table of today: p-values as they were kept, adjusted for today's number of claims.

    A claim that it does not know is judged from its figures by seed, where it keeps any.
    """
    known = {claim["id"]: claim for claim in record["claims"]}
    claims = [dict(known[claim.id]) if claim.id in known else judged(claim, figures) for claim in CLAIMS]
    rows = [claim["rule"][0] for claim in claims if claim["rule"][0]["p"] and not claim["rule"][0]["arithmetic"]]
    for kind in KINDS:
        for row, p in zip(rows, holm([row["p"][kind] for row in rows]), strict=True):
            row["adjusted p"] = {**row.get("adjusted p", {}), kind: float(p)}
    for claim, rules in zip(claims, (claim.rules for claim in CLAIMS), strict=True):
        for row in claim["rule"]:
            p = row.get("adjusted p") or row["p"]
            row["verdict"] = word(p and [p[kind] for kind in KINDS]).value
        words = [Verdict(row["verdict"]) for row in claim["rule"]]
        claim |= {"verdict": combined(words).value, "parts": parts(rules, words)}
    judges = {"edition": EDITION, "rules_hash": table_hash(declared()), "figures of edition": 2}
    return {"claims": claims, "protocol": {**record["protocol"], **judges}}


def judged(claim: Claim, figures: Mapping[str, Mapping[str, list[float | None]]]) -> dict[str, Any]:
    """A claim about the whole family, from figures by seed."""
    trained = {
        name: found for name, found in figures.items() if name.replace("-", " ") not in CONTROLS and name not in CONTROLS
    }
    seeds = {name: [_of_seed(found, seed) for seed in range(len(found["r50"]))] for name, found in trained.items()}
    evidence = Evidence({FAMILY: across(seeds)})
    missing = Contrast(absent("this record keeps no figures by seed of samples"))
    decided = next(one for one in decide(contrasts(evidence) if figures else {}, missing) if one["id"] == claim.id)
    measure = claim.primary.measure
    each = [found[measure].to_json() for found in evidence.found[FAMILY]]
    over = {"title": title_of(FAMILY), "measure": measure, **evidence.over_seeds(measure, FAMILY).to_json(), "seeds": each}
    return {**decided, "primary": {FAMILY: over} if each else {}, "controls": {}}


def _of_seed(found: Mapping[str, list[float | None]], seed: int) -> dict[str, Estimate]:
    values = {name: by_seed[seed] for name, by_seed in found.items() if len(by_seed) > seed}
    return {name: Estimate(value, None, None, 0, "", "") for name, value in values.items() if value is not None}


def beside(figures: Mapping[str, Mapping[str, list[float | None]]], measures: Mapping[str, str]) -> Iterator[str]:
    """A table of means over seeds: a row for each model and control that has any of `measures`, by their headings.

    A measure that a record is too old to have gets no column.
    """
    measures = {name: one for name, one in measures.items() if any(one in known for known in figures.values())}
    yield "| | " + " | ".join(measures) + " |"
    yield "|---|" + "---|" * len(measures)
    for name in ORDER:
        cells = [_mean(figures[name].get(measure, [])) for measure in measures.values()]
        if any(cell != "–" for cell in cells):
            yield f"| {title_of(name.replace('-', ' ') if name in SPACED else name)} | " + " | ".join(cells) + " |"


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3g}".replace("-", "−") if known else "–"


if __name__ == "__main__":
    if sys.argv[1:] == ["--anew"]:
        for kept, by_seed in ((CLAIMED, FIGURES), (QUICK, None)):
            known = json.loads(by_seed.read_text(encoding="utf-8")) if by_seed else {}
            again = anew(json.loads(kept.read_text(encoding="utf-8")), known)
            kept.write_text(json.dumps(again, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    elif sys.argv[1:]:
        keep(Path(sys.argv[1]))
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
