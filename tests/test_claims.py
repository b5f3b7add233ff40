"""Verdicts: a function of what seeds say and of one table, able to say each of its words, and wrong as rarely as it says."""

from __future__ import annotations

import json
import math
from dataclasses import fields as dataclass_fields
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from legato import claims
from legato.claims import CLAIMS, KINDS, LEVEL, Rule, Verdict, combined, decide, key_of, parts, table_hash, word
from legato.experiment import scales
from legato.experiment.scales import declared, scale_of, share
from legato.measures.estimate import absent, holm
from legato.measures.known import MEASURES
from legato.measures.seeds import LOGARITHM, PLAIN, Contrast, Scale, Student, contrast, level

RULES = [(claim, rule) for claim in CLAIMS for rule in claim.rules]
EACH = pytest.mark.parametrize(("claim", "rule"), RULES, ids=[f"{claim.id} {rule.measure} {rule.of}" for claim, rule in RULES])
WORDS = st.lists(st.sampled_from(list(Verdict)), min_size=1, max_size=4)
MISSING = Contrast(absent("not measured"))
steady = settings(deadline=None, derandomize=True)
MEASURED = [claim for claim in CLAIMS if not claim.primary.arithmetic]  # whose first rows are adjusted for their number


def on(rule: Rule) -> Scale:
    """Where its contrast lies: ratios in logarithms, realism up to 1 over 0.9, the rest on the measure's own scale."""
    if rule.beside is not None:
        return LOGARITHM
    return share(1 / 0.9) if rule.measure.startswith("realism") else scale_of(rule.measure)


def law(rule: Rule, value: float, error: float = 1e-6, freedom: float = 3) -> Contrast:
    """What seeds would say: Student's t about a value, with that error on the rule's scale."""
    return from_law(Student(on(rule).forward(value), error, freedom, on(rule)))


def from_law(found: Student) -> Contrast:
    return Contrast(replace(absent(""), value=found.scale.back(found.middle)), found)


def value_for(rule: Rule, verdict: Verdict) -> Contrast:
    """Seeds of which the rule must say that word."""
    onto = on(rule)
    fails, holds = onto.forward(rule.fails), onto.forward(rule.holds)
    step = (holds - fails) / 4
    if verdict is Verdict.CANNOT_TELL:
        return law(rule, rule.fails, abs(step))
    return law(
        rule, onto.back({Verdict.HOLDS: holds + step / 8, Verdict.FAILS: fails - step, Verdict.IN_PART: fails + step}[verdict])
    )


def decided(contrasts: dict[Rule, Contrast]) -> list[dict]:
    return decide({key_of(rule): one for rule, one in contrasts.items()}, MISSING)


# ------------------------------------------------------------------------------------------------ what a rule can say


@pytest.mark.parametrize("verdict", list(Verdict))
@EACH
def test_every_rule_can_say_each_of_the_four_words(claim, rule, verdict):
    assert word(rule.p_values(value_for(rule, verdict))) is verdict


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("claim", CLAIMS, ids=[str(claim.id) for claim in CLAIMS])
def test_every_claim_can_come_out_in_each_of_the_four_ways(claim, verdict):
    found = decided({rule: value_for(rule, verdict) for rule in claim.rules})[claim.id - 1]
    assert found["verdict"] == verdict
    assert [row["verdict"] for row in found["rule"]] == [verdict] * len(claim.rules)


@EACH
def test_what_was_not_measured_or_has_one_seed_cannot_be_told(claim, rule):
    one_seed = contrast(on(rule), level([on(rule).forward(rule.holds)]))
    for found in (MISSING, one_seed):
        assert rule.p_values(found) is None
        assert word(rule.p_values(found)) is Verdict.CANNOT_TELL
    assert decided({})[claim.id - 1]["verdict"] == "cannot tell"


TWO_SIDED = [rule for _, rule in RULES if rule.upto is not None]


