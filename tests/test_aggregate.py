"""The aggregate posterior beside enumeration and closed forms: its density, its marginals, the parts of the rate.

Each part is tested alone: that they sum to the rate holds for any densities at all and proves nothing.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from torch.distributions import MultivariateNormal, Normal

from legato.errors import Mistake
from legato.measures.aggregate import ROUNDING, draw, log_aggregate, responsibilities, sample_posteriors
from legato.measures.decomposition import decomposition
from legato.measures.marginals import PER_SIGMA, log_aggregate_marginals


@pytest.fixture(autouse=True)
def _alone():
    """One thread: other processes want the cores."""
    torch.set_num_threads(1)


def by_double_loop(z: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """log N(z_i; μ_n, σ_n), (n, N), one scalar at a time."""
    found = np.empty((len(z), len(mu)))
    for i in range(len(z)):
        for n in range(len(mu)):
            found[i, n] = sum(norm.logpdf(a, b, c) for a, b, c in zip(z[i], mu[n], sigma[n], strict=True))
    return found


def broadcast(z: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The same per dimension, (n, N, d), differences first, in double precision."""
    t = (z[:, None] - mu) / sigma
    return -0.5 * t**2 - np.log(sigma) - 0.5 * math.log(2 * math.pi)


def posteriors(n: int, d: int, scale: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n posteriors whose σ varies by a factor of four around `scale`."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), scale * np.exp(rng.uniform(-0.7, 0.7, (n, d)))


# ------------------------------------------------------------------------------------------------ the density


def test_the_aggregate_is_the_mean_of_all_posteriors_counted_one_by_one():
    mu, sigma = posteriors(17, 3)
    z = np.random.default_rng(1).normal(size=(11, 3)) * 2
    every = by_double_loop(z, mu, sigma)
    found, top = responsibilities(z, mu, sigma)
    assert found == pytest.approx(logsumexp(every, 1) - math.log(17), abs=1e-6)
    assert top == pytest.approx(every.max(1), abs=1e-9)


def test_the_aggregate_integrates_to_1():
    mu, sigma = posteriors(9, 2)
    edge = np.linspace(-6, 6, 241)
    grid = np.stack(np.meshgrid(edge, edge), -1).reshape(-1, 2)
    assert np.exp(log_aggregate(grid, mu, sigma)).sum() * 0.05**2 == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-7, 1e-5, 1e-3, 1e-2, 0.1, 1.0])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_densities_are_right_to_a_thousandth_of_a_nat_however_narrow(scale, offset):
    mu, sigma = posteriors(700, 32, scale)
    mu = mu + offset
    z, source = sample_posteriors(mu, sigma, 60)
    z[30:] = mu[source[30:]] + 30 * sigma[source[30:]]  # far from every posterior too
    every = broadcast(z, mu, sigma).sum(2)
    found, top = responsibilities(z, mu, sigma)
    assert np.abs(found - logsumexp(every, 1) + math.log(700)).max() < 2 * ROUNDING
    assert np.abs(top - every.max(1)).max() < 2 * ROUNDING


def test_neither_the_order_nor_the_size_of_blocks_matters():
    mu, sigma = posteriors(1300, 5)
    z, _ = sample_posteriors(mu, sigma, 300)
    found = log_aggregate(z, mu, sigma)
    order, turn = np.random.default_rng(2).permutation(1300), np.random.default_rng(3).permutation(300)
    assert log_aggregate(z[turn], mu[order], sigma[order]) == pytest.approx(found[turn], abs=1e-6)
    for rows, columns in ((1, 1300), (300, 7), (77, 512)):
        assert log_aggregate(z, mu, sigma, rows, columns) == pytest.approx(found, abs=1e-6)
    assert log_aggregate_marginals(z, mu[order], sigma[order]) == pytest.approx(log_aggregate_marginals(z, mu, sigma), abs=1e-5)


def test_single_precision_arrays_are_read_as_they_are_and_left_alone():
    mu, sigma = (a.astype(np.float32) for a in posteriors(50, 4, 1e-3))
    z = (mu + sigma).astype(np.float32)
    for array in (mu, sigma, z):
        array.flags.writeable = False
    state = torch.get_rng_state()
    found = log_aggregate(z, mu, sigma)
    wide = [a.astype(np.float64) for a in (z, mu, sigma)]
    assert np.array_equal(found, log_aggregate(*wide))
    log_aggregate_marginals(z, mu, sigma)
    decomposition(mu, sigma, outer=20)
    assert torch.equal(state, torch.get_rng_state())


def test_each_posterior_is_drawn_once_before_any_comes_twice():
    mu, sigma = posteriors(40, 2)
    for n, counts in ((15, {0, 1}), (40, {1}), (100, {2, 3})):
        _, source = sample_posteriors(mu, sigma, n)
        assert set(np.bincount(source, minlength=40)) == counts


