"""docs/claims.md says what the record says: its tables are the record's, its verdicts follow from the estimates."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from legato.claims import CLAIMS, Verdict, table_hash
from legato.measures.estimate import Estimate

RECORDS = Path(__file__).parents[1] / "records"
RECORD = json.loads((RECORDS / "claims-mnist.json").read_text(encoding="utf-8"))


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(RECORDS))
    import claims_page

    yield claims_page
    del sys.modules["claims_page"]


def test_the_tables_of_the_page_are_the_records(page):
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text) == text


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_verdict_follows_from_its_estimates_by_the_table_of_today(claim):
    kept = RECORD["claims"][claim.id - 1]
    found = [Estimate(**{"why": None, **rule["estimate"]}) for rule in kept["rule"]]
    assert claim.verdict(found) is Verdict(kept["verdict"])


def test_the_record_has_five_seeds_of_ten_models_judged_by_the_declared_table():
    protocol = RECORD["protocol"]
    assert protocol["seeds"] == 5
    assert protocol["rules_hash"] == table_hash()
    assert len({(one["name"], one["seed"]) for one in protocol["members"] if one["latent_dim"] == 16}) == 50


def test_a_seeds_figures_are_those_the_verdicts_rest_on():
    figures = json.loads((RECORDS / "claims-mnist-figures.json").read_text(encoding="utf-8"))
    for claim in RECORD["claims"]:
        for name, one in claim["primary"].items():
            kept = [value for value in figures[name][one["measure"]] if value is not None]
            told = [seed["value"] for seed in one["seeds"] if seed["value"] is not None]
            assert kept == pytest.approx(told, rel=1e-5, abs=1e-12)