@pytest.mark.parametrize("rule", TWO_SIDED, ids=[rule.measure for rule in TWO_SIDED])
def test_a_rule_with_two_sides_fails_and_holds_in_part_on_either(rule):
    fails, holds, upto, beyond = (on(rule).forward(m) for m in (rule.fails, rule.holds, rule.upto, rule.beyond))
    assert fails < holds < upto < beyond
    said = [
        (fails - 0.1, Verdict.FAILS),
        ((fails + holds) / 2, Verdict.IN_PART),
        ((holds + upto) / 2, Verdict.HOLDS),
        ((upto + beyond) / 2, Verdict.IN_PART),
        (beyond + 0.1, Verdict.FAILS),
    ]
    for place, expected in said:
        assert word(rule.p_values(law(rule, on(rule).back(place)))) is expected
    assert word(rule.p_values(law(rule, rule.beyond, 1.0))) is Verdict.CANNOT_TELL
    wide = law(rule, on(rule).back((holds + upto) / 2), 10.0)  # in the middle, and not known to be anywhere
    assert word(rule.p_values(wide)) is Verdict.CANNOT_TELL


# ------------------------------------------------------------------------------------------------ tests and intervals

LAWS = st.builds(
    Student,
    st.floats(-3, 3),
    st.floats(1e-3, 2),
    st.sampled_from([1, 2, 3.7, 8, math.inf]),
    st.just(LOGARITHM),
)


@steady
@given(LAWS, st.booleans())
def test_holds_is_where_the_95_percent_interval_ends_at_the_margin_or_beyond_it(law, large):
    """And so are "holds in part" and "does not hold here", by the other margin."""
    rule = (
        Rule("", "x", "a", fails=0.5, holds=2.0, beside="b") if large else Rule("", "x", "a", fails=2.0, holds=0.5, beside="b")
    )
    low, high = law.interval(0.95)
    assume(all(abs(end / margin - 1) > 1e-9 for end in (low, high) for margin in (0.5, 2.0)))
    holds, past, fails = (p <= LEVEL for p in rule.p_values(from_law(law)))
    assert holds == (low >= rule.holds if large else high <= rule.holds)
    assert past == (low >= rule.fails if large else high <= rule.fails)
    assert fails == (high <= rule.fails if large else low >= rule.fails)


@pytest.mark.parametrize("freedom", [1, 2, 3.7, 8, math.inf])
@pytest.mark.parametrize(("fails", "holds"), [(0.5, 2.0), (2.0, 0.5)])
def test_a_word_is_said_from_the_two_sided_quantile_on(fails, holds, freedom):
    """At the very edge, where a test of one side at 5 % would speak already."""
    rule, sign = Rule("", "x", "a", fails=fails, holds=holds, beside="b"), math.copysign(1, holds - fails)
    for kind, (margin, side) in enumerate([(holds, sign), (fails, sign), (fails, -sign)]):
        for far, shown in ((0.99, False), (1.01, True)):
            middle = math.log(margin) + side * far * 0.1 * float(stats.t.ppf(0.975, freedom))
            p = rule.p_values(from_law(Student(middle, 0.1, freedom, LOGARITHM)))
            assert (p[kind] <= LEVEL) == shown


@steady
@given(LAWS)
def test_equivalence_is_where_the_90_percent_interval_lies_within(law):
    """Schuirmann's theorem. Failing is by the 95 % interval, on either side."""
    rule = Rule("", "x", "a", fails=0.4, holds=0.5, beside="b", upto=2.0, beyond=2.5)
    (low, high), (wide_low, wide_high) = law.interval(0.9), law.interval(0.95)
    margins = (0.4, 0.5, 2.0, 2.5)
    assume(all(abs(end / margin - 1) > 1e-9 for end in (low, high, wide_low, wide_high) for margin in margins))
    holds, past, fails = (p <= LEVEL for p in rule.p_values(from_law(law)))
    assert holds == (low >= 0.5 and high <= 2.0)
    assert past == (low >= 0.4 and high <= 2.5)
    assert fails == (wide_high <= 0.4 or wide_low >= 2.5)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.2, 0.4])
