"""Verdicts: a function of estimates and of one table, able to say each of its four words for each of its rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato import claims
from legato.claims import CLAIMS, Claim, Rule, Verdict, combined, decide, table_hash
from legato.measures.estimate import Estimate, absent

RULES = [(claim, rule) for claim in CLAIMS for rule in claim.rules]
WORDS = st.lists(st.sampled_from(list(Verdict)), min_size=1, max_size=4)


def between(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, min(low, high), max(low, high), 3, "", "made up")


def estimate_for(rule: Rule, word: Verdict) -> Estimate:
    """An interval of which the rule must say that word."""
    step = (rule.holds - rule.fails) / 8
    return {
        Verdict.HOLDS: between(rule.holds, rule.holds + step),
        Verdict.FAILS: between(rule.fails - step, rule.fails),
        Verdict.IN_PART: between(rule.fails + step, rule.holds - step),
        Verdict.CANNOT_TELL: between(rule.fails - step, rule.holds - step),
    }[word]


@pytest.mark.parametrize("word", list(Verdict))
@pytest.mark.parametrize(("claim", "rule"), RULES, ids=[f"{claim.id} {rule.measure} {rule.of}" for claim, rule in RULES])
def test_every_rule_can_say_each_of_the_four_words(claim: Claim, rule: Rule, word: Verdict):
    assert rule.verdict(estimate_for(rule, word)) is word


@pytest.mark.parametrize("word", list(Verdict))
@pytest.mark.parametrize("claim", CLAIMS, ids=[str(claim.id) for claim in CLAIMS])
def test_every_claim_can_come_out_in_each_of_the_four_ways(claim: Claim, word: Verdict):
    assert claim.verdict([estimate_for(rule, word) for rule in claim.rules]) is word


@pytest.mark.parametrize(("claim", "rule"), RULES, ids=[f"{claim.id} {rule.measure} {rule.of}" for claim, rule in RULES])
def test_what_was_not_measured_cannot_be_told(claim: Claim, rule: Rule):
    assert rule.verdict(absent("needs labels")) is Verdict.CANNOT_TELL
    assert claim.verdict([absent("needs labels")] * len(claim.rules)) is Verdict.CANNOT_TELL


def test_an_interval_past_failing_that_reaches_over_the_margin_holds_in_part():
    rule = Rule("", "x", "beta-1", fails=1.0, holds=2.0)
    assert rule.verdict(between(1.5, 3.0)) is Verdict.IN_PART
    assert rule.verdict(between(0.5, 3.0)) is Verdict.CANNOT_TELL
    small = replace(rule, fails=2.0, holds=1.0)
    assert small.verdict(between(0.5, 1.5)) is Verdict.IN_PART
    assert small.verdict(between(0.5, 0.9)) is Verdict.HOLDS
    assert small.verdict(between(2.0, 9.0)) is Verdict.FAILS


@given(WORDS)
def test_a_claim_holds_only_where_every_rule_says_so_and_an_unknown_primary_is_unknown(words):
    said = combined(words)
    assert (said is Verdict.HOLDS) == all(word is Verdict.HOLDS for word in words)
    assert (said is Verdict.CANNOT_TELL) == (words[0] is Verdict.CANNOT_TELL)
    if said is Verdict.FAILS:
        assert words[0] is Verdict.FAILS
        assert set(words) <= {Verdict.FAILS, Verdict.CANNOT_TELL}


@given(WORDS)
def test_a_better_word_for_one_rule_never_makes_the_whole_worse(words):
    order = [Verdict.FAILS, Verdict.IN_PART, Verdict.HOLDS]
    if Verdict.CANNOT_TELL in words:
        return
    for place in range(len(words)):
        better = [*words[:place], Verdict.HOLDS, *words[place + 1 :]]
        assert order.index(combined(better)) >= order.index(combined(words))


def test_there_are_thirteen_claims_with_a_primary_rule_and_a_margin_each():
    assert [claim.id for claim in CLAIMS] == list(range(1, 14))
    for claim, rule in RULES:
        assert rule.holds != rule.fails, claim.id
        assert claim.leaves_out
        assert claim.sentence.endswith(".")
        assert rule.beside is None or (rule.holds > 0 and rule.fails > 0), "a ratio is positive"


def test_the_hash_is_of_what_decides_and_of_nothing_else(monkeypatch):
    before = table_hash()
    first = CLAIMS[0]
    monkeypatch.setattr(claims, "CLAIMS", (replace(first, leaves_out="other words"), *CLAIMS[1:]))
    assert table_hash() == before
    moved = replace(first, rules=(replace(first.rules[0], holds=0.4),))
    monkeypatch.setattr(claims, "CLAIMS", (moved, *CLAIMS[1:]))
    assert table_hash() != before


def test_decisions_carry_their_rules_estimates_and_words():
    rule = CLAIMS[8].rules[0]
    found = decide({(rule.measure, rule.of, rule.beside): between(2.0, 3.0)}, absent("not measured"))
    assert [one["id"] for one in found] == list(range(1, 14))
    ninth = found[8]
    assert ninth["verdict"] == ninth["rule"][0]["verdict"] == "holds"
    assert ninth["rule"][0]["estimate"]["low"] == 2.0
    assert all(one["verdict"] == "cannot tell" for one in found if one["id"] != 9)
    assert found[0]["rule"][0]["estimate"]["why"] == "not measured"
