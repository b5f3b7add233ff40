"""No measure depends on the order in which a source gives its rows, and no two populations share their noise."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

import legato
from legato.measures.holes import kde_holes
from legato.streams import random_stream
from legato.survey import Effort
from legato.survey.evaluation import Codes, Evaluation
from legato.survey.functions import Functions
from legato.survey.material import Material, Rows, material
from legato.survey.robustness import disturbed
from made_runs import SMALL

EFFORT = Effort(
    train=1200, test=300, samples=300, outer=300, paths=60, places=40, noisy=100, halves=6, judged=150, weighted=0, draws=10,
    annealed=0,
)  # fmt: skip
MIXING = np.random.default_rng(3).standard_normal((4, 12)).astype(np.float32)


def crowds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 12) of five crowds that differ in place, width and size; and whose they are, sorted."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(5, n, p=[0.4, 0.25, 0.15, 0.1, 0.1]))
    codes = 3 * np.eye(5, 4)[labels] + rng.standard_normal((n, 4)) * (0.3 + 0.3 * labels[:, None])
    return (codes @ MIXING + 0.1 * rng.standard_normal((n, 12))).astype(np.float32), labels


def encode(x):
    return x @ np.linalg.pinv(MIXING).astype(np.float32), np.full((len(x), 4), 0.3, np.float32)


def decode(z):
    return np.tanh(z @ MIXING / 4)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_source_sorted_by_class_and_the_same_shuffled_have_the_same_figures(seed):
    """Of all paired differences at most one in twenty lies beyond 1.96 standard errors: sorted rows are no other population."""
    rows, labels = crowds(4000, seed)
    shuffled = np.random.default_rng(7).permutation(len(rows))
    one, other = (
        legato.measure(encode, decode, rows[order], labels=labels[order], effort=EFFORT).figures
        for order in (np.arange(len(rows)), shuffled)
    )
    beyond, shared = [], 0
    for name, a in one.items():
        b = other[name]
        if a.value is None or b.value is None or a.low is None or b.low is None:
            continue
        error = np.hypot(a.high - a.low, b.high - b.low) / (2 * 1.96)
        shared += 1
        if abs(a.value - b.value) > 1.96 * error + 1e-9:
            beyond.append((name, a.value, b.value, error))
    assert shared > 50
    assert len(beyond) <= 0.05 * shared, beyond


@pytest.fixture
def evaluation():
    rows, _ = crowds(900, 0)
    data = legato.open_source(rows)
    from legato.data.preparation import Preparation
    from legato.data.prepared import Prepared

    subject = Functions(encode, decode, rows[:4])
    return Evaluation(subject, material(Prepared(data, Preparation("reals")), 500, 90), EFFORT, 0)


def test_the_first_rows_of_a_material_are_a_sample(evaluation):
    """They were those of the first crowd, as the source is sorted."""
    train = evaluation.shared.train.x
    assert np.abs(train[:100].mean(0) - train.mean(0)).max() < 5 * train.std(0).max() / 10


def test_draws_of_different_populations_and_for_different_purposes_are_independent():
    zeros, ones = np.zeros((4000, 3), np.float32), np.ones((4000, 3), np.float32)
    drawn = {
        (of, purpose): Codes(zeros, ones, of).draw(0, purpose)
        for of in ("training rows", "test rows", "images of its own")
        for purpose in ("posterior", "kernel", "disturbed")
    }
    drawn |= {purpose: random_stream(0, purpose).standard_normal((4000, 3)) for purpose in ("samples", "holes", "two-sample")}
    for a, b in combinations(drawn, 2):
        assert abs(np.mean(drawn[a] * drawn[b])) < 5 / np.sqrt(12_000), (a, b)


def test_models_of_one_seed_are_drawn_with_the_same_noise():
    mu, sigma = np.zeros((50, 2), np.float32), np.ones((50, 2), np.float32)
    one, other = Codes(mu, sigma, "test rows").draw(3), Codes(mu + 1, 2 * sigma, "test rows").draw(3)
    assert other == pytest.approx(1 + 2 * one, abs=1e-5)
    assert not np.allclose(one, Codes(mu, sigma, "test rows").draw(4))


@pytest.mark.parametrize("collapsed", [16, 12, 0])
def test_of_a_perfect_match_a_kernel_estimate_finds_the_holes_that_its_level_says(collapsed):
    """With one noise for training and test codes it found 100 % for 5 %, wherever all posteriors were the prior."""
    rng, d, n = np.random.default_rng(1), 16, 1500
    sigma = np.broadcast_to(np.r_[np.ones(collapsed), np.full(d - collapsed, 0.3)], (n, d)).astype(np.float32)
    train, test = (
        Codes((rng.standard_normal((n, d)) * np.sqrt(1 - sigma**2)).astype(np.float32), sigma, of)
        for of in ("training rows", "test rows")
    )
    prior = random_stream(0, "holes").standard_normal((n, d))
    found = kde_holes(train.draw(0), test.draw(0), prior)[0.05]
    assert found.low < 0.05 < found.high


def test_r50_does_not_depend_on_how_a_population_is_shared_between_means_and_clouds():
    """A linear decoder of N(0, I): around means that hardly differ, as an untrained encoder's, r50 came out at 0."""
    rng, n, d = np.random.default_rng(0), 400, 8

    def half(signal: float) -> float:
        mu = (np.sqrt(signal) * rng.standard_normal((2 * n, d))).astype(np.float32)
        rows = [Rows(part, part, None) for part in np.split(mu, 2)]
        width = np.sqrt(1 - signal)
        subject = Functions(lambda x: (x, np.full_like(x, width)) if width else x, lambda z: z, mu[:4])
        evaluation = Evaluation(subject, Material(*rows, "made up"), EFFORT, 0)
        found = disturbed(evaluation)[0]["r50"]
        assert found.low is not None
        assert found.low < np.sqrt(d / 2) < found.high * 1.05  # E|z - z'|/2, up to the curvature of E|.| in d dimensions
        return float(found.value)

    values = [half(signal) for signal in (1e-4, 0.3, 1.0)]
    assert max(values) < 1.1 * min(values)