def test_draws_carry_the_density_of_their_own_posterior():
    mu, sigma = posteriors(30, 3)
    draws = draw(mu, sigma, 50, seed=4)
    own = by_double_loop(draws.z, mu, sigma)
    assert draws.log_own == pytest.approx(own[np.arange(50), draws.source])
    assert (draws.log_top >= draws.log_own - 1e-9).all()
    again = draw(mu, sigma, 50, seed=4)
    assert np.array_equal(draws.z, again.z)
    assert not np.array_equal(draws.z, draw(mu, sigma, 50, seed=5).z)


@pytest.mark.parametrize(
    ("z", "mu", "sigma", "says"),
    [
        (np.zeros((3, 2)), np.zeros((4, 2)), np.zeros((4, 2)), "a point has no density"),
        (np.zeros((3, 2)), np.zeros((4, 2)), np.ones((5, 2)), r"got \(4, 2\) and \(5, 2\)"),
        (np.zeros((3, 2)), np.full((4, 2), np.nan), np.ones((4, 2)), "must be finite"),
        (np.full((3, 2), np.inf), np.zeros((4, 2)), np.ones((4, 2)), "`z` must be finite"),
        (np.zeros((3, 1)), np.zeros((4, 2)), np.ones((4, 2)), r"`z` is \(n, 2\)"),
    ],
)
def test_what_is_no_density_is_refused(z, mu, sigma, says):
    for measure in (log_aggregate, log_aggregate_marginals):
        with pytest.raises(Mistake, match=says):
            measure(z, mu, sigma)


# ------------------------------------------------------------------------------------------------ the marginals


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 0.3, 1.0])
def test_marginals_are_exact_sums_at_any_point(scale):
    mu, sigma = posteriors(1500, 3, scale)
    z = np.concatenate([sample_posteriors(mu, sigma, 40)[0], [[40.0, -7, 0.3]]])  # one that no posterior is near
    by_hand = logsumexp(broadcast(z, mu, sigma), 1) - math.log(1500)
    assert np.abs(log_aggregate_marginals(z, mu, sigma, exact=True) / by_hand - 1).max() < 1e-4


@pytest.mark.parametrize("kind", ["a population", "ten clusters", "isolated", "one narrow among wide"])
def test_the_spline_is_within_a_ten_thousandth_of_the_exact_marginal(kind):
    rng = np.random.default_rng(0)
    mu, sigma = posteriors(800, 2, 0.2)
    if kind == "ten clusters":
        mu, sigma = rng.normal(size=(10, 2))[rng.integers(0, 10, 800)], np.full((800, 2), 0.07)
    if kind == "isolated":
        mu, sigma = np.array([[-3.0, 0], [0, 3], [4, -4]]), np.array([[0.05, 0.1], [0.06, 0.05], [0.1, 0.2]])
    if kind == "one narrow among wide":
        sigma = np.ones_like(sigma)
        sigma[0] = 0.03
    z, _ = sample_posteriors(mu, sigma, 4000)
    assert PER_SIGMA * np.ptp(z[:, 0]) / sigma.min() < 4000  # the spline is what is used
    exact = log_aggregate_marginals(z, mu, sigma, exact=True)
    error = np.abs(log_aggregate_marginals(z, mu, sigma) - exact)
    assert error.max() < 1e-3
    assert error.mean() < 1e-4


# ------------------------------------------------------------------------------------------------ the rate's parts


def near(found, truth: float, sigmas: float = 4.0) -> bool:
    """Within `sigmas` standard errors of its own interval."""
    return abs(found.value - truth) <= sigmas / 1.96 * (found.high - found.value) + 1e-5


def mean_of(values: np.ndarray, truth: float, sigmas: float = 4.0) -> bool:
    """Within `sigmas` standard errors of so many draws: an interval over few posteriors is much wider."""
    return abs(values.mean() - truth) <= sigmas * values.std() / math.sqrt(len(values))


