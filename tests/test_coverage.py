"""Intervals where images are few and what is drawn of them is much: laws, and coverage by simulation.

records/coverage_codes.py is the same at length, beside what was done before.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import stdtrit
from scipy.stats import binomtest

from legato.errors import Mistake
from legato.measures.aggregate import draw, group_sums, log_aggregate, sample_posteriors
from legato.measures.clusters import (
    image_variance,
    loss_interval,
    mean_over_images,
    mean_over_pairs,
    pair_variance,
    ratio_to_images,
    share_interval,
)
from legato.measures.decomposition import mutual_information
from legato.measures.estimate import Estimate, mean_over
from legato.measures.holes import hole_fraction, independent_codes
from legato.measures.interpolation import decoded, smoothness
from legato.measures.left_out import in_groups, left_out_variance
from legato.measures.overlap import confusion_rate, nearest_log_bhattacharyya, nearest_overlap
from legato.measures.realism import confidence, shell
from legato.measures.semantics import purity
from legato.measures.whitening import Whitening


@pytest.fixture(autouse=True)
def _alone():
    torch.set_num_threads(1)


def share_that_cover(found: list[Estimate], truth: float | None = None) -> float:
    """Of many rounds' intervals; the truth is their mean where it is not known."""
    truth = float(np.mean([one.value for one in found])) if truth is None else truth
    return float(np.mean([one.low <= truth <= one.high for one in found]))


def posteriors(n: int, sigma: float, rng: np.random.Generator, d: int = 2) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((n, d)) * math.sqrt(1 - sigma**2), sigma * np.exp(0.3 * rng.standard_normal((n, d)))


# ------------------------------------------------------------------------------------------------ draws of one image


def test_one_value_for_each_image_has_the_variance_of_a_mean_and_copies_of_it_add_nothing():
    values = np.random.default_rng(0).normal(size=90)
    assert image_variance(values, np.arange(90)) == pytest.approx(values.var(ddof=1) / 90)
    for copies in (2, 7):
        again = np.tile(values, copies), np.tile(np.arange(90), copies)
        assert image_variance(*again) == pytest.approx(values.var(ddof=1) / 90)
        found, one = mean_over_images(*again, "nats", "x"), mean_over_images(values, np.arange(90), "nats", "x")
        assert (found.value, found.low, found.high, found.n) == pytest.approx((one.value, one.low, one.high, 90))


def test_the_variance_of_uneven_numbers_of_draws_is_that_of_a_ratio_of_sums():
    """Whatever the numbers: of 4,000 data sets of 30 images with 1 to 5 draws each, the figures vary as it says."""
    rng, values, variances = np.random.default_rng(0), [], []
    for _ in range(4000):
        image = np.repeat(np.arange(30), rng.integers(1, 6, 30))
        x = rng.normal(size=30)[image] + rng.normal(size=len(image))
        values.append(x.mean())
        variances.append(image_variance(x, image))
    assert np.mean(variances) == pytest.approx(np.var(values), rel=0.08)


def test_one_image_has_no_interval_and_what_is_not_finite_is_refused():
    assert mean_over_images(np.arange(5.0), np.zeros(5, int), "", "x").low is None
    assert mean_over_pairs(np.ones(1), (np.zeros(1, int), np.ones(1, int)), "", "x").low is None
    with pytest.raises(Mistake, match="2 of 5 draws"):
        mean_over_images(np.array([1, np.nan, 2, np.inf, 0]), np.arange(5), "", "x")


# ------------------------------------------------------------------------------------------------ pairs with common ends


def test_the_variance_over_pairs_is_the_sum_over_all_pairs_of_pairs_with_a_common_end():
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 12, 40), rng.integers(12, 24, 40)
    values = rng.normal(size=24)[ends[0]] + rng.normal(size=24)[ends[1]]
    off, sets = values - values.mean(), [{a, b} for a, b in zip(*ends, strict=True)]
    by_hand = sum(off[k] * off[j] for k, j in itertools.product(range(40), repeat=2) if sets[k] & sets[j])
    assert pair_variance(values, ends) == pytest.approx(by_hand / 40**2)
    apart = np.arange(0, 80, 2), np.arange(1, 80, 2)
    assert pair_variance(values, apart) == pytest.approx(values.var() / 40)  # no common ends: examples like any others


