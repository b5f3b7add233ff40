"""Distances between sets of features, and shares of neighbours: closed forms, brute force, two other packages."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from legato.errors import Mistake
from legato.measures import neighbours
from legato.measures.estimate import Estimate
from legato.measures.fidelity import frechet, gaussian_frechet, kernel_distance, kid, moments
from legato.measures.halves import half_sample_errors
from legato.measures.manifold import manifold
from legato.measures.neighbours import Cloud

FIVE = ("density", "coverage", "precision", "recall", "two_sample")


def normal(n: int, f: int = 8, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, f)) + shift


def contains(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high


# ---------------------------------------------------------------------------------------------------- half-samples


@pytest.mark.parametrize("n", [1000, 1001])
def test_the_error_of_a_mean_from_half_samples_is_s_over_root_n(n):
    x = normal(n, 3, seed=1)
    errors = half_sample_errors(lambda rows: x[rows].mean(0), (n,), draws=4000)
    assert errors == pytest.approx(x.std(0, ddof=1) / math.sqrt(n), rel=0.05)


def test_the_error_of_a_difference_of_two_samples_adds_their_variances():
    x, y = normal(400, 1, seed=1)[:, 0], 3 * normal(900, 1, seed=2)[:, 0]
    error = half_sample_errors(lambda a, b: float(x[a].mean() - y[b].mean()), (400, 900), draws=4000)
    assert float(error) == pytest.approx(math.sqrt(x.var() / 400 + y.var() / 900), rel=0.05)


def test_halves_hold_each_row_once_and_too_few_rows_are_refused():
    seen = []
    half_sample_errors(lambda rows: seen.append(rows) or 0.0, (11,), draws=5)
    assert all(len(rows) == 5 and (np.diff(rows) > 0).all() for rows in seen)
    with pytest.raises(Mistake, match="4 examples or more"):
        half_sample_errors(lambda rows: 0.0, (3,))


# ------------------------------------------------------------------------------------------------ Fréchet distance


def test_commuting_gaussians_have_the_distance_of_their_standard_deviations():
    a, b = np.array([1.0, 2.0, 0.0, 5.0]), np.array([3.0, 2.0, 1.0, 4.0])
    mean = np.array([0.0, 1.0, -2.0, 0.5])
    turn = np.linalg.qr(normal(4, 4))[0]
    found = gaussian_frechet(mean, turn * a**2 @ turn.T, np.zeros(4), turn * b**2 @ turn.T)
    assert found == pytest.approx((mean**2).sum() + ((a - b) ** 2).sum(), rel=1e-7)  # a root of rounding: √1e-16


def test_gaussians_that_do_not_commute_agree_with_the_matrix_root_of_the_product():
    first, second = (np.cov(normal(50, 6, seed=s) @ normal(6, 6, seed=s + 9), rowvar=False) for s in (1, 2))
    root = sqrtm(first @ second).real
    expected = 1.5**2 * 6 + np.trace(first + second - 2 * root)
    assert gaussian_frechet(np.full(6, 1.5), first, np.zeros(6), second) == pytest.approx(expected, rel=1e-8)


def test_a_repeated_image_is_at_the_distance_of_its_mean_and_all_of_the_spread():
    real = normal(500, 5)
    mean, covariance = moments(real)
    found = frechet(real, np.full((500, 5), 2.0))
    assert found.value == pytest.approx(((mean - 2) ** 2).sum() + np.trace(covariance), rel=1e-9)


def test_a_set_is_at_distance_0_of_itself_and_a_known_shift_is_found():
    real = normal(4000, 6)
    assert frechet(real, real, draws=2).value == pytest.approx(0, abs=1e-9)
    assert frechet(real, real + 2, draws=2).value == pytest.approx(4 * 6, rel=1e-9)
    found = frechet(real, 1.5 * normal(4000, 6, seed=1, shift=1.0))
    assert contains(found, 6 * (1.5**2 + 0.5**2))
    assert found.high - found.low < 2


def test_the_error_of_a_frechet_distance_is_its_spread_over_new_data():
    values, errors = [], []
    for seed in range(60):
        found = frechet(normal(300, 4, seed), normal(300, 4, seed + 500, shift=0.7), draws=30)
        values.append(found.value)
        errors.append((found.high - found.low) / (2 * 2.045))
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.3)


def test_on_equal_distributions_the_interval_is_too_wide_rather_than_too_narrow():
    values, widths = [], []
    for seed in range(40):
        found = frechet(normal(200, 4, seed), normal(200, 4, seed + 500), draws=30)
        values.append(found.value)
        widths.append((found.high - max(found.low, 0)) / 2)
    assert np.mean(widths) > np.std(values)


def test_frechet_and_kernel_distances_are_those_of_torchmetrics():
    fid = pytest.importorskip("torchmetrics.image.fid")
    kernel = pytest.importorskip("torchmetrics.image.kid")
    x, y = normal(300, 7, 1) @ normal(7, 7, 3), normal(250, 7, 2, shift=0.3)
    theirs = fid._compute_fid(*(torch.tensor(m) for each in (x, y) for m in moments(each)))
    assert gaussian_frechet(*moments(x), *moments(y)) == pytest.approx(float(theirs), rel=1e-6)
    x = x[:250]  # they take sets of one size
    assert kernel_distance(x, y) == pytest.approx(float(kernel.poly_mmd(torch.tensor(x), torch.tensor(y))), rel=1e-6)


# -------------------------------------------------------------------------------------------------- kernel distance


def test_the_kernel_distance_is_the_double_sum_over_pairs():
    x, y = normal(5, 3, 1), normal(6, 3, 2)
    k = lambda a, b: (a @ b / 3 + 1) ** 3  # noqa: E731
    within_x = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    within_y = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    across = np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(within_x + within_y - 2 * across, rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_kernel_distance_has_its_closed_form_in_expectation(shift):
    """(xy + 1)³ compares three moments: 3(Δm₁)² + 3(Δm₂)² + (Δm₃)² for N(0, 1) against N(shift, 1) in one dimension."""
    expected = 3 * shift**2 + 3 * shift**4 + (shift**3 + 3 * shift) ** 2
    found = [kernel_distance(normal(100, 1, s), normal(100, 1, s + 5000, shift)) for s in range(400)]
    assert abs(np.mean(found) - expected) < 4 * np.std(found) / math.sqrt(400)


def test_kid_is_unbiased_around_0_for_equal_distributions_and_its_interval_covers():
    found = [kid(normal(600, 6, s), normal(600, 6, s + 900), block=60) for s in range(100)]
    values = np.array([one.value for one in found])
    assert abs(values.mean()) < 3 * values.std() / 10
    assert (values < 0).any()
    assert 88 <= sum(contains(one, 0) for one in found) <= 100


def test_kid_does_not_depend_on_the_unit_of_the_features_and_grows_with_distance():
    x, y = normal(900, 6), normal(900, 6, 1, shift=0.2)
    assert kid(10 * x, 10 * y, 300).value == pytest.approx(kid(x, y, 300).value, rel=1e-9)
    far = kid(x, normal(900, 6, 1, shift=1.0), 300)
    assert far.low > kid(x, y, 300).high
    assert kid(x[:500], y, 300).n == 500


# -------------------------------------------------------------------------------------------------------- neighbours


@pytest.mark.parametrize("entries", [1, 700, 10**7])
def test_radii_are_those_of_a_full_distance_matrix_whatever_the_blocks(entries, monkeypatch):
    monkeypatch.setattr(neighbours, "ENTRIES", entries)
    x = normal(60, 5, shift=3.0)
    rows = np.sort(np.random.default_rng(0).choice(60, 30, replace=False))
    cloud = Cloud(x, k=3)
    for found, points in ((cloud.radii(), x), (cloud.radii(rows), x[rows])):
        assert np.allclose(found.sqrt(), np.sort(cdist(points, points), 1)[:, 3], atol=1e-5)
    assert np.allclose(cloud.radii(k=1).sqrt(), np.sort(cdist(x, x), 1)[:, 1], atol=1e-5)


def test_radii_within_halves_come_from_lists_that_are_long_enough():
    x, rng = normal(2000, 16), np.random.default_rng(3)
    cloud = Cloud(x, k=5)
    assert cloud.others.shape == (2000, 40)
    for _ in range(3):
        rows = np.sort(rng.permutation(2000)[:1000])
        assert np.allclose(cloud.radii(rows).sqrt(), Cloud(x[rows], 5, cloud.centre).radii().sqrt(), atol=1e-5)


# ---------------------------------------------------------------------------- density, coverage, precision and recall


@pytest.mark.parametrize(("k", "n", "m"), [(5, 400, 400), (3, 500, 300), (1, 300, 500)])
def test_the_four_figures_are_those_of_prdc(k, n, m, capsys):
    prdc = pytest.importorskip("prdc")
    x, y = normal(n, 10, 1), 0.9 * normal(m, 10, 2, shift=0.2)
    theirs = prdc.compute_prdc(x, y, k)
    found = manifold(x, y, k, draws=2)
    for name in FIVE[:4]:
        assert getattr(found, name).value == pytest.approx(theirs[name], abs=1e-9), name


def test_every_figure_is_that_of_the_full_distance_matrix():
    x, y, k = normal(80, 4, 1), normal(70, 4, 2, shift=0.4), 3
    d, own_x, own_y = cdist(x, y), cdist(x, x), cdist(y, y)
    rx, ry = np.sort(own_x, 1)[:, k], np.sort(own_y, 1)[:, k]
    found = manifold(x, y, k, draws=2)
    balls = (d <= rx[:, None]).sum(0)
    right = (np.sort(own_x, 1)[:, 1] < d.min(1)).sum() + (np.sort(own_y, 1)[:, 1] < d.min(0)).sum()
    expected = (balls.mean() / k, (d.min(1) <= rx).mean(), (balls > 0).mean(), (d <= ry).any(1).mean(), right / 150)
    assert [getattr(found, name).value for name in FIVE] == pytest.approx(expected)
    assert np.array_equal(found.balls, balls)
    assert np.array_equal(found.covered, d.min(1) <= rx)
    assert np.allclose(found.nearest_real, d.min(0), atol=1e-5)


def test_equal_distributions_have_density_1_coverage_97_percent_and_cannot_be_told_apart():
    """A real ball is empty where the five nearest points of either kind are all real: 2⁻⁵ of the time, for as many of each."""
    found = manifold(normal(3000, 16), normal(3000, 16, 1))
    assert contains(found.density, 1.0)
    assert found.coverage.value == pytest.approx(1 - 2**-5, abs=0.01)
    assert contains(found.coverage, 1 - 2**-5)
    assert contains(found.two_sample, 0.5)
    assert found.precision.value == pytest.approx(found.recall.value, abs=0.05)


def test_disjoint_distributions_have_0_of_all_and_are_told_apart():
    found = manifold(normal(300), normal(300, seed=1, shift=50.0))
    assert [getattr(found, name).value for name in FIVE] == [0, 0, 0, 0, 1]
    assert not found.balls.any()
    assert found.nearest_real.min() > 100


def test_dropping_half_of_the_modes_halves_coverage_and_recall_and_not_density_and_precision():
    rng = np.random.default_rng(0)
    modes = 30 * rng.standard_normal((10, 8))
    real = modes[np.arange(1000) % 10] + rng.standard_normal((1000, 8))
    all_modes, few = (modes[np.arange(1000) % m] + rng.standard_normal((1000, 8)) for m in (10, 5))
    whole, dropped = manifold(real, all_modes), manifold(real, few)
    assert dropped.coverage.value == pytest.approx(0.5, abs=0.03)
    assert dropped.recall.value == pytest.approx(0.5 * whole.recall.value, abs=0.06)
    assert dropped.density.value == pytest.approx(whole.density.value, rel=0.1)
    assert dropped.precision.value == pytest.approx(whole.precision.value, abs=0.05)


def test_one_image_repeated_can_be_dense_and_precise_but_covers_little():
    real = normal(500)
    found = manifold(real, np.zeros((500, 8)))
    assert found.density.value > 2
    assert found.precision.value == 1
    assert found.coverage.value < 0.5
    assert found.recall.value < 0.01


def test_copies_of_training_images_are_known_only_by_the_two_sample_test():
    pool = normal(1200)
    real, copies = pool[:600], pool[:600] + 1e-3
    found = manifold(real, copies)
    assert found.coverage.value == 1
    assert found.density.value >= 1
    assert found.two_sample.high < 0.1


def test_a_cloud_may_be_kept_for_many_sets_and_rows_far_from_the_origin_lose_nothing():
    x, y = normal(300), normal(300, seed=1)
    cloud = Cloud(x + 1000)
    assert manifold(cloud, y + 1000).to_json() == manifold(x + 1000, y + 1000).to_json()
    for name in FIVE:
        assert getattr(manifold(cloud, y + 1000), name).value == pytest.approx(getattr(manifold(x, y), name).value, abs=0.02)


def test_the_errors_of_the_five_figures_are_their_spread_over_new_data():
    values, errors = [], []
    for seed in range(40):
        found = manifold(normal(200, 6, seed), normal(200, 6, seed + 900, shift=0.4), draws=20, seed=seed)
        values.append([getattr(found, name).value for name in FIVE])
        errors.append([(getattr(found, name).high - getattr(found, name).low) / (2 * 2.093) for name in FIVE])
    ratio = np.mean(errors, 0) / np.std(values, 0, ddof=1)
    assert (ratio > 0.7).all()
    assert (ratio < 1.6).all()


def test_intervals_are_deterministic_under_their_seed_and_no_generator_is_disturbed():
    x, y = normal(200), normal(200, seed=1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for measure in (manifold, frechet, kid):
        first, again, other = (measure(x, y, seed=seed) for seed in (1, 1, 2))
        parts = [[getattr(e, n) for n in FIVE] if measure is manifold else [e] for e in (first, again, other)]
        assert parts[0] == parts[1] != parts[2]
    assert torch.equal(torch.get_rng_state(), before)


# ------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("measure", [frechet, kid, manifold])
def test_what_does_not_compare_is_refused_and_nan_never_passes(measure):
    x, broken = normal(40), normal(40)
    broken[3, 1] = math.nan
    for a, b in ((x, broken), (broken, x)):
        with pytest.raises(Mistake, match="not finite"):
            measure(a, b)
    for a, b in ((x, normal(40, 5)), (x, normal(3)), (normal(3), x)):
        with pytest.raises(Mistake):
            measure(a, b)
