"""The chapter of known factors: whose scores stand beside which, on which data, and what a code of true factors makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import legato
import legato.measures.disentanglement as measures
from legato.data.factors import COUNTS, ORDERED, combinations, draw, factors_of, name
from legato.measured import parts_of, rows_of
from legato.measures.disentanglement import NAMES, ceiling, disentanglement, floor
from legato.measures.known import called
from legato.report.measured.numbers import chapter_sections
from legato.survey import QUICK, Survey, survey
from legato.survey.chapters import CHAPTERS
from legato.survey.disentangled import FACTORS, NOISE, TITLES, TRUTH, UNTRAINED
from legato.survey.functions import Functions
from legato.survey.material import Material, Rows, material
from legato.survey.subject import Subject, Trained, untrained

TINY = {
    "net": "mlp",
    "width": 16,
    "depth": 1,
    "steps": 40,
    "batch_size": 32,
    "learning_rate": 0.01,
    "device": "cpu",
    "threads": 1,
}
PIXELS, ROWS = 8, 300
EFFORT = replace(QUICK, train=ROWS, test=ROWS)


@pytest.fixture(scope="module", autouse=True)
def few_subsets():
    """Intervals from three subsets: how wide they are is tested beside the measures (test_disentanglement.py)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "FAMILIES", tuple(replace(family, subsets=3) for family in measures.FAMILIES))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny VAE of `factors`, drawn at 8 × 8."""
    out = tmp_path_factory.mktemp("factors") / "run"
    return legato.train("vae", "factors", out, latent_dim=5, beta=0.01, size=PIXELS, **TINY)


@pytest.fixture(scope="module")
def shared(trained) -> Material:
    return material(trained.data(), ROWS, ROWS)


@pytest.fixture(scope="module")
def figures(trained, shared):
    return survey(Trained(trained), shared, EFFORT, chapters=(FACTORS,)).figures


def test_every_score_stands_beside_its_floors_and_its_ceiling_with_interval_and_n(figures):
    assert set(figures) == set(FACTORS.measures)
    assert len(figures) == 4 * len(NAMES)
    for one in figures.values():
        assert one.low <= one.value <= one.high
        assert one.n == ROWS


def test_the_scores_are_those_of_the_codes_and_of_the_factors_that_the_ids_say(trained, shared, figures):
    data = trained.data()
    rows = data.split("test").draw(ROWS, "measured")
    known = factors_of([data.dataset.ids[row] for row in rows])
    assert (shared.test.factors == known).all()
    mu, sigma = trained.encode(np.asarray(data.dataset.rows)[rows], rows)
    expected = disentanglement(mu, known, ORDERED, (sigma.astype(np.float64) ** 2).mean(0))
    for score in NAMES:
        assert figures[TITLES[score]].value == pytest.approx(expected[score].value, abs=0.02)


def test_beside_them_are_noise_the_true_factors_and_starting_weights(trained, shared, figures):
    start = untrained(trained, 0)
    of_start = disentanglement(start.encode(shared.test.x)[0], shared.test.factors, ORDERED)
    least, most = floor(shared.test.factors, 5, ORDERED), ceiling(shared.test.factors, ORDERED)
    for score, title in TITLES.items():
        assert figures[f"{title} ({NOISE})"] == least[score]
        assert figures[f"{title} ({TRUTH})"] == most[score]
        assert figures[f"{title} ({UNTRAINED})"].value == pytest.approx(of_start[score].value)


def test_starting_weights_are_others_than_the_trained_and_the_same_for_a_seed(trained, shared):
    x = shared.test.x[:20]
    first, again, other = (untrained(trained, seed).encode(x)[0] for seed in (0, 0, 1))
    assert (first == again).all()
    assert not np.allclose(first, other)
    assert not np.allclose(first, Trained(trained).encode(x)[0])


class TrueFactors(Subject):
    """A code that is the true factors, of pictures that are told apart by their pixels."""

    latent_dim = 6

    def __init__(self, shared: Material) -> None:
        self.known = {x.tobytes(): row for x, row in zip(shared.test.x, shared.test.factors, strict=True)}

    def encode(self, x):
        return np.stack([self.known[one.tobytes()] for one in x]).astype(np.float32), None

    def decode(self, z):
        return np.zeros((len(z), 1, 2, 2), np.float32)

    def cycle(self, z):
        return z


def rows(factors, pixels: int = 32) -> Rows:
    pictures = draw(factors, pixels) / np.float32(255)
    return Rows(pictures, pictures, factors[:, 0], factors)


def whole(factors) -> Material:
    return Material(rows(factors), rows(factors), "factors")


def test_a_code_of_the_true_factors_scores_the_ceiling_and_noise_its_floor():
    drawn = whole(combinations(400, seed=3))
    found = survey(TrueFactors(drawn), drawn, EFFORT, chapters=(FACTORS,)).figures
    for title in TITLES.values():
        assert found[title].value == pytest.approx(found[f"{title} ({TRUTH})"].value, abs=0.02)
        assert found[title].value > found[f"{title} ({NOISE})"].value + 0.1
        assert "of a RUN" in found[f"{title} ({UNTRAINED})"].why


def test_floors_and_ceilings_are_computed_once_for_all_models():
    known = whole(combinations(250)).known
    assert known.floor(3) is known.floor(3)
    assert known.floor(3) is not known.floor(4)
    assert known.ceiling is known.ceiling


def test_dead_dimensions_are_known_by_their_widths():
    known = whole(combinations(400)).known
    codes = np.concatenate([known.factors, 1e-3 * np.random.default_rng(0).normal(size=(400, 2))], 1).astype(np.float32)
    sigma = np.concatenate([np.full((400, 6), 1e-2), np.ones((400, 2))], 1).astype(np.float32)
    with_widths, without = known.scores(codes, sigma, 0), known.scores(codes, None, 0)
    assert with_widths["modularity"].value > without["modularity"].value + 0.05


def test_of_other_data_nobody_knows_the_factors(runs):
    space = legato.load(runs["vae"])
    found = survey(Trained(space), material(space.data(), 250, 250), EFFORT, chapters=(FACTORS,)).figures
    assert {one.why for one in found.values()} == {"needs known factors"}


def test_too_few_rows_are_told_in_a_line(trained):
    found = survey(Trained(trained), material(trained.data(), 100, 100), EFFORT, chapters=(FACTORS,)).figures
    assert all("too few to score" in one.why for one in found.values())


def test_a_run_that_does_not_say_its_data_costs_its_starting_weights_alone(trained, shared, monkeypatch):
    monkeypatch.setattr(trained, "kept", type(trained.run)("nowhere"))
    found = survey(Trained(trained), shared, EFFORT, chapters=(FACTORS,)).figures
    assert all(found[title].value is not None for title in TITLES.values())
    assert all(found[f"{title} ({UNTRAINED})"].why for title in TITLES.values())


def test_a_pair_of_functions_is_scored_on_the_source_itself():
    """By `legato.measure`'s own way to its rows: the ids of the source are what says the factors."""
    weights = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)

    def encode(x):
        return x.reshape(len(x), 8, 8, 8, 8).mean((2, 4)).reshape(len(x), 64) @ weights

    def decode(z):
        return np.full((len(z), 1, 64, 64), 0.1, np.float32)

    shared = rows_of(parts_of(None, "factors", None, None), EFFORT)
    found = survey(Functions(encode, decode, shared.test.x[:4]), shared, EFFORT, chapters=(FACTORS,)).figures
    assert found["MIG"].n == ROWS
    assert found["MIG"].value < found[f"MIG ({TRUTH})"].value - 0.3


def test_the_chapter_is_one_of_every_surveys_and_of_the_measured_report(figures):
    assert FACTORS in CHAPTERS
    (shown,) = [section for section in chapter_sections(Survey(EFFORT, figures)) if section.title == "Known factors"]
    assert [row[0] for row in shown.table.rows] == [called(measure) for measure in FACTORS.measures]


def test_ids_name_every_combination():
    assert factors_of([name((2, 5, 17, 0, 15, 3))]).tolist() == [[2, 5, 17, 0, 15, 3]]
    assert COUNTS[2] == 18
