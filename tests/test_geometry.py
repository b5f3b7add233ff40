"""Whitening, stretch, disturbances, cycles and neighbours against decoders and maps whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.manifold import trustworthiness as reference
from torch import nn

from legato.errors import Mistake
from legato.measures.cycle import code_cycle, cycle_errors
from legato.measures.distances import at_both_ends, euclidean, partners, random_stream
from legato.measures.geometry import BLOCK, Stretch, stretch, stretch_by_differences
from legato.measures.perturbation import Curve, perturb, sphere
from legato.measures.trustworthiness import kept_neighbours, preserved, squared_distances
from legato.measures.whitening import FLOOR, Whitening

D, PIXELS = 5, 12
RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((PIXELS, D)) * [3, 1, 1, 0.5, 0.2]
MU = (RNG.standard_normal((400, D)) @ RNG.standard_normal((D, D)) * 5 + 7).astype(np.float32)
SIGMA = (0.2 + RNG.random((400, D))).astype(np.float32)
WHITE = Whitening.of(np.zeros(D), np.eye(D))
LINE = Whitening.of(np.zeros(1), np.eye(1))  # one latent dimension, white already


def linear(z):
    return z.reshape(len(z), -1) @ MATRIX.T.astype(np.float32) + 1


def linear_torch(z):
    return (z @ torch.tensor(MATRIX.T, dtype=z.dtype) + 1).reshape(-1, 3, 4)


def curved() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(D, 16), nn.SiLU(), nn.Linear(16, PIXELS), nn.Sigmoid())


# ------------------------------------------------------------------------------------------------ whitening


def test_whitened_draws_of_the_posteriors_have_mean_0_and_covariance_1():
    whitening = Whitening.fit(MU, SIGMA)
    draws = MU + SIGMA * np.random.default_rng(1).standard_normal((500, *MU.shape))
    white = whitening.apply(draws.reshape(-1, D))
    assert np.allclose(white.mean(0), 0, atol=0.01)
    assert np.allclose(np.cov(white.T), np.eye(D), atol=0.02)
    white = Whitening.fit(MU).apply(MU)  # points: exact, the sample is the population
    assert np.allclose(np.cov(white.T, bias=True), np.eye(D), atol=1e-8)


def test_the_root_is_the_symmetric_square_root_of_s():
    whitening = Whitening.fit(MU, SIGMA)
    s = np.cov(MU.astype(np.float64).T, bias=True) + np.diag((SIGMA.astype(np.float64) ** 2).mean(0))
    assert np.allclose(whitening.root @ whitening.root, s)
    assert np.allclose(whitening.root, whitening.root.T)
    assert np.allclose(whitening.root @ whitening.inverse, np.eye(D))


def test_what_is_applied_is_inverted_also_with_dead_dimensions():
    dead = MU.copy()
    dead[:, 2] = 3.0
    whitening = Whitening.fit(dead)
    assert whitening.dead == 1
    assert np.allclose(whitening.invert(whitening.apply(dead)), dead)
    step = whitening.shift(np.eye(D)[2])
    widest = math.sqrt(np.linalg.eigvalsh(np.cov(dead.T))[-1])
    assert np.linalg.norm(step) == pytest.approx(math.sqrt(FLOOR) * widest, rel=1e-2)
    assert np.abs(whitening.apply(dead)).max() < 10
    assert Whitening.fit(MU, SIGMA).dead == 0


def test_one_dimension_is_standardised():
    white = Whitening.fit(MU[:, :1]).apply(MU[:, :1])
    assert (white.mean(), white.std()) == pytest.approx((0, 1))


def test_codes_without_spread_or_with_nan_are_refused():
    with pytest.raises(Mistake, match="all codes are the same"):
        Whitening.fit(np.ones((5, 3)))
    with pytest.raises(Mistake, match="1 of 2"):
        Whitening.fit(np.array([[1.0, math.nan], [0, 1]]))
    with pytest.raises(Mistake, match=r"\(n, d\)"):
        Whitening.fit(np.ones(5))


# ------------------------------------------------------------------------------------------------ stretch


@pytest.mark.parametrize("exact", [True, False])
def test_a_linear_decoder_stretches_alike_everywhere_by_its_singular_values(exact):
    whitening = Whitening.fit(MU, SIGMA)
    values = np.linalg.svd(MATRIX @ whitening.root, compute_uv=False)
    found = stretch(linear_torch, torch.from_numpy(MU), whitening, exact)
    assert found.largest == pytest.approx(np.full(400, values[0]), rel=1e-4)
    figures = found.estimates()
    assert figures["median"].value == pytest.approx(values[0], rel=1e-4)
    assert figures["unevenness"].value == pytest.approx(1, abs=1e-3)
    if exact:
        assert found.smallest == pytest.approx(np.full(400, values[-1]), rel=1e-3)
        assert figures["anisotropy"].value == pytest.approx(values[0] / values[-1], rel=1e-3)
    else:
        assert "largest singular value alone" in figures["anisotropy"].why


def test_every_route_gives_the_singular_values_of_autograds_jacobian():
    decode, whitening = curved(), Whitening.fit(MU, SIGMA)
    z = torch.from_numpy(MU[: BLOCK + 6] / 5)
    by_hand = [
        torch.linalg.svdvals(torch.autograd.functional.jacobian(decode, one).double() @ torch.from_numpy(whitening.root))
        for one in z
    ]
    largest, smallest = (np.array([float(values[at]) for values in by_hand]) for at in (0, -1))
    exact, power = stretch(decode, z, whitening), stretch(decode, z, whitening, exact=False)
    assert exact.largest == pytest.approx(largest, rel=1e-4)
    assert exact.smallest == pytest.approx(smallest, rel=1e-2, abs=1e-5)
    assert power.largest == pytest.approx(largest, rel=1e-4)
    wide = curved().double()
    differences = stretch_by_differences(
        lambda codes: wide(torch.from_numpy(codes).double()).detach().numpy(), z.numpy(), whitening
    )
    assert differences.largest == pytest.approx(largest, rel=1e-2)


def test_power_iteration_tells_near_equal_values_apart_in_many_dimensions():
    """Squares of 1, 0.99, 0.98 …: after 24 rounds the plain iteration would be off by about a per cent."""
    d = 100
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((d, d)))[0]
    matrix = torch.from_numpy((rotation * np.sqrt(1 - np.arange(d) / d)) @ rotation.T).float()
    found = stretch(lambda z: z @ matrix, torch.zeros(30, d), Whitening.of(np.zeros(d), np.eye(d)))
    assert "power" in found.method
    assert found.largest == pytest.approx(np.ones(30), rel=5e-3)
    assert (found.largest <= 1 + 1e-6).all()


def test_power_iteration_stops_where_the_decoder_has_fewer_directions_than_rounds():
    found = stretch(lambda z: 2 * z[:, :3], torch.zeros(8, 90), Whitening.of(np.zeros(90), np.eye(90)))
    assert found.largest == pytest.approx(np.full(8, 2.0), rel=1e-5)


def test_differences_of_a_linear_plain_function_are_exact():
    found = stretch_by_differences(linear, MU, WHITE)
    values = np.linalg.svd(MATRIX, compute_uv=False)
    assert found.largest == pytest.approx(np.full(400, values[0]), rel=1e-3)
    assert found.smallest == pytest.approx(np.full(400, values[-1]), rel=2e-2)


def test_scaling_the_codes_and_the_decoder_against_each_other_changes_no_stretch():
    decode = curved()
    plain = stretch(decode, torch.from_numpy(MU), Whitening.fit(MU, SIGMA))
    scaled = stretch(lambda z: decode(z / 30), torch.from_numpy(30 * MU), Whitening.fit(30 * MU, 30 * SIGMA))
    assert scaled.largest == pytest.approx(plain.largest, rel=1e-3, abs=1e-6)


def test_more_dimensions_than_pixels_leave_directions_that_do_not_move():
    found = stretch(lambda z: z[:, :2] * 3, torch.randn(9, D, generator=torch.Generator().manual_seed(0)), WHITE)
    assert found.largest == pytest.approx(np.full(9, 3.0))
    assert (found.smallest == 0).all()
    assert "9 of 9" in found.estimates()["anisotropy"].why


def test_a_collapsed_decoder_has_no_stretch_and_a_ratio_that_says_why():
    found = stretch(lambda z: 0 * z + 1, torch.from_numpy(MU[:20]), WHITE).estimates()
    assert found["median"].value == 0
    assert "does not move" in found["unevenness"].why


def test_a_decoder_that_hides_its_derivatives_is_refused():
    @torch.no_grad()
    def hidden(z):
        return torch.sign(linear_torch(z))

    with pytest.raises(Mistake, match="stretch_by_differences"):
        stretch(hidden, torch.from_numpy(MU), WHITE)
    with pytest.raises(Mistake, match="not finite"):
        stretch(lambda z: z / (z - z), torch.from_numpy(MU), WHITE)


def test_unevenness_is_p99_over_the_median():
    values = np.random.default_rng(0).lognormal(size=1000)
    found = Stretch(values, None, "").estimates()["unevenness"]
    assert found.value == pytest.approx(np.quantile(values, 0.99) / np.median(values), rel=0.02)
    assert found.low < math.exp(2.326) < found.high


def test_no_graph_and_no_random_number_is_left_behind():
    decode, z = curved(), torch.from_numpy(MU[:7])
    before = torch.get_rng_state()
    first = stretch(decode, z, WHITE, exact=False, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(first.largest, stretch(decode, z, WHITE, exact=False, seed=3).largest)
    assert all(p.grad is None for p in decode.parameters())


# ------------------------------------------------------------------------------------------------ disturbances


def test_the_curve_of_a_linear_decoder_is_a_straight_line_through_its_ratio_of_distances():
    found = perturb(linear, MU, WHITE).pixels
    steps = np.linalg.norm(sphere(400, D, 0) @ MATRIX.T, axis=1).mean()
    whole = np.mean([np.linalg.norm((MU - MU[row]) @ MATRIX.T, axis=1) for row in partners(400, 0)])
    assert found.values() == pytest.approx(found.radii * steps / whole, rel=1e-3)
    assert Curve(found.radii * 5, found.moved * 5, found.whole, "").half().value == pytest.approx(0.5 * whole / steps, rel=1e-3)


def test_the_radius_of_an_isotropic_linear_decoder_is_half_the_distance_of_two_codes():
    d = 16
    z = np.random.default_rng(0).standard_normal((3000, d)).astype(np.float32)
    half = perturb(lambda z: 3 * z, z, Whitening.of(np.zeros(d), np.eye(d))).pixels.half()
    exact = math.gamma((d + 1) / 2) / math.gamma(d / 2)  # E‖z − z′‖/2, z − z′ ~ N(0, 2I)
    assert half.low < exact < half.high
    assert half.value == pytest.approx(exact, rel=0.02)
    assert half.high - half.low < 0.1


def test_whitened_units_hide_the_scale_of_the_codes():
    decode = curved()

    def plain(z):
        return decode(torch.from_numpy(z)).detach().numpy()

    one = perturb(plain, MU, Whitening.fit(MU)).pixels.half()
    other = perturb(lambda z: plain(z / 30), 30 * MU, Whitening.fit(30 * MU)).pixels.half()
    assert other.value == pytest.approx(one.value, rel=1e-3)


def test_features_and_labels_are_seen_through_the_same_disturbed_images():
    calls = []

    def decode(z):
        calls.append(len(z))
        return z

    radii = np.array([0.5, 1.0, 4.0])
    z = np.random.default_rng(0).standard_normal((700, 1)).astype(np.float32)
    whitening = LINE
    found = perturb(decode, z, whitening, radii, lambda x: x.reshape(-1, 1) * 2, lambda x: x[:, 0] > 0)
    assert sum(calls) == 700 * (5 + len(radii))
    assert found.features.values() == pytest.approx(found.pixels.values(), rel=1e-6)
    moved = z[:, 0] + np.outer(radii, sphere(700, 1, 0)[:, 0])
    assert found.flips.values() == pytest.approx(((moved > 0) != (z[:, 0] > 0)).mean(1))
    assert [one.value for one in found.flips.estimates()] == pytest.approx(found.flips.values())
    plain = perturb(decode, z, whitening, radii)
    assert plain.features is None
    assert plain.flips is None


def test_the_flip_radius_of_a_threshold_is_where_half_of_the_codes_have_crossed_it():
    """On a line with both directions alike: the share that crosses 0 at r is ½ P(|z| < r), which never exceeds ½."""
    z = np.random.default_rng(0).standard_normal((4000, 1)).astype(np.float32)
    found = perturb(lambda z: z, z, LINE, np.linspace(0.2, 3, 15), classify=lambda x: x[:, 0] > 0)
    expected = [0.5 * math.erf(r / math.sqrt(2)) for r in found.flips.radii]
    assert found.flips.values() == pytest.approx(expected, abs=0.03)
    periodic = perturb(lambda z: z, z, LINE, np.linspace(0.02, 0.4, 39), classify=lambda x: x[:, 0] // 0.4)
    assert periodic.flips.half().value == pytest.approx(0.2, abs=0.01)  # cells of 0.4: a step of r leaves with r/0.4


def test_a_step_function_moves_by_the_share_of_walls_that_are_crossed():
    """Cells of width 1 that alternate between two images: a step of r < 1 changes the image with probability r, z′ with ½."""
    z = np.random.default_rng(0).uniform(0, 100, (5000, 1)).astype(np.float32)
    radii = np.linspace(0.05, 0.4, 8)
    found = perturb(lambda z: np.floor(z) % 2 * 1000, z, LINE, radii).pixels
    assert found.values() == pytest.approx(2 * radii, rel=0.12)
    assert found.half().value == pytest.approx(0.25, rel=0.1)


def test_the_crossing_is_interpolated_and_a_curve_that_never_crosses_says_so():
    radii, whole = np.array([1.0, 2.0, 3.0]), np.ones(50)
    reached = Curve(radii, np.outer([0.2, 0.4, 0.8], whole), whole, "C")
    assert reached.half().value == pytest.approx(2.25)
    assert (reached.half().low, reached.half().high) == pytest.approx((2.25, 2.25))
    at_once = Curve(radii, np.outer([2.0, 0.4, 0.8], whole), whole, "C")
    assert at_once.half().value == pytest.approx(0.25)
    never = Curve(radii, np.outer([0.2, 0.4, 0.45], whole), whole, "C").half()
    assert never.value is None
    assert "0.45 at most" in never.why


@pytest.mark.parametrize("tenth", [0.1, 0.05, 0.3])
def test_a_linear_decoder_moves_by_a_tenth_at_a_tenth_of_the_way_between_two_codes(tenth):
    """Two codes of a white population lie √2d apart (root mean square), so that C(r) is r/√2d, up to how distances spread."""
    d = 16
    z = np.random.default_rng(0).standard_normal((3000, d)).astype(np.float32)
    curve = perturb(lambda z: 3 * z, z, Whitening.of(np.zeros(d), np.eye(d))).pixels
    found = curve.at(tenth * math.sqrt(2 * d))
    exact = tenth * math.sqrt(2 * d) / (2 * math.gamma((d + 1) / 2) / math.gamma(d / 2))  # E‖z − z′‖, z − z′ ~ N(0, 2I)
    assert found.low < exact < found.high
    assert found.value == pytest.approx(exact, rel=0.01)
    assert exact == pytest.approx(tenth, rel=0.02)
    assert f"r = {tenth * math.sqrt(2 * d):.3g}" in found.method


def test_the_curve_at_a_radius_of_the_grid_is_its_estimate_there():
    decode = curved()
    curve = perturb(lambda z: decode(torch.from_numpy(z)).detach().numpy(), MU, Whitening.fit(MU)).pixels
    for place in (0, 7, len(curve.radii) - 1):
        found, expected = curve.at(float(curve.radii[place])), curve.estimates()[place]
        assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_between_two_radii_each_codes_move_is_on_the_line():
    """Beside a run at that very radius: the curve of a smooth decoder is nearly straight between two radii 26 % apart."""
    decode, whitening = curved(), Whitening.fit(MU)

    def plain(z):
        return decode(torch.from_numpy(z)).detach().numpy()

    exactly = perturb(plain, MU, whitening, np.array([0.4])).pixels.estimates()[0]
    found = perturb(plain, MU, whitening).pixels.at(0.4)
    assert found.value == pytest.approx(exactly.value, rel=0.01)
    assert (found.low, found.high) == pytest.approx((exactly.low, exactly.high), rel=0.02)
    on_a_line = Curve(np.array([1.0, 2.0]), np.outer([0.2, 0.6], np.ones(9)), np.ones(9), "C")
    assert on_a_line.at(1.25).value == pytest.approx(0.3)


def test_a_radius_outside_of_the_grid_is_refused_and_one_image_for_all_has_no_move():
    curve = perturb(linear, MU, WHITE).pixels
    for radius in (0.0, 0.9 * curve.radii[0], 1.1 * curve.radii[-1]):
        with pytest.raises(Mistake, match="outside of the grid"):
            curve.at(radius)
    assert "one image for every code" in perturb(lambda z: np.ones((len(z), 4)), MU, WHITE).pixels.at(1.0).why


def test_the_bootstrap_of_the_curve_covers_the_truth():
    """One dimension, g the identity: moved is r exactly, whole |z − z′| with mean 2/√π, so C(1) = √π/2."""
    hits = 0
    for seed in range(100):
        z = np.random.default_rng(seed).standard_normal((150, 1)).astype(np.float32)
        curve = perturb(lambda z: z, z, LINE, np.array([1.0]), seed=seed).pixels
        one = curve.estimates()[0]
        hits += one.low <= math.sqrt(math.pi) / 2 <= one.high
    assert 90 <= hits <= 99


def test_a_decoder_with_one_image_has_no_curve():
    found = perturb(lambda z: np.ones((len(z), 4)), MU, WHITE, classify=lambda x: np.zeros(len(x)))
    assert "one image for every code" in found.pixels.half().why
    assert all(one.value is None for one in found.pixels.estimates())
    assert "never" in found.flips.half().why


@pytest.mark.parametrize("radii", [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
def test_radii_that_do_not_rise_from_above_0_are_refused(radii):
    with pytest.raises(Mistake, match="rising radii"):
        perturb(linear, MU, WHITE, np.array(radii))


def test_directions_are_uniform_on_the_sphere():
    u = sphere(20_000, 3, 0)
    assert np.linalg.norm(u, axis=1) == pytest.approx(np.ones(20_000))
    assert np.allclose(u.T @ u / len(u), np.eye(3) / 3, atol=0.01)
    assert np.abs(u.mean(0)).max() < 0.02
    heights = np.sort(u[:, 2])  # Archimedes: uniform on [−1, 1]
    assert np.abs(heights - np.linspace(-1, 1, len(u))).max() < 0.04


def test_directions_do_not_follow_codes_drawn_with_the_same_seed():
    z = np.random.default_rng(3).standard_normal((500, 6))
    cosines = (z * sphere(500, 6, 3)).sum(1) / np.linalg.norm(z, axis=1)
    assert abs(cosines.mean()) < 0.08
    assert random_stream(3, "sphere").random() != random_stream(3, "partners").random()


def test_no_row_meets_itself_and_all_meet_as_many():
    for n, k in ((2, 1), (3, 2), (50, 4)):
        others = partners(n, 0)
        assert others.shape == (k, n)
        assert (others != np.arange(n)).all()
        assert (np.bincount(others.ravel()) == k).all()


def test_the_mean_distance_at_both_ends_is_that_of_all_pairs_where_all_have_met():
    x = np.random.default_rng(0).standard_normal((5, 3))
    pairs = np.linalg.norm(x[:, None] - x, axis=2).sum(1) / 4
    others = partners(5, 0)
    assert at_both_ends(np.stack([euclidean(x, x[row]) for row in others]), others) == pytest.approx(pairs)


def test_distances_refuse_nan_and_unequal_shapes():
    with pytest.raises(Mistake, match="not finite"):
        euclidean(np.array([[math.nan]]), np.ones((1, 1)))
    with pytest.raises(Mistake, match="one shape"):
        euclidean(np.ones((2, 3)), np.ones((2, 1)))


# ------------------------------------------------------------------------------------------------ cycles


def test_a_perfect_cycle_has_no_error_and_an_unrelated_code_an_error_of_root_2():
    z = np.random.default_rng(0).standard_normal((4000, D)) @ MATRIX[:D].T
    whitening = Whitening.fit(z)
    assert code_cycle(z, z, whitening).value == 0
    errors = cycle_errors(z, z[partners(4000, 0)[0]], whitening)
    assert np.sqrt((errors**2).mean()) == pytest.approx(math.sqrt(2), rel=0.02)
    assert code_cycle(z, whitening.invert(whitening.apply(z) + 0.1), whitening).value == pytest.approx(0.1)


# ------------------------------------------------------------------------------------------------ neighbours


@pytest.mark.parametrize("k", [1, 5, 10])
def test_trustworthiness_is_scikit_learns_and_continuity_its_mirror(k):
    x = np.random.default_rng(0).standard_normal((260, 8)) + 100
    z = x[:, :2] + 0.3 * np.random.default_rng(1).standard_normal((260, 2))
    found = preserved(z, x, k).estimates
    assert found["trustworthiness"].value == pytest.approx(reference(x, z, n_neighbors=k), abs=1e-12)
    assert found["continuity"].value == pytest.approx(reference(z, x, n_neighbors=k), abs=1e-12)


def test_a_rotation_keeps_all_neighbours_and_noise_half_of_the_ranks():
    x = np.random.default_rng(0).standard_normal((600, 6))
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    kept = preserved(4 * x @ rotation, x).estimates
    assert kept["trustworthiness"].value == kept["continuity"].value == 1
    noise = preserved(np.random.default_rng(2).standard_normal((600, 6)), x).estimates
    assert noise["trustworthiness"].value == pytest.approx(0.5, abs=0.02)
    assert noise["trustworthiness"].low < 0.5 < noise["trustworthiness"].high


def test_gluing_costs_trust_and_tearing_costs_continuity():
    line = np.linspace(0, 1, 300)[:, None]
    glued = np.abs(line - 0.5)  # two ends on top of each other
    torn = line + 10 * (line * 8 % 1 > 0.5) * (1 + np.floor(line * 8))
    found_glued, found_torn = (preserved(z, line).estimates for z in (glued, torn))
    assert found_glued["trustworthiness"].value < 0.9 < found_glued["continuity"].value
    assert found_torn["continuity"].value < found_torn["trustworthiness"].value


def test_the_worst_order_has_a_trustworthiness_of_0():
    n, k = 11, 3
    like = np.array([[(j - i) % n for j in range(n)] for i in range(n)], float)
    near = n - like
    for square in (like, near):
        np.fill_diagonal(square, np.inf)
    assert kept_neighbours(near, like, k) == pytest.approx(np.zeros(n))


def test_neighbours_are_of_the_sample_asked_for_and_do_not_depend_on_the_block(monkeypatch):
    x = np.random.default_rng(0).standard_normal((300, 4))
    found = preserved(x[:, :2], x, 5, sample=120, seed=1)
    assert len(found.rows) == len(found.continuity) == 120
    assert found.estimates["continuity"].n == 120
    alone = kept_neighbours(squared_distances(x[found.rows]), squared_distances(x[found.rows, :2]), 5)
    monkeypatch.setattr("legato.measures.trustworthiness.BLOCK", 7)
    assert np.array_equal(preserved(x[:, :2], x, 5, sample=120, seed=1).continuity, found.continuity)
    assert np.allclose(alone, found.continuity)


def test_the_interval_of_neighbours_is_about_that_of_fresh_samples():
    def one(seed):
        x = np.random.default_rng(seed).standard_normal((200, 5))
        return preserved(x[:, :2], x, 5, seed=seed).estimates["trustworthiness"]

    fresh = [one(seed) for seed in range(25)]
    spread = np.std([each.value for each in fresh], ddof=1) * 1.96
    assert np.mean([each.high - each.value for each in fresh]) == pytest.approx(spread, rel=0.5)


def test_too_few_rows_for_k_are_refused_and_for_an_interval_said():
    x = np.random.default_rng(0).standard_normal((24, 3))
    assert "too few" in preserved(x, x, 10).estimates["continuity"].why
    with pytest.raises(Mistake, match="below half of the 24 rows"):
        preserved(x, x, 12)
    with pytest.raises(Mistake, match="24 codes and 23 images"):
        preserved(x, x[1:])


def test_of_a_decoder_whose_image_changes_for_one_code_alone_there_is_no_interval():
    whole = np.zeros(50)
    whole[3] = 1.0
    curve = Curve(np.array([1.0, 2.0]), np.stack([0.4 * whole, 0.8 * whole]), whole, "")
    assert curve.half().value == pytest.approx(1.25)
    assert curve.half().low is None
    assert curve.at(2.0).high is None
    assert "no interval" in curve.half().method