def test_paths_between_few_images_are_not_so_many_examples():
    """1,000 paths between 60 images: counted as examples their mean's interval misses it in half of all rounds."""
    fixed = np.random.default_rng(0)
    first = fixed.integers(0, 60, 1000)
    ends = first, (first + fixed.integers(1, 60, 1000)) % 60
    now, before, norms = [], [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        z = rng.standard_normal((60, 4)) * np.exp(0.3 * rng.standard_normal((60, 1)))
        length = np.linalg.norm(z[ends[0]] - z[ends[1]], axis=1)
        now.append(mean_over_pairs(length, ends, "", ""))
        before.append(mean_over(length, "", ""))
        norms.append(ratio_to_images(np.linalg.norm(z[ends[0]] + z[ends[1]], axis=1), ends, np.linalg.norm(z, axis=1), "", ""))
    assert 0.91 <= share_that_cover(now) <= 0.99
    assert share_that_cover(before) < 0.6
    assert 0.88 <= share_that_cover(norms) <= 0.99


def test_what_lies_between_images_takes_their_rows():
    rng = np.random.default_rng(0)
    z, ends = rng.normal(size=(30, 3)).astype(np.float32), (rng.integers(0, 15, 200), rng.integers(15, 30, 200))
    path = decoded(lambda codes: np.tanh(codes), z[ends[0]], z[ends[1]])
    with_ends, without = (smoothness(path, 200, ends=given)[0].estimates() for given in (ends, None))
    for name, one in with_ends.items():
        assert one.value == pytest.approx(without[name].value)
        assert one.n == 30
    wide, narrow = with_ends["path length"], without["path length"]
    assert wide.high - wide.low > 1.4 * (narrow.high - narrow.low)
    white = Whitening.of(np.zeros(3), np.eye(3))
    middle = (z[ends[0]] + z[ends[1]]) / 2
    here, there = shell(middle, z, white, ends), shell(middle, z, white)
    assert {name: one.value for name, one in here.items()} == pytest.approx({name: one.value for name, one in there.items()})
    p = rng.dirichlet(np.ones(4), 200)
    assert confidence(p, ends)[0] == mean_over_pairs(p.max(1), ends, "probability", "largest class probability of a classifier")


# ------------------------------------------------------------------------------------------------ images that meet


def test_groups_are_of_one_size_and_what_is_left_over_is_never_left_out():
    for n, count, size in ((7, 7, 1), (20, 20, 1), (110, 20, 5), (4001, 20, 200)):
        groups = in_groups(n)
        assert (groups.count, groups.size) == (count, size)
        assert (np.bincount(groups.of_image)[:count] == size).all()
        assert groups.kept(3).sum() == len(groups.names) - 1
    assert not np.array_equal(in_groups(110, 1).of_image, in_groups(110, 2).of_image)


def test_without_a_group_densities_are_those_of_the_posteriors_that_are_left():
    mu, sigma = posteriors(110, 0.3, np.random.default_rng(0))
    draws = draw(mu, sigma, 200)
    for g in (0, 19):
        left = draws.groups.of_image != g
        kept = draws.groups.kept(g)
        others = np.logaddexp.reduce(draws.log_sums[:, kept], 1) - math.log(left.sum())
        assert others == pytest.approx(log_aggregate(draws.z, mu[left], sigma[left]), abs=1e-5)
    log_sums, tops = group_sums(draws.z, mu, sigma, np.arange(110) % 3)
    for g in range(3):
        alone = log_aggregate(draws.z, mu[g::3], sigma[g::3]) + math.log(len(mu[g::3]))
        assert log_sums[:, g] == pytest.approx(alone, abs=1e-5)
    assert tops.max(1) == pytest.approx(draws.log_top)
    near = nearest_log_bhattacharyya(mu, sigma, np.arange(110), np.arange(110) % 3)
    assert near.max(1) == pytest.approx(nearest_log_bhattacharyya(mu, sigma, np.arange(110)))


def test_where_images_do_nothing_to_each_other_the_variance_is_that_of_their_own_values():
    values, image = np.random.default_rng(0).normal(size=300), np.arange(300) % 90
    found = left_out_variance(values, image, lambda kept: values, in_groups(90))
    assert found == pytest.approx(image_variance(values, image))


def test_where_each_image_moves_all_others_as_much_the_figure_varies_twice_as_much():
    """Σ_{i ≠ j} (x_i + x_j)/n(n − 1) = 2 x̄, of which an image's own part is half: a U-statistic of order 2."""
    x, groups = np.random.default_rng(0).exponential(size=200), in_groups(200)

    def without(kept: np.ndarray) -> np.ndarray:
        there = kept[groups.of_image]
        return x + (x[there].sum() - x * there) / (there.sum() - there)

    found = left_out_variance(without(np.ones(20, bool)), np.arange(200), without, groups)
    assert found == pytest.approx(4 * x.var(ddof=1) / 200, rel=0.06)


def test_what_the_rate_is_spent_on_covers_where_images_are_few_and_draws_are_many():
    """Data sets of 100 images, 1,000 draws each. Draws counted as examples, half of the intervals of I missed."""
    information, before, confusion, overlap = [], [], [], []
    for seed in range(150):
        mu, sigma = posteriors(100, 0.3, np.random.default_rng(seed))
        draws = draw(mu, sigma, 1000, seed)
        information.append(mutual_information(draws))
        before.append(mean_over(draws.log_own - draws.log_aggregate, "", ""))
        confusion.append(confusion_rate(draws))
        overlap.append(nearest_overlap(mu, sigma, 100, seed))
    assert share_that_cover(before) < 0.7
    for found in (information, confusion, overlap):
        assert share_that_cover(found) >= 0.9
    ends = np.array([(one.low, one.high) for one in information])
    spread = np.std([one.value for one in information])
    assert (ends[:, 1] - ends[:, 0]).mean() / (2 * 1.96) == pytest.approx(spread, rel=0.25)


def test_mutual_information_is_between_0_and_log_n_at_both_ends():
    for sigma in (1e-4, 0.03, 0.9):
        mu, sd = posteriors(50, sigma, np.random.default_rng(0))
        found = mutual_information(draw(mu, sd, 500))
        assert 0 <= found.low <= found.value <= found.high <= math.log(50) + 1e-6
        assert found.low < math.log(50) - 0.02  # 50 images that have not met do not say that none would


def test_purity_covers_though_images_are_each_others_neighbours():
    now, before, paired = [], [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, 120)
        codes = rng.normal(size=(120, 3)) + 1.5 * np.eye(3)[labels]
        clear, blurred = purity(codes, labels), purity(codes + rng.normal(size=codes.shape), labels)
        now.append(clear.estimate())
        before.append(mean_over(clear.hits, "", ""))
        paired.append(clear.minus(blurred))
    assert 0.9 <= share_that_cover(now) <= 0.995
    assert share_that_cover(before) < 0.85
    assert 0.9 <= share_that_cover(paired) <= 0.995


# ------------------------------------------------------------------------------------------------ holes


def test_copies_of_a_code_are_no_more_codes():
    rng = np.random.default_rng(0)
    held_out, prior = rng.normal(size=600), rng.normal(0, 1.2, size=5000)
    one = hole_fraction(held_out, prior, 0.05)
    assert hole_fraction(held_out, prior, 0.05, source=np.arange(600)) == one
    copies = hole_fraction(np.tile(held_out, 9), prior, 0.05, source=np.tile(np.arange(600), 9))
    assert (copies.value, copies.low, copies.high, copies.n) == pytest.approx((one.value, one.low, one.high, 600), rel=0.05)
    below = held_out < -1
    assert independent_codes(below, np.arange(600)) == pytest.approx(600)
    assert independent_codes(np.tile(below, 9), np.tile(np.arange(600), 9)) == pytest.approx(600)
    assert independent_codes(np.tile(below, 9), rng.permutation(5400)) == pytest.approx(5400)


def test_holes_cover_the_long_run_though_draws_of_an_image_are_alike():
    """400 held-out images in 2,000 draws against a fixed aggregate: counted as examples, two of five intervals missed it."""
    rng, d, sigma = np.random.default_rng(0), 2, 0.1
    training = posteriors(300, sigma, rng, d)
    pool = log_aggregate(rng.standard_normal((20_000, d)), *training)
    many = sample_posteriors(*posteriors(40_000, sigma, rng, d), 40_000)[0]
    truth = float((pool < np.quantile(log_aggregate(many, *training), 0.05)).mean())
    now, before = [], []
    for seed in range(200):
        codes, source = sample_posteriors(*posteriors(400, sigma, np.random.default_rng([seed, 1]), d), 2000, seed)
        at_codes, at_prior = log_aggregate(codes, *training), np.random.default_rng([seed, 2]).choice(pool, 5000)
        now.append(hole_fraction(at_codes, at_prior, 0.05, seed, 1000, source=source))
        before.append(hole_fraction(at_codes, at_prior, 0.05, seed, 1000))
    assert 0.9 <= share_that_cover(now, truth) <= 0.995
    assert share_that_cover(before, truth) < 0.85


@pytest.mark.parametrize(
    ("images", "level", "says"), [(399, 0.05, "400 held-out images for 5 %, got 399"), (400, 0.01, "2,000")]
)
def test_too_few_images_to_know_a_quantile_say_how_many_are_needed(images, level, says):
    values = np.random.default_rng(0).normal(size=5000)
    found = hole_fraction(values, values, level, source=np.arange(5000) % images)
    assert found.value is None
    assert says in found.why
    assert hole_fraction(values, values, 0.05, source=np.arange(5000) % 400).value is not None


def test_an_interval_of_no_draws_and_of_all_has_a_width():
    codes = np.linspace(0, 1, 2000)
    none, every = (hole_fraction(codes, np.full(1000, at), 0.05) for at in (9.0, -9.0))
    assert none.value == none.low == 0
    assert 0.001 < none.high < 0.005
    assert every.value == every.high == 1
    assert 0.995 < every.low < 0.999


# ------------------------------------------------------------------------------------------------ shares and losses


def test_the_interval_of_a_share_of_independent_images_is_wilsons():
    for n, hits in ((2000, 0), (2000, 3), (2000, 1000), (2000, 2000)):
        p = hits / n
        low, high = share_interval(p, p * (1 - p) / n, n)
        truth = binomtest(hits, n).proportion_ci(0.95, "wilson")
        assert (low, high) == pytest.approx((truth.low, truth.high), abs=2e-5)
    for n in (3, 7, 60, 100, 117, 999):  # to the bit: 3.4e-18 is no share of anything
        assert share_interval(0.0, 0.0, n)[0] == 0
        assert share_interval(1.0, 0.0, n)[1] == 1


def test_a_loss_that_nobody_has_had_may_be_that_of_four_and_a_large_one_has_a_normal_interval():
    t = float(stdtrit(499, 0.975))
    assert loss_interval(0.0, 0.0, 500, math.log(2)) == pytest.approx((0, t**2 * math.log(2) / 500))
    low, high = loss_interval(3.0, 0.01, 500, math.log(2))
    assert ((high - low) / 2, (high + low) / 2) == pytest.approx((t * 0.1, 3.0), rel=0.01)


def test_the_interval_of_rare_losses_covers():
    """Each of 200 images loses log 2 with probability 2 %: four of them on average."""
    hits, rng = 0, np.random.default_rng(0)
    for _ in range(1000):
        losses = (rng.random(200) < 0.02) * math.log(2)
        low, high = loss_interval(losses.mean(), losses.var(ddof=1) / 200, 200, math.log(2))
        hits += low <= 0.02 * math.log(2) <= high
    assert 0.92 <= hits / 1000 <= 0.99
