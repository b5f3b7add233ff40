"""One table of measures: complete, without riddles, and true of what a survey and a scorecard give."""

from __future__ import annotations

import pytest

from legato.claims import CLAIMS
from legato.errors import Mistake
from legato.measures.comparison import FIGURES
from legato.measures.known import ALIASES, MEASURES, called, measure_of
from legato.report.trained.numbers import SINGLE
from legato.survey.chapters import CHAPTERS


def test_every_figure_that_anything_names_is_in_the_table():
    named = {name for chapter in CHAPTERS for name in chapter.measures} | {*FIGURES, *SINGLE}
    named |= {rule.measure for claim in CLAIMS for rule in claim.rules}
    assert {ALIASES.get(name, name) for name in named} <= set(MEASURES)


def test_keys_and_names_are_told_apart():
    assert all(key == one.key for key, one in MEASURES.items())
    names = [one.titled for one in MEASURES.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("one", MEASURES.values(), ids=str)
def test_names_are_words_and_sentences_are_sentences(one):
    assert one.name
    assert one.name == one.name.strip()
    assert not one.name.endswith(".")
    assert not one.name.startswith("the same")  # as what? a name stands alone
    assert one.says[0].isupper() or not one.says[0].isalpha()
    assert one.says.endswith(".")
    assert len(one.titled) <= 100


def test_a_chapter_needs_what_all_of_its_figures_need():
    by = {chapter.title: chapter.needs for chapter in CHAPTERS}
    assert by["likelihood"] == ("log_px",)  # a point mass has a distortion, too
    assert by["importance weights"] == by["gradients"] == ("likelihood", "noise")
    assert by["labels"] == ("labels",)
    assert by["known factors"] == ("factors",)
    assert by["holes of the prior"] == by["fidelity"] == ()


def test_a_strange_key_is_a_mistake_in_the_table_and_itself_on_a_page():
    with pytest.raises(Mistake, match="no measure"):
        measure_of("beauty")
    assert called("beauty") == "beauty"
    assert called("moved by a tenth") == "how far a step in latent space changes the picture (C(⅒))"
