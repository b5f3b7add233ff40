"""Records say what follows from their figures: verdicts by the table that judged them, and the page's words by the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import claims_page
import pytest

from legato.claims import CLAIMS, EDITION, FAMILY, LEVEL, Verdict, combined, table_hash, word
from legato.experiment.scales import declared

RECORDS = Path(__file__).parents[1] / "records"


def read(name: str) -> dict[str, Any]:
    return json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))


FULL, QUICK, FIRST = read("claims-mnist"), read("claims-mnist-quick"), read("claims-mnist-first")  # the last by the first table
TODAYS = pytest.mark.parametrize("record", [FULL, QUICK], ids=["full", "quick"])


def test_the_pages_tables_are_the_records():
    page = claims_page.PAGE.read_text(encoding="utf-8")
    assert claims_page.filled(page) == page
    for claim in FULL["claims"]:
        assert f"| [{claim['id']}](#claim-{claim['id']}) | {claim['sentence']} | **{claim['verdict']}** |" in page
        assert all(claims_page._cell(rule["says"]) in page for rule in claim["rule"])


@TODAYS
def test_a_record_was_judged_by_the_table_of_today(record):
    assert record["protocol"]["rules_hash"] == table_hash(declared())
    assert record["protocol"]["edition"] == EDITION


@TODAYS
@pytest.mark.parametrize("number", [claim.id for claim in CLAIMS])
def test_every_verdict_follows_from_its_p_values_adjusted_for_the_number_of_claims(record, number):
    kept = record["claims"][number - 1]
    words = [word((rule.get("adjusted p") or rule["p"] or {}).values() or None) for rule in kept["rule"]]
    assert [one.value for one in words] == [rule["verdict"] for rule in kept["rule"]]
    assert combined(words).value == kept["verdict"]


@TODAYS
@pytest.mark.parametrize("kind", ["holds", "past failing", "fails"])
def test_the_adjusted_p_values_are_holms(record, kind):
    """Written out by its definition: the k-th smallest of m, times m − k + 1, no less than those before it."""
    rules = [claim["rule"][0] for claim in record["claims"] if not claim["rule"][0]["arithmetic"]]
    known = sorted(((rule["p"][kind], rule["adjusted p"][kind]) for rule in rules if rule["p"]), key=lambda pair: pair[0])
    least = 0.0
    for k, (p, adjusted) in enumerate(known):
        least = max(least, min(1.0, (len(known) - k) * p))
        assert adjusted == pytest.approx(least)


@TODAYS
def test_a_row_that_is_not_adjusted_holds_where_its_95_percent_interval_lies_beyond_the_margin(record):
    rules = [rule for claim in record["claims"] for rule in claim["rule"] if "adjusted p" not in rule and rule["upto"] is None]
    assert len(rules) > 10
    for rule in rules:
        low, high = rule["estimate"]["low"], rule["estimate"]["high"]
        if rule["p"] is None:
            assert rule["verdict"] == Verdict.CANNOT_TELL
            continue
        beyond = low >= rule["holds"] if rule["holds"] > rule["fails"] else high <= rule["holds"]
        assert (rule["verdict"] == Verdict.HOLDS) == beyond == (rule["p"]["holds"] <= LEVEL)


@pytest.mark.parametrize(("record", "seeds", "models"), [(FULL, 5, 11), (QUICK, 4, 6)], ids=["full", "quick"])
def test_a_record_has_so_many_seeds_of_so_many_models(record, seeds, models):
    members = {(one["name"], one["seed"]) for one in record["protocol"]["members"] if one["latent_dim"] == 16}
    assert record["protocol"]["seeds"] == seeds
    assert len(members) == seeds * models


@pytest.mark.parametrize(("record", "name"), [(FULL, "claims-mnist-figures"), (FIRST, "claims-mnist-figures-first")])
def test_a_seeds_figures_are_those_the_verdicts_rest_on(record, name):
    figures = read(name)
    for claim in record["claims"]:
        for name, one in claim["primary"].items():
            if name == FAMILY:  # not a model's: ranks of all, made of their figures
                assert one == claims_page.judged(CLAIMS[claim["id"] - 1], figures)["primary"][name]
                continue
            kept = [value for value in figures[name][one["measure"]] if value is not None]
            told = [seed["value"] for seed in one["seeds"] if seed["value"] is not None]
            assert kept == pytest.approx(told, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("number", [claim["id"] for claim in FIRST["claims"]])
def test_the_first_editions_verdicts_follow_from_its_intervals_and_its_margins(number):
    """The rule of then, written out: an interval beyond `holds`, on the far side of `fails`, past it, or across it."""
    kept = FIRST["claims"][number - 1]
    words = []
    for rule in kept["rule"]:
        sign = 1 if rule["holds"] > rule["fails"] else -1
        low, high = sorted((sign * rule["estimate"]["low"], sign * rule["estimate"]["high"]))
        holds, fails = sign * rule["holds"], sign * rule["fails"]
        known = [(low >= holds, Verdict.HOLDS), (high <= fails, Verdict.FAILS), (low > fails, Verdict.IN_PART)]
        words.append(next((said for is_so, said in known if is_so), Verdict.CANNOT_TELL))
        assert words[-1] == rule["verdict"]
    assert combined(words) == kept["verdict"]