def gaussian_aggregate(covariance: np.ndarray, sigma: float, n: int = 60_000) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors of one width whose aggregate is N(0, covariance) but for the n draws of their means."""
    means = covariance - sigma**2 * np.eye(len(covariance))
    mu = np.random.default_rng(0).multivariate_normal(np.zeros(len(covariance)), means, n)
    centred = mu - mu.mean(0)
    whole = np.linalg.cholesky(means) @ np.linalg.inv(np.linalg.cholesky(np.cov(centred.T, bias=True)))
    return centred @ whole.T, np.full(mu.shape, sigma)


def test_total_correlation_of_a_gaussian_aggregate_is_minus_half_the_log_determinant_of_its_correlations():
    for rho in (0.0, 0.5, -0.8):
        covariance = np.array([[4.0, 2 * rho, 0], [2 * rho, 1.0, 0], [0, 0, 1.0]])
        mu, sigma = gaussian_aggregate(covariance, 0.4, 8000)
        found = decomposition(mu, sigma, outer=4000).total_correlation
        truth = -0.5 * math.log(1 - rho**2)
        assert abs(found.value - truth) < 0.03 + 2 * (found.high - found.value) * 0.5, rho


def test_dimension_wise_kl_of_a_gaussian_aggregate_is_the_kl_of_its_variances():
    covariance = np.diag([4.0, 1.0, 0.25])
    covariance[0, 1] = covariance[1, 0] = 1.6  # correlation must not enter
    mu, sigma = gaussian_aggregate(covariance, 0.4, 8000)
    found = decomposition(mu + np.array([0, 1, 0]), sigma, outer=8000)
    truth = [0.5 * (v + m**2 - 1 - math.log(v)) for v, m in ((4.0, 0), (1.0, 1), (0.25, 0))]
    for one, true in zip(found.per_dimension, truth, strict=True):
        assert one.value == pytest.approx(true, abs=0.05)
        assert near(one, true)
    assert near(found.dimension_wise_kl, sum(truth))
    assert found.dimension_wise_kl.value == pytest.approx(sum(one.value for one in found.per_dimension))


def test_another_prior_changes_the_dimension_wise_kl_alone():
    mu, sigma = posteriors(300, 2)
    prior = Normal(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 0.5]))
    one, other = decomposition(mu, sigma, outer=2000), decomposition(mu, sigma, prior, outer=2000)
    assert one.mutual_information == other.mutual_information
    assert one.total_correlation == other.total_correlation
    z = one.draws.z
    change = norm.logpdf(z).sum(1) - norm.logpdf(z, [0, 1], [2, 0.5]).sum(1)
    assert other.dimension_wise_kl.value - one.dimension_wise_kl.value == pytest.approx(change.mean(), abs=1e-5)
    with pytest.raises(Mistake, match="must factorise"):
        decomposition(mu, sigma, MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double()), outer=50)


def test_mutual_information_is_log_n_minus_the_entropy_of_whose_a_draw_is():
    mu, sigma = posteriors(12, 2, 0.5)
    found = decomposition(mu, sigma, outer=600)
    log_p = by_double_loop(found.draws.z, mu, sigma)
    responsible = np.exp(log_p - logsumexp(log_p, 1, keepdims=True))
    entropy = -(responsible * np.log(np.maximum(responsible, 1e-300))).sum(1).mean()
    # The same expectation by another estimator: over z alone instead of over (n, z).
    assert mean_of(found.draws.log_own - found.draws.log_aggregate, math.log(12) - entropy)
    own = responsible[np.arange(600), found.draws.source]
    assert found.mutual_information.value == pytest.approx(math.log(12) + np.log(own).mean(), abs=1e-6)


def test_mutual_information_of_two_posteriors_is_their_integral():
    mu, sigma = np.array([[-0.7], [0.7]]), np.array([[1.0], [0.5]])

    def integrand(z: float, n: int) -> float:
        p = norm.pdf(z, mu[:, 0], sigma[:, 0])
        return 0.5 * p[n] * math.log(p[n] / p.mean()) if p[n] > 0 else 0.0

    truth = sum(quad(integrand, -12, 12, args=(n,), limit=200)[0] for n in range(2))
    found = decomposition(mu, sigma, outer=40_000)
    assert mean_of(found.draws.log_own - found.draws.log_aggregate, truth)
    assert found.mutual_information.value == pytest.approx(truth, abs=0.01)
    assert found.mutual_information.n == 2


def test_mutual_information_is_log_n_for_disjoint_posteriors_and_0_for_equal_ones():
    apart = decomposition(np.arange(50.0)[:, None] * [1, 1], np.full((50, 2), 0.01), outer=200)
    assert apart.mutual_information.value == pytest.approx(math.log(50), abs=1e-6) == pytest.approx(apart.log_n)
    alike = decomposition(np.zeros((50, 2)), np.ones((50, 2)), outer=200)
    for part in (alike.rate, alike.mutual_information, alike.total_correlation, alike.dimension_wise_kl):
        assert part.value == pytest.approx(0, abs=1e-5)


def test_the_parts_sum_to_the_closed_form_of_the_rate():
    mu, sigma = posteriors(900, 6, 0.4)
    found = decomposition(mu, sigma, outer=6000)
    truth = float(0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma)).sum(1).mean())
    assert mean_of(found.draws.log_own - norm.logpdf(found.draws.z).sum(1), truth)
    assert found.rate.value == pytest.approx(truth, abs=0.1)
    assert found.rate.value == pytest.approx(found.mutual_information.value + found.marginal_kl.value)
    assert found.marginal_kl.value == pytest.approx(found.total_correlation.value + found.dimension_wise_kl.value)


def test_the_joint_density_of_a_gaussian_aggregate_is_that_gaussian():
    covariance = np.array([[1.0, 0.6], [0.6, 1.0]])
    mu, sigma = gaussian_aggregate(covariance, 0.5, 20_000)
    z = np.array([[0.0, 0], [1, 1], [1, -1], [2, 1]])
    assert log_aggregate(z, mu, sigma) == pytest.approx(multivariate_normal.logpdf(z, cov=covariance), abs=0.1)