@pytest.fixture(scope="module")
def sorted_run(tmp_path_factory):
    """A model of a table whose second half is ten times as noisy as its first, and elsewhere."""
    rng, n = np.random.default_rng(0), 3000
    loud = np.repeat([0, 1], n // 2)[:, None]
    x = rng.standard_normal((n, 2)) @ rng.standard_normal((2, 6)) + 2 * loud + (0.1 + 0.9 * loud) * rng.standard_normal((n, 6))
    out = tmp_path_factory.mktemp("sorted")
    own = {**SMALL, "steps": 150, "latent_dim": 2}
    return legato.train("sigma_vae", x.astype(np.float32), out / "run", **own), x.astype(np.float32)


def test_a_solved_scale_is_that_of_all_training_rows_however_they_are_sorted(sorted_run):
    space, x = sorted_run
    data = space.data(x)
    train = torch.from_numpy(data.rows(data.split("train").all()))
    torch.manual_seed(0)
    with torch.no_grad():
        squares = (train - space.model(train).likelihood.mean[0]) ** 2
    # A sample of 1,000 of 2,400 rows, half of which have a hundredth of the variance.
    error = (squares.std(0) / np.sqrt(1000) / (2 * squares.mean(0))).max().item()
    assert space.model.likelihood.family.scale.numpy() == pytest.approx(squares.mean(0).sqrt().numpy(), rel=5 * error)


def test_codes_to_sample_from_are_those_of_all_training_rows_however_they_are_sorted(sorted_run):
    space, x = sorted_run
    data = space.data(x)
    mu, sigma = space.posterior(data.rows(data.split("train").all()))
    mean, covariance, noise = space.codes()
    assert mean == pytest.approx(mu.mean(0), abs=1e-4)  # of fewer than 10,000 rows all are taken
    assert covariance == pytest.approx(np.cov(mu.T, bias=True) + np.diag((sigma**2).mean(0)), abs=1e-3)
    assert noise == pytest.approx((sigma**2).mean(0), abs=1e-4)