def test_equivalence_is_scipys_two_one_sided_tests(shift):
    x = shift + 0.3 * np.random.default_rng(int(10 * shift)).standard_normal(25)
    rule = Rule("", "x", "a", fails=-0.6, holds=-0.3, upto=0.3, beyond=0.6)

    def p(margin: float, side: str) -> float:
        return float(stats.ttest_1samp(x, margin, alternative=side).pvalue)

    found = rule.p_values(contrast(PLAIN, level(x)))
    assert found[0] == pytest.approx(max(p(-0.3, "greater"), p(0.3, "less")))
    assert found[1] == pytest.approx(max(p(-0.6, "greater"), p(0.6, "less")))
    assert found[2] == pytest.approx(min(1, 2 * min(p(-0.6, "less"), p(0.6, "greater"))))


@steady
@given(LAWS, st.floats(0.01, 1))
def test_nearer_to_what_is_said_is_never_a_worse_word(law, step):
    order = [Verdict.FAILS, Verdict.CANNOT_TELL, Verdict.IN_PART, Verdict.HOLDS]
    rule = Rule("", "x", "a", fails=0.5, holds=2.0, beside="b")
    small = replace(rule, fails=2.0, holds=0.5)
    up = replace(law, middle=law.middle + step)
    assert order.index(word(rule.p_values(from_law(up)))) >= order.index(word(rule.p_values(from_law(law))))
    assert order.index(word(small.p_values(from_law(up)))) <= order.index(word(small.p_values(from_law(law))))


# ------------------------------------------------------------------------------------------------ many claims


def stepped_down(p: dict[int, float], at: float) -> set[int]:
    """Holm 1979, as he wrote it: from the smallest p on, until one exceeds its share of the level."""
    rejected: set[int] = set()
    for rank, number in enumerate(sorted(p, key=p.__getitem__)):
        if p[number] > at / (len(p) - rank):
            break
        rejected.add(number)
    return rejected


@steady
@given(st.lists(st.one_of(st.none(), st.floats(-4, 4)), min_size=len(CLAIMS), max_size=len(CLAIMS)))
def test_the_first_rows_are_adjusted_by_holm_for_as_many_as_are_measured(places):
    """`places`: in standard errors from the margin to the good side; None is not measured."""
    primaries = {}
    for claim, place in zip(CLAIMS, places, strict=True):
        if place is not None:
            rule, onto = claim.primary, on(claim.primary)
            error = abs(onto.forward(rule.holds) - onto.forward(rule.fails)) / 3
            primaries[rule] = law(
                rule, onto.back(onto.forward(rule.holds) + place * error * np.sign(rule.holds - rule.fails)), error
            )
    found = {one["id"]: one["rule"][0] for one in decided(primaries)}
    known = [claim.id for claim in MEASURED if claim.primary in primaries]
    assert {number for number, row in found.items() if "adjusted p" in row} == set(known)
    for kind in KINDS:
        p = {number: found[number]["p"][kind] for number in known}
        for at in (0.01, LEVEL, 0.3):
            assert stepped_down(p, at) == {number for number in known if found[number]["adjusted p"][kind] <= at}
    for number in known:
        assert found[number]["verdict"] == word([found[number]["adjusted p"][kind] for kind in KINDS])


def test_a_first_row_that_is_true_by_arithmetic_is_neither_adjusted_nor_counted():
    assert [claim.id for claim in CLAIMS if claim.primary.arithmetic] == [11]
    found = decided({claim.primary: law(claim.primary, claim.primary.holds, 0.4) for claim in CLAIMS})
    assert "adjusted p" not in found[10]["rule"][0]
    p = found[0]["rule"][0]
    assert p["adjusted p"]["holds"] == pytest.approx(min(1, 12 * p["p"]["holds"]))


def test_an_unmeasured_claim_costs_the_others_nothing():
    rule = CLAIMS[8].primary
    alone = law(rule, 0.15, 0.1, 8)
    (one,) = (row["rule"][0] for row in decided({rule: alone}) if row["id"] == 9)
    assert one["adjusted p"] == pytest.approx(one["p"])


