"""Collapse: figures that can be counted, and advice that can say each of its sentences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from legato.errors import Mistake
from legato.measures.collapse import advise, collapse, divergence

RNG = np.random.default_rng(0)
ONES = np.ones(4)


def test_the_divergence_is_that_of_torch_and_keeps_its_digits_near_the_prior():
    mu, sigma = RNG.normal(size=(50, 3)), np.exp(RNG.normal(size=(50, 3)))
    q = Normal(torch.from_numpy(mu), torch.from_numpy(sigma))
    assert divergence(mu, sigma) == pytest.approx(kl_divergence(q, Normal(0.0, 1.0)).numpy())
    # ½(σ² − 1 − log σ²) is (σ − 1)² in first order: by plain subtraction 10⁻¹⁴ would drown in rounding.
    near = divergence(np.zeros((1, 1)), np.full((1, 1), 1 + 1e-7))
    assert near[0, 0] == pytest.approx(1e-14, rel=1e-3)


def test_a_dimension_for_half_of_the_images_is_quiet_for_the_other_half():
    mu = np.stack([np.repeat([0.0, 2.0], 500), RNG.normal(size=1000), np.zeros(1000)], 1)
    sigma = np.stack([np.ones(1000), np.full(1000, 0.3), np.ones(1000)], 1)
    found = collapse(mu, sigma)
    assert [one.value for one in found.quiet] == [0.5, 0, 1]
    assert found.quiet[0].high - found.quiet[0].low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(1000), rel=0.01)
    assert [one.value for one in found.kl] == pytest.approx(divergence(mu, sigma).mean(0).tolist())
    assert found.kl[0].value == pytest.approx(1)  # half of ½ · 2²
    assert {t: one.value for t, one in found.active.items()} == {0.001: 2, 0.01: 2, 0.1: 2}
    assert found.advice().state == "some unused"


def test_active_units_differ_by_threshold():
    mu = RNG.normal(size=(2000, 4)) * np.sqrt([0.0001, 0.005, 0.05, 0.5])
    assert [one.value for one in collapse(mu, None).active.values()] == [3, 2, 1]


def test_points_have_no_divergence_and_say_so():
    found = collapse(RNG.normal(size=(100, 3)), None)
    assert found.kl.value is found.quiet.value is None
    assert "autoencoder" in found.kl.why
    assert found.advice(charged=False).state == "points"


ADVICE = {
    "points": ((None, ONES * 9, ONES * 0, True), ["no prior to collapse to", "4 of its 4"]),
    "points, some idle": ((None, np.array([9, 9, 0, 0.0]), ONES * 0, True), ["2 of its 4"]),
    "uncharged": ((ONES * 5, ONES * 4, ONES * 0.1, False), ["shrinks", "0.05", "fit a Gaussian"]),
    "uncharged, nothing varies": ((ONES * 5, ONES * 0, ONES, False), ["no mean varies"]),
    "collapsed": ((ONES * 0.001, ONES * 0, ONES, True), ["All 4", "Lower β", "warm", "free bits", "precision"]),
    "unsettled, one": (
        (np.array([2, 1, 0, 0.5]), np.array([0.9, 0.8, 0, 0]), ONES, True),
        ["1 of 4 dimensions pays", "longer"],
    ),
    "unsettled, two": ((np.array([2, 1, 0.2, 0.5]), np.array([0.9, 0.8, 0, 0]), ONES, True), ["2 of 4 dimensions pay "]),
    "mostly unused": (
        (np.array([3, 0, 0, 0]), np.array([0.9, 0, 0, 0]), ONES, True),
        ["3 of 4", "1 would do", "no fault", "3.0 nats"],
    ),
    "some unused": ((np.array([3, 1, 2, 0]), np.array([0.9, 0.8, 0.8, 0]), ONES, True), ["1 of 4", "may stay", "6.0 nats"]),
    "all used": (
        (np.array([3, 1, 2, 0.5]), np.array([0.9, 0.8, 0.8, 0.5]), ONES, True),
        ["No dimension", "all 4", "6.5", "0.5"],
    ),
}


@pytest.mark.parametrize("name", ADVICE)
def test_advice_says_each_of_its_sentences(name):
    figures, words = ADVICE[name]
    advice = advise(*figures)
    assert advice.state == name.split(",")[0]
    assert all(word in advice.sentence for word in words), advice.sentence
    assert advice.sentence.endswith(".")
    assert "\n" not in advice.sentence


@pytest.mark.parametrize(
    ("mu", "sigma", "words"),
    [
        (np.zeros((5, 2)), np.ones((5, 3)), ["(5, 2)", "(5, 3)"]),
        (np.zeros(5), None, ["(n, d)"]),
        (np.full((5, 2), np.nan), np.ones((5, 2)), ["diverged"]),
        (np.zeros((5, 2)), np.zeros((5, 2)), ["above 0", "None for points"]),
        (np.zeros((5, 2)), np.full((5, 2), np.nan), ["above 0"]),
        (np.zeros((5, 2)), np.full((5, 2), np.inf), ["finite and above 0"]),
    ],
)
def test_what_is_no_posterior_is_refused(mu, sigma, words):
    with pytest.raises(Mistake) as caught:
        collapse(mu, sigma)
    assert all(word in str(caught.value) for word in words)
