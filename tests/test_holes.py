"""Prior holes, the aggregate's shape, and overlap, beside cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import kstest, norm

from legato.errors import Mistake
from legato.measures.aggregate import draw, sample_posteriors
from legato.measures.holes import hole_fraction, kde_bandwidth, kde_holes, prior_holes, standard_normal
from legato.measures.overlap import confusion_rate, nearest_log_bhattacharyya, nearest_overlap
from legato.measures.shape import (
    ks_distance,
    marginal_distances,
    norm_distance,
    size_of_means,
    two_sample_accuracy,
)


@pytest.fixture(autouse=True)
def _alone():
    torch.set_num_threads(1)


def ten_clusters(d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ten posteriors of variance 0.30 whose centres have mean 0 and variance 0.70: mean 0 and variance 1 in every dimension."""
    centres = np.random.default_rng(seed).normal(size=(10, d))
    centres = (centres - centres.mean(0)) / centres.std(0) * math.sqrt(0.7)
    return centres, np.full((10, d), math.sqrt(0.3))


def matched(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n posteriors of a population whose aggregate is N(0, I)."""
    return np.random.default_rng(seed).normal(size=(n, d)) * math.sqrt(0.5), np.full((n, d), math.sqrt(0.5))


# ------------------------------------------------------------------------------------------------ holes


@pytest.mark.parametrize(("d", "share"), [(2, 0.05), (10, 0.64), (20, 0.98)])
def test_ten_clusters_leave_5_and_64_and_98_percent_of_the_prior_in_holes(d, share):
    found = []
    for seed in range(8):  # of the centres
        mu, sigma = ten_clusters(d, seed)
        held_out = np.tile(mu, (400, 1)), np.tile(sigma, (400, 1))  # 4,000 images, each in one of the clusters
        found.append(prior_holes(mu, sigma, held_out, draws=4000, seed=seed)[0.01].value)
    assert np.mean(found) == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("d", [2, 10, 20])
@pytest.mark.parametrize("n", [30, 2000])
def test_a_matched_population_leaves_as_much_as_the_level_says(d, n):
    mu, sigma = matched(n, d)
    found = prior_holes(mu, sigma, matched(10_000, d, seed=1))
    for level, one in found.items():
        assert one.low <= level <= one.high
        assert one.value == pytest.approx(level, abs=5 * math.sqrt(2 * level / 10_000))


def test_a_hole_is_what_lies_below_the_quantile_of_held_out_codes():
    held_out, prior = np.arange(1.0, 2001), np.array([0.0, 19.5, 20.5, 1500])
    assert hole_fraction(held_out, prior, 0.01).value == 0.5  # the 20th of 2,000 values is 20
    assert hole_fraction(held_out, prior, 0.05).value == 0.75
    assert hole_fraction(held_out, prior - 2000, 0.05).value == 1.0
    with pytest.raises(Mistake, match="got 0 and 4"):
        hole_fraction(held_out[:0], prior, 0.01)
    with pytest.raises(Mistake, match="NaN"):
        hole_fraction(np.array([math.nan] * 99), prior, 0.01)


def test_the_interval_of_a_hole_fraction_is_that_of_resampling_both_samples():
    rng = np.random.default_rng(0)
    held_out, prior = rng.normal(size=999), rng.normal(0, 1.3, size=700)
    found = hole_fraction(held_out, prior, 0.05, resamples=20_000)
    by_hand = []
    for _ in range(4000):
        threshold = np.sort(rng.choice(held_out, 999))[49]
        by_hand.append((rng.choice(prior, 700) < threshold).mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(by_hand, [0.025, 0.975]), abs=0.004)


def test_the_interval_of_a_hole_fraction_covers_the_truth():
    rng, hits = np.random.default_rng(0), 0
    for seed in range(400):
        found = hole_fraction(rng.normal(size=2000), rng.normal(size=2000), 0.05, seed, 400)
        hits += found.low <= 0.05 <= found.high
    assert hits / 400 > 0.92


def test_the_bandwidth_is_the_one_that_leave_one_out_likelihood_prefers():
    codes = np.random.default_rng(0).normal(size=(400, 3))
    squares = ((codes[:, None] - codes) ** 2).sum(2)
    np.fill_diagonal(squares, np.inf)

    def likelihood(h: float) -> float:
        return float((logsumexp(-squares / (2 * h**2), 1) - 3 * math.log(h)).mean())

    widths = np.geomspace(0.05, 2, 400)
    best = widths[np.argmax([likelihood(h) for h in widths])]
    assert kde_bandwidth(codes) == pytest.approx(best, rel=0.03)
    assert kde_bandwidth(codes * 0.5) == pytest.approx(best / 2, rel=0.03)


def test_points_have_holes_by_a_kernel_estimate():
    rng = np.random.default_rng(0)
    same = kde_holes(rng.normal(size=(3000, 2)), rng.normal(size=(4000, 2)), standard_normal(4000, 2))
    assert same[0.05].low <= 0.05 <= same[0.05].high
    mu, sigma = ten_clusters(10)
    codes, held_out = (sample_posteriors(mu, sigma, 3000, seed)[0] for seed in (0, 1))
    assert kde_holes(codes, held_out, standard_normal(3000, 10))[0.01].value > 0.4


# ------------------------------------------------------------------------------------------------ shape


def test_a_ks_distance_is_scipys():
    values = np.random.default_rng(0).normal(0.2, 1.1, 500)
    found = ks_distance(values, norm.cdf, "values")
    assert found.value == pytest.approx(kstest(values, norm.cdf).statistic)
    assert found.high - found.value == pytest.approx(1.3581 / math.sqrt(500), rel=1e-3)


def test_draws_of_the_prior_are_at_no_distance_and_a_shifted_normal_at_its_own():
    z = standard_normal(20_000, 5)
    for found in (norm_distance(z), *marginal_distances(z)):
        assert found.value < 0.014
        assert found.low == 0
    apart = marginal_distances(z + np.array([0, 0.5, 0, 0, 0]))
    assert apart[1].value == pytest.approx(2 * norm.cdf(0.25) - 1, abs=0.014)  # sup |Φ(z) − Φ(z − ½)|
    assert apart[0].value < 0.014


def test_norms_tell_a_shell_from_a_normal_whose_moments_are_the_same():
    z = standard_normal(5000, 20)
    shell = z / np.linalg.norm(z, axis=1, keepdims=True) * math.sqrt(20)
    assert norm_distance(shell).value > 0.45
    assert max(one.value for one in marginal_distances(shell)) < 0.05


def test_the_size_of_means_is_their_root_mean_square_with_an_interval_that_covers():
    hits, truth = 0, math.sqrt((4 + 9 + 0.25) / 3)
    for seed in range(600):
        mu = np.random.default_rng(seed).normal(size=(150, 3)) * [2, 3, 0.5]
        found = size_of_means(mu)
        hits += found.low <= truth <= found.high
        if not seed:
            assert found.value == pytest.approx(np.sqrt(np.mean(mu**2)))
            assert size_of_means(3 * mu).low == pytest.approx(3 * found.low)
    assert 0.92 * 600 <= hits <= 0.98 * 600


def test_the_size_of_means_counts_how_far_out_they_lie_and_not_their_spread_alone():
    assert size_of_means(np.full((9, 2), 3.0)).value == pytest.approx(3)
    assert size_of_means(np.zeros((9, 2))).value == 0
    one = size_of_means(np.array([[3.0, 4.0]]))
    assert (one.value, one.low, one.high) == (pytest.approx(5 / math.sqrt(2)), None, None)
    with pytest.raises(Mistake, match="finite"):
        size_of_means(np.full((3, 2), np.nan))


def test_a_classifier_cannot_tell_a_sample_from_its_like_and_sees_ten_clusters():
    alike = two_sample_accuracy(standard_normal(3000, 10, 0), standard_normal(3000, 10, 1))
    assert alike.low <= 0.5 <= alike.high
    clusters = sample_posteriors(*ten_clusters(10), 3000)[0]
    assert two_sample_accuracy(clusters, standard_normal(3000, 10)).low > 0.7


def test_a_classifiers_accuracy_is_near_the_best_there_is():
    q, p = standard_normal(4000, 1, 0) + 2, standard_normal(4000, 1, 1)
    found = two_sample_accuracy(q, p)
    assert found.value == pytest.approx(norm.cdf(1), abs=0.02)
    assert found.n == 4000
    assert found == two_sample_accuracy(q, p)


# ------------------------------------------------------------------------------------------------ overlap


def test_a_bhattacharyya_coefficient_is_its_integral():
    mu, sigma = np.array([[0.3], [1.4]]), np.array([[0.7], [0.2]])
    truth = quad(lambda z: math.sqrt(norm.pdf(z, 0.3, 0.7) * norm.pdf(z, 1.4, 0.2)), -6, 6, points=[0.3, 1.4])[0]
    assert np.exp(nearest_log_bhattacharyya(mu, sigma, np.array([0, 1]))) == pytest.approx([truth, truth], rel=1e-6)


def test_coefficients_multiply_over_dimensions_and_the_nearest_is_the_largest_of_all():
    rng = np.random.default_rng(0)
    mu, sigma = rng.normal(size=(600, 4)), np.exp(rng.normal(size=(600, 4)) * 0.5 - 1)
    of = np.array([5, 599, 17, 513])
    found = nearest_log_bhattacharyya(mu, sigma, of)
    for n, one in zip(of, found, strict=True):
        spread = sigma[n] ** 2 + sigma**2
        every = 0.5 * np.log(2 * sigma[n] * sigma / spread).sum(1) - 0.25 * ((mu[n] - mu) ** 2 / spread).sum(1)
        assert one == pytest.approx(np.delete(every, n).max())


def test_overlap_is_1_for_copies_and_0_for_clouds_far_apart():
    mu, sigma = np.repeat(np.arange(40.0), 2)[:, None] * [1, 1, 1], np.full((80, 3), 1e-3)
    copies, alone = nearest_overlap(mu, sigma), nearest_overlap(mu[::2], sigma[::2])
    assert (copies.value, alone.value) == pytest.approx((1.0, 0.0))
    assert copies.n == 80
    with pytest.raises(Mistake, match="two posteriors"):
        nearest_overlap(mu[:1], sigma[:1])


def test_two_equal_gaussians_are_confused_where_a_draw_crosses_the_middle():
    for apart in (0.5, 2.0, 6.0):
        mu, sigma = np.array([[0.0], [apart]]), np.ones((2, 1))
        found = confusion_rate(draw(mu, sigma, 20_000))
        assert found.value == pytest.approx(norm.cdf(-apart / 2), abs=0.015)


def test_a_wide_and_a_narrow_gaussian_are_confused_where_their_densities_cross():
    mu, sigma = np.zeros((2, 1)), np.array([[1.0], [0.5]])
    cross = math.sqrt(2 * math.log(2) / (1 / 0.25 - 1))  # where N(0, ¼) falls below N(0, 1)
    truth = 0.5 * (2 * norm.cdf(cross) - 1) + 0.5 * 2 * norm.cdf(-cross / 0.5)
    assert confusion_rate(draw(mu, sigma, 20_000)).value == pytest.approx(truth, abs=0.015)


def test_copies_of_one_posterior_do_not_confuse_each_other():
    mu = np.repeat(np.random.default_rng(0).normal(size=(20, 8)) * 3, 5, 0)
    assert confusion_rate(draw(mu, np.full(mu.shape, 1e-3), 500)).value == 0