def test_among_many_a_row_that_would_hold_alone_may_not():
    rule, nothing = CLAIMS[8].primary, {claim.primary: law(claim.primary, claim.primary.fails, 3.0) for claim in MEASURED}
    alone = law(rule, 0.15, 0.1, 8)
    assert decided({rule: alone})[8]["rule"][0]["verdict"] == "holds"
    assert decided({**nothing, rule: alone})[8]["rule"][0]["verdict"] == "holds in part"


def test_other_rows_are_not_adjusted():
    for one, claim in zip(decided({rule: law(rule, rule.holds, 0.3) for _, rule in RULES}), CLAIMS, strict=True):
        for row, rule in list(zip(one["rule"], claim.rules, strict=True))[1:]:
            assert "adjusted p" not in row
            assert row["p"] == dict(zip(KINDS, rule.p_values(law(rule, rule.holds, 0.3)), strict=True))


WRONG = {"holds": {"holds", "does not hold here"}, "fails": {"holds", "holds in part", "does not hold here"}}


@pytest.mark.parametrize("margins", [("holds", "holds"), ("fails", "fails"), ("fails", "holds")])
def test_among_all_that_are_adjusted_a_wrong_word_is_as_rare_as_5_percent_says(margins):
    """The truth of each lies exactly at a margin, alternating where two are given: to say that it lies beyond is wrong."""
    rng, times, errors = np.random.default_rng(1), 600, 0
    truths = [(claim, on(claim.primary), margins[i % 2]) for i, claim in enumerate(MEASURED)]
    places = [onto.forward(getattr(claim.primary, margin)) for claim, onto, margin in truths]
    for _ in range(times):
        x, found = 0.01 * rng.standard_normal((len(truths), 2, 4)), {}
        for (claim, onto, _), place, (own, other) in zip(truths, places, x, strict=True):
            beside = None if claim.primary.beside is None else level(other)
            found[key_of(claim.primary)] = contrast(onto, level(own + place), beside)
        said = {one["id"]: one["rule"][0]["verdict"] for one in decide(found, MISSING)}
        errors += any(said[claim.id] in WRONG[margin] for claim, _, margin in truths)
    assert errors <= times * LEVEL + 2 * math.sqrt(times * LEVEL * (1 - LEVEL))


def test_alone_each_of_them_would_be_wrong_far_oftener():
    """What the adjustment is for: of twelve tests at 5 %, one errs nearly every other time."""
    p = np.random.default_rng(0).random((4000, len(MEASURED)))
    assert (p <= LEVEL).any(1).mean() == pytest.approx(1 - (1 - LEVEL) ** 12, abs=0.03)
    assert np.mean([holm(row).min() <= LEVEL for row in p]) == pytest.approx(LEVEL, abs=0.012)


# ------------------------------------------------------------------------------------------------ one word for several


@steady
@given(WORDS)
def test_a_claim_holds_only_where_every_rule_says_so_and_an_unknown_primary_is_unknown(words):
    said = combined(words)
    assert (said is Verdict.HOLDS) == all(word is Verdict.HOLDS for word in words)
    assert (said is Verdict.CANNOT_TELL) == (words[0] is Verdict.CANNOT_TELL)
    if said is Verdict.FAILS:
        assert words[0] is Verdict.FAILS
        assert set(words) <= {Verdict.FAILS, Verdict.CANNOT_TELL}


@steady
@given(WORDS)
def test_a_better_word_for_one_rule_never_makes_the_whole_worse(words):
    order = [Verdict.FAILS, Verdict.IN_PART, Verdict.HOLDS]
    if Verdict.CANNOT_TELL in words:
        return
    for place in range(len(words)):
        better = [*words[:place], Verdict.HOLDS, *words[place + 1 :]]
        assert order.index(combined(better)) >= order.index(combined(words))


