"""Plain conclusions: one for every claim and every verdict, true to the rows' words and figures."""

from __future__ import annotations

import itertools

import pytest

from legato.claims import CLAIMS, Verdict
from legato.report.conclusions import CONCLUSIONS, concluded


def claim(number: int, words: list[str], value: float | None = 0.25) -> dict:
    estimate = {"value": value, **({"why": "one seed has no interval"} if value is None else {})}
    rules = CLAIMS[number - 1].rules
    return {"id": number, "rule": [{"verdict": word, "estimate": estimate} for _, word in zip(rules, words, strict=True)]}


def test_every_claim_has_one_with_a_way_to_tell_each_of_its_rows():
    assert set(CONCLUSIONS) == {one.id for one in CLAIMS}
    for one in CLAIMS:
        assert len(CONCLUSIONS[one.id].shown) == len(one.rules)
        assert len(CONCLUSIONS[one.id].said) <= 2


@pytest.mark.parametrize("number", CONCLUSIONS)
def test_each_word_has_a_sentence_of_its_own(number):
    told = {}
    for word in Verdict:
        found = concluded(claim(number, [word.value] * len(CLAIMS[number - 1].rules)))
        assert found[0].isupper()
        assert found.endswith(".")
        assert "{" not in found
        told[word] = found
    assert len(set(told.values())) >= (2 if number == 11 else 4)  # claim 11 is arithmetic: it holds, or is broken


def test_a_secondary_row_speaks_for_itself():
    for first, third in itertools.product(("holds", "does not hold here"), repeat=2):
        found = concluded(claim(6, [first, "holds", third]))
        assert ("clearly nearer" in found) == (first == "holds")
        assert ("nearer, too" in found) == (third == "holds")


def test_what_is_unknown_says_why():
    found = concluded(claim(9, ["cannot tell", "cannot tell"], None))
    assert found.startswith("Whether small steps make small changes cannot be told: one seed has no interval.")


def test_figures_are_told_as_people_say_them():
    assert "explains 25 % of" in concluded(claim(1, ["holds"]))
    assert "is 4 times nearer" in concluded(claim(2, ["holds"] * 4))  # a ratio of distances, turned over
    assert "less than a millionth of the codes' spread" in concluded(claim(3, ["holds"] * 3, 5e-8))
