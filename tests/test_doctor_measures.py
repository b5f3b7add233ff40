"""The doctor's measures against closed forms: spectra, equivariance, scales, channels, a KL's traces, density, velocities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from faulted import CODE, pictures, pool
from legato.errors import Mistake
from legato.fitted.path import at, gaussian_velocity, of_deviations, of_points
from legato.forward_mode import by_reverse, jvp
from legato.measures import charge, velocity
from legato.measures.channels import correlation_of_channels, covariance_between_channels, permuted
from legato.measures.equivariance import MOVES, equivariance, unrelated
from legato.measures.estimate import Estimate
from legato.measures.scale import channel_factors, dead_channels, scale_factor, uneven_scales, unit
from legato.measures.spectrum import pooled, spectrum, white_share, without_level
from legato.measures.uniformity import of_gaussian, uneven_density

RNG = np.random.default_rng(0)
WHITE = RNG.standard_normal((400, 3, 8, 8))


def within(one: Estimate, value: float) -> bool:
    """The value lies in the interval, up to rounding."""
    assert one.low is not None
    assert one.high is not None
    return one.low - 1e-9 <= value <= one.high + 1e-9


# ------------------------------------------------------------------------------------------------ spectra


def test_the_spectrum_of_white_noise_is_flat():
    found = spectrum(WHITE)
    error = found.rings.std(0, ddof=1) / math.sqrt(len(WHITE))
    np.testing.assert_array_less(np.abs(found.curve() - 1), 4 * error)
    assert within(found.slope(), 0)
    assert within(found.share(), white_share(8, 8))


def test_the_spectrum_of_a_constant_is_all_at_0():
    found = spectrum(np.full((5, 2, 8, 8), 3.0))
    assert found.curve()[0] == pytest.approx(64 * 9)
    assert np.abs(found.curve()[1:]).max() < 1e-20
    assert found.share().value == pytest.approx(0, abs=1e-20)
    level = spectrum(without_level(np.full((5, 2, 8, 8), 3.0)))
    assert level.share().why == "there is no power: every place of every image is alike"


def test_power_is_that_of_the_grid():
    """Parseval: the DCT is orthonormal."""
    found = spectrum(WHITE)
    np.testing.assert_allclose(found.total, np.square(WHITE).mean(1).sum((1, 2)))


def test_pooling_takes_fine_detail_away_and_a_board_is_all_of_it():
    board = np.indices((8, 8)).sum(0) % 2 * 2.0 - 1
    assert (spectrum(np.tile(board, (4, 1, 1, 1))).share().value or 0) > 0.95
    images = pictures(20)
    assert pooled(images, CODE, CODE) == pytest.approx(pool(images), abs=1e-6)
    paired = spectrum(without_level(pool(images))).minus(spectrum(without_level(pooled(images, CODE, CODE))))
    assert paired.value == pytest.approx(0, abs=1e-6)


def test_a_grid_of_one_place_has_no_spectrum():
    with pytest.raises(Mistake, match="two places a side"):
        spectrum(np.zeros((3, 4, 1, 1)))


# ------------------------------------------------------------------------------------------------ equivariance


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
def test_average_pooling_is_equivariant(move):
    x = pictures(30)
    moved, expected = (move.compared(one, 1) for one in (pool(move.apply(x, 4)), move.apply(pool(x), 1)))
    assert equivariance(moved, expected).value <= 1e-6
    assert within(unrelated(moved, expected), 1.0) or abs((unrelated(moved, expected).value or 0) - 1) < 0.2


@pytest.mark.parametrize("move", MOVES[1:], ids=lambda move: move.name)
def test_an_encoder_that_knows_its_places_is_not(move):
    x, weight = pictures(30), np.random.default_rng(1).standard_normal((CODE, CODE)).astype(np.float32)
    moved, expected = (move.compared(one, 1) for one in (pool(move.apply(x, 4)) * weight, move.apply(pool(x) * weight, 1)))
    assert (equivariance(moved, expected).low or 0) > 0.1


def test_noise_of_known_size_has_the_error_that_follows():
    """E‖ε‖²/E‖z − z′‖² = s²/2 of independent codes of variance 1."""
    codes = RNG.standard_normal((500, 2, 4, 4))
    found = equivariance(codes + 0.5 * RNG.standard_normal(codes.shape), codes)
    assert found.value == pytest.approx(0.125, rel=0.03)


# ------------------------------------------------------------------------------------------------ scales, channels


def test_scales_of_known_codes():
    codes = WHITE * np.array([1.0, 4.0, 0.0])[:, None, None]
    assert within(scale_factor(codes), 1 / math.sqrt(17 / 3))
    factors = channel_factors(codes)
    assert factors == pytest.approx([1, 0.25, 0], rel=0.02)
    assert within(uneven_scales(codes), 4.0)
    assert (dead_channels(codes).value, dead_channels(codes[:, :2]).value) == (1, 0)
    assert np.square(unit(codes)).mean() == pytest.approx(1)
    assert np.all(unit(np.full((4, 2), 7.0)) == 0)
    assert scale_factor(np.full((4, 2), 7.0)).value is None


def test_correlation_and_the_covariance_between_channels():
    shared, own = RNG.standard_normal((2, 3000, 1, 1, 1))
    codes = np.concatenate([shared, 0.6 * shared + 0.8 * own], 1)
    assert within(correlation_of_channels(codes), 0.6)
    assert within(covariance_between_channels(codes), 0.36 / 1.36)  # 2 r²/(2 + 2 r²)
    dealt = permuted(codes)
    assert within(covariance_between_channels(dealt), 0.0)
    assert (correlation_of_channels(dealt).value or 0) < 0.1
    assert np.array_equal(np.sort(dealt[:, 1].ravel()), np.sort(codes[:, 1].ravel()))
    assert correlation_of_channels(codes[:, :1]).why == "there is one live channel"


# ------------------------------------------------------------------------------------------------ traces of a KL


def test_the_traces_of_a_kl_that_was_paid():
    mu = math.sqrt(0.6) * RNG.standard_normal((2000, 4))
    sigma = np.full_like(mu, math.sqrt(0.4))
    assert (charge.second_moment_off_one(mu, sigma).value or 1) < 0.05
    assert within(charge.noise_share(mu, sigma), 0.4)
    assert charge.second_moments(mu, sigma) == pytest.approx(np.ones(4), rel=0.1)
    assert charge.second_moment_off_one(math.e * mu, math.e * sigma).value == pytest.approx(2, rel=0.05)
    assert charge.collapsed_channels(mu * np.array([1, 1, 0.01, 0]), sigma).value == 2
    assert charge.noise_share(mu, None).value is None


def test_the_gap_of_moments_is_the_kl_of_a_gaussian():
    mean, spread = np.array([0.5, 0.0]), np.array([[1.5, 0.6], [0.6, 0.8]])
    codes = np.random.default_rng(2).multivariate_normal(mean, spread, 20_000)
    exact = 0.5 * (np.trace(spread) + mean @ mean - 2 - np.log(np.linalg.det(spread))) / 2
    assert charge.gap_of_moments(codes).value == pytest.approx(exact, rel=0.05)


# ------------------------------------------------------------------------------------------------ density


def test_uneven_density_tells_clumps_from_a_gaussian_and_from_a_square():
    rng = np.random.default_rng(3)
    plain = rng.standard_normal((400, 2))
    square = rng.uniform(size=(400, 2))
    clumps = np.where(rng.uniform(size=(400, 1)) < 0.5, 0.05, 1.0) * plain + 3 * rng.integers(0, 2, (400, 1))
    even, gaussian, uneven = (uneven_density(one).value or 0 for one in (square, plain, clumps))
    # in two dimensions −log p of a Gaussian's own draws is exponential: p is uniform, whose std over mean is 1/√3
    assert gaussian == pytest.approx(1 / math.sqrt(3), rel=0.15)
    assert even < 0.7 * gaussian < gaussian < uneven
    assert within(uneven_density(plain), of_gaussian(plain).value or 0)


# ------------------------------------------------------------------------------------------------ velocities


def test_the_irreducible_variance_of_a_gaussian_is_the_integral():
    """V = ∫₀¹ Σ s²/((1 − t)² + t² s²) dt = (π/2) Σ s, Σ s² at t = 0 and d at t = 1."""
    scales = np.array([0.1, 1.0, 3.0])

    def at_time(t: float) -> float:
        return float((scales**2 / ((1 - t) ** 2 + t**2 * scales**2)).sum())

    assert of_deviations(scales) == pytest.approx(quad(at_time, 0, 1)[0])
    assert (at_time(0), at_time(1)) == (pytest.approx((scales**2).sum()), 3)


def test_it_is_what_the_exact_velocity_leaves_over():
    """E‖v − E[v|x_t]‖² by draws."""
    torch.manual_seed(0)
    spread, n = torch.tensor([0.5, 2.0], dtype=torch.double), 40_000
    losses = []
    for t in (np.polynomial.legendre.leggauss(12)[0] + 1) / 2:
        start, end = torch.randn(n, 2, dtype=torch.double), torch.randn(n, 2, dtype=torch.double) * spread
        x = at(start, end, torch.full((n,), float(t), dtype=torch.double))
        known = gaussian_velocity(x, float(t), torch.zeros(2, dtype=torch.double), torch.diag(spread**2))
        losses.append(float((end - start - known).square().sum(1).mean()))
    weights = np.polynomial.legendre.leggauss(12)[1] / 2
    assert weights @ losses == pytest.approx(of_deviations(spread.numpy()), rel=0.02)


def test_of_far_points_nothing_is_left_and_of_many_a_gaussians():
    times, weights = (part / 2 for part in np.polynomial.legendre.leggauss(12))
    rng = np.random.default_rng(4)
    far = np.repeat([[-50.0, 0.0], [50.0, 0.0]], 10, 0)
    near_the_end = of_points(far, rng.standard_normal(far.shape), np.array([0.5, 0.9]))
    assert np.abs(near_the_end).max() < 1e-9
    line = rng.standard_normal((800, 1))
    assert weights @ of_points(line, rng.standard_normal(line.shape), times + 0.5) == pytest.approx(math.pi / 2, rel=0.05)


def test_velocities_of_white_and_of_flat_codes():
    """Of variance 1 by dimension: π/2 of white codes; (π/2)/√d of codes along a single direction."""
    white, line = RNG.standard_normal((1500, 8)), RNG.standard_normal((1500, 1)) * np.ones(8)
    assert velocity.of_gaussian(white).value == pytest.approx(math.pi / 2, rel=0.01)
    assert velocity.of_gaussian(line).value == pytest.approx(math.pi / 2 / math.sqrt(8), rel=1e-6)
    assert velocity.of_gaussian(7 * white + 3).value == pytest.approx(velocity.of_gaussian(white).value)
    few = velocity.Probe(width=64, steps=300, batch=128, rate=3e-3)
    known, plain = (velocity.of_probe(one[:1000], one[1000:], few) for one in (line, white))
    assert math.pi / 2 < (plain.high or 0) < 2
    assert (known.high or 0) < 0.75 * (plain.low or 0)
    assert velocity.of_set(np.full((30, 2), 3.0)).why == velocity.ALIKE


def test_a_derivative_by_reverse_mode_is_that_of_forward_mode_and_serves_where_that_is_refused():
    torch.manual_seed(0)
    z, v = torch.randn(2, 3, 4, 4, 4, dtype=torch.double)
    plain = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3), torch.nn.Tanh()).double()
    assert torch.allclose(jvp(plain, z, v), by_reverse(plain, z, v)[1])
    normed = torch.nn.Sequential(torch.nn.ConvTranspose2d(4, 6, 3), torch.nn.GroupNorm(2, 6)).double()
    expected = (normed(z + 1e-6 * v) - normed(z - 1e-6 * v)) / 2e-6
    assert torch.allclose(jvp(normed, z, v), expected, atol=1e-7)