def test_parts_say_which_part_holds_which_does_not_and_what_is_true_by_arithmetic():
    a, b = Rule("grass is green", "x", "a", 0, 1), Rule("snow is black", "x", "a", 0, 1)
    computed = replace(b, says="one is one", arithmetic=True)
    assert parts([a, b], [Verdict.HOLDS, Verdict.FAILS]) == "“grass is green”: holds; “snow is black”: does not hold here"
    assert parts([a, b], [Verdict.HOLDS] * 2) == ""
    assert parts([a, computed], [Verdict.HOLDS] * 2) == "“one is one”: true by arithmetic"
    assert parts([a, b, replace(a, says="ice is cold")], [Verdict.HOLDS, Verdict.FAILS, Verdict.HOLDS]) == (
        "“grass is green”, “ice is cold”: holds; “snow is black”: does not hold here"
    )
    assert parts([a, computed], [Verdict.FAILS, Verdict.HOLDS]) == (
        "“grass is green”: does not hold here; “one is one”: holds; “one is one”: true by arithmetic"
    )
    assert parts([computed, computed], [Verdict.HOLDS] * 2) == "true by arithmetic"


# ------------------------------------------------------------------------------------------------ the table


def test_there_are_fourteen_claims_with_a_primary_rule_and_a_margin_each():
    assert [claim.id for claim in CLAIMS] == list(range(1, 15))
    for claim, rule in RULES:
        assert rule.holds != rule.fails, claim.id
        assert claim.leaves_out
        assert claim.sentence.endswith(".")
        assert rule.beside is None or (rule.holds > 0 and rule.fails > 0), "a ratio is positive"
        assert (rule.upto is None) == (rule.beyond is None)
        assert on(rule).holds(rule.holds), "a margin that a value can reach"
        assert on(rule).holds(rule.fails)
    assert len({key_of(rule) for _, rule in RULES}) == len(RULES)


def test_the_hash_is_of_what_decides_and_of_nothing_else(monkeypatch):
    before, first = table_hash(declared()), CLAIMS[0]
    words = replace(first, leaves_out="other words", sentence="Another.")
    monkeypatch.setattr(claims, "CLAIMS", (words, *CLAIMS[1:]))
    assert table_hash(declared()) == before
    for moved in ({"holds": 0.4}, {"fails": 0.2}, {"arithmetic": True}, {"of": "beta-4"}, {"upto": 0.9, "beyond": 0.95}):
        changed = replace(first, rules=(replace(first.rules[0], **moved),))
        monkeypatch.setattr(claims, "CLAIMS", (changed, *CLAIMS[1:]))
        assert table_hash(declared()) != before, moved
    monkeypatch.setattr(claims, "CLAIMS", CLAIMS)
    assert table_hash(declared()) == before


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        (claims, "LEVEL", 0.1),
        (scales, "FEW", 5),
        (scales, "MEASURES", MEASURES | {"r50": replace(MEASURES["r50"], scale="plain")}),
        (scales, "MEASURES", MEASURES | {"purity": replace(MEASURES["purity"], scale="log")}),
    ],
)
def test_the_hash_moves_with_the_level_and_with_the_scales_on_which_seeds_are_averaged(where, name, value, monkeypatch):
    before = table_hash(declared())
    monkeypatch.setattr(where, name, value)
    assert table_hash(declared()) != before


def test_decisions_carry_their_rules_estimates_p_values_and_words():
    rule = CLAIMS[8].rules[0]
    seeds = contrast(on(rule), level([on(rule).forward(v) for v in (0.1, 0.11, 0.12)]))
    found = decided({rule: seeds})
    assert found == json.loads(json.dumps(found))
    assert [one["id"] for one in found] == list(range(1, 15))
    ninth, row = found[8], found[8]["rule"][0]
    assert ninth.keys() == {"id", "sentence", "verdict", "parts", "rule", "leaves_out"}
    assert row.keys() == {f.name for f in dataclass_fields(rule)} | {"estimate", "p", "adjusted p", "verdict"}
    assert row["p"].keys() == row["adjusted p"].keys() == set(KINDS)
    assert row["estimate"] == seeds.estimate.to_json()
    assert (row["verdict"], ninth["verdict"]) == ("holds", "holds in part")  # of the second row nothing is known
    assert ninth["parts"] == f"“{rule.says}”: holds; “{CLAIMS[8].rules[1].says}”: cannot tell"
    assert all(one["verdict"] == "cannot tell" and one["rule"][0]["p"] is None for one in found if one["id"] != 9)
    assert found[0]["rule"][0]["estimate"]["why"] == "not measured"
