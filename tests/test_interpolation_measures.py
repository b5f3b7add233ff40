"""Paths whose straightness, jumpiness and length are known: lines, circles, steps; and what lies in their middle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from legato.codes import slerp as slerp_of_two
from legato.errors import Mistake
from legato.measures.estimate import paired_difference
from legato.measures.interpolation import (
    BLOCK,
    POINTS,
    between_ends,
    cross_fade,
    decoded,
    linear,
    midpoints,
    slerp,
    smoothness,
)
from legato.measures.realism import confidence, shell
from legato.measures.whitening import Whitening
from legato.survey.fidelity import middle
from planted import CALM, EFFORT, material

N, D = 2 * BLOCK + 3, 4
RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.standard_normal((2, N, D)).astype(np.float32)
MATRIX = RNG.standard_normal((9, D)).astype(np.float32)


def affine(z):
    return (z @ MATRIX.T + 2).reshape(-1, 1, 3, 3)


def circle(z):
    """One latent number is the angle on a circle of radius 3."""
    return 3 * np.concatenate([np.cos(z), np.sin(z)], 1)


# ------------------------------------------------------------------------------------------------ paths


def test_a_path_begins_and_ends_at_its_ends_and_is_cut_evenly():
    path = decoded(lambda z: z, FIRST, SECOND)
    rows = np.arange(N)
    assert np.array_equal(path(rows, np.zeros(N)), FIRST)
    assert np.array_equal(path(rows, np.ones(N)), SECOND)
    assert midpoints(path, N) == pytest.approx((FIRST + SECOND) / 2, abs=1e-6)


def test_great_circles_are_those_of_two_vectors_row_by_row():
    alpha = RNG.random(N)
    by_hand = [slerp_of_two(a, b, t) for a, b, t in zip(FIRST, SECOND, alpha, strict=True)]
    assert np.allclose(slerp(FIRST, SECOND, alpha), by_hand, atol=1e-6)


@pytest.mark.parametrize("between", [linear, slerp])
def test_one_alpha_is_that_of_every_row(between):
    assert np.array_equal(between(FIRST, SECOND, 0.25), between(FIRST, SECOND, np.full(N, 0.25)))


def test_great_circles_keep_the_norm_and_the_speed():
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (FIRST.astype(float), SECOND.astype(float)))
    found = smoothness(lambda rows, alpha: slerp(a[rows], b[rows], alpha), N)[0]
    assert np.linalg.norm(slerp(a, b, RNG.random(N)), axis=1) == pytest.approx(np.ones(N))
    assert found.jumpiness == pytest.approx(np.ones(N), abs=1e-6)


def test_parallel_and_opposite_and_zero_ends_are_joined_by_a_line():
    a = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]])
    b = np.array([[2.0, 4.0], [-1.0, -2.0], [3.0, 1.0]])
    alpha = np.array([0.3, 0.3, 0.7])
    assert np.allclose(slerp(a, b, alpha), linear(a, b, alpha))


# ------------------------------------------------------------------------------------------------ smoothness


def test_a_linear_decoder_is_straight_and_even():
    found = smoothness(decoded(affine, FIRST, SECOND), N)[0]
    assert found.straightness == pytest.approx(np.ones(N), abs=1e-5)
    assert found.jumpiness == pytest.approx(np.ones(N), abs=1e-3)
    apart = np.linalg.norm((FIRST - SECOND) @ MATRIX.T, axis=1)
    assert found.apart == pytest.approx(apart, rel=1e-5)
    assert found.length == pytest.approx(apart**2, rel=2e-2)
    wide = smoothness(lambda rows, alpha: affine(linear(FIRST[rows].astype(float), SECOND[rows].astype(float), alpha)), N)[0]
    assert wide.straightness == pytest.approx(np.ones(N), abs=1e-12)
    assert wide.jumpiness == pytest.approx(np.ones(N), abs=1e-12)
    assert wide.length == pytest.approx(apart**2, rel=1e-5)


def test_the_cross_fade_is_straight_and_even():
    x, y = RNG.random((2, N, 1, 5, 5)).astype(np.float32)
    found = smoothness(cross_fade(x, y), N)[0]
    assert found.straightness == pytest.approx(np.ones(N), abs=1e-12)
    assert found.jumpiness == pytest.approx(np.ones(N), abs=1e-12)
    assert midpoints(cross_fade(x, y), N) == pytest.approx((x + y) / 2)


def test_a_step_has_the_jumpiness_of_a_single_leap():
    found = smoothness(decoded(lambda z: (z > 0.26) * 5.0, np.zeros((N, 1)), np.ones((N, 1))), N)[0]
    assert found.jumpiness == pytest.approx(np.full(N, POINTS - 1.0))
    assert found.straightness == pytest.approx(np.ones(N))
    assert found.apart == pytest.approx(np.full(N, 5.0))


def test_a_circle_is_straight_by_arc_over_chord():
    theta = RNG.uniform(0.5, 6, (N, 1))
    found = smoothness(decoded(circle, np.zeros((N, 1)), theta), N)[0]
    angle = theta[:, 0]
    arc = (POINTS - 1) * 2 * np.sin(angle / 2 / (POINTS - 1))  # 32 chords of the arc
    assert found.straightness == pytest.approx(arc / (2 * np.sin(angle / 2)), rel=1e-4)
    assert found.straightness == pytest.approx(angle / (2 * np.sin(angle / 2)), rel=2e-3)
    assert found.jumpiness == pytest.approx(np.ones(N), abs=1e-4)
    assert found.length == pytest.approx((3 * angle) ** 2, rel=2e-2)


def test_the_length_of_a_path_that_speeds_up_is_the_mean_square_of_its_speed():
    """g(z) = z²: E (dx/dα)² = E 4α² = 4/3, against a length of 1 at even speed."""
    n = 2000
    found = smoothness(decoded(lambda z: z.astype(np.float64) ** 2, np.zeros((n, 1)), np.ones((n, 1))), n)[0]
    one = found.estimates()["path length"]
    assert one.low < 4 / 3 < one.high
    assert found.jumpiness == pytest.approx(np.full(n, 32 * (1 - (31 / 32) ** 2)), rel=1e-4)


def test_features_are_measured_on_the_same_images():
    decodings = []

    def decode(z):
        decodings.append(len(z))
        return affine(z)

    plain, features = smoothness(decoded(decode, FIRST, SECOND), N, lambda x: (x.reshape(len(x), -1) > 2) * 1.0)
    assert sum(decodings) == N * (POINTS + 8)
    assert plain.of == "pixels"
    assert features.of == "features"
    assert features.jumpiness[features.moves].min() > 3
    assert np.array_equal(plain.straightness, smoothness(decoded(affine, FIRST, SECOND), N)[0].straightness)


def test_figures_do_not_depend_on_the_block(monkeypatch):
    whole = smoothness(decoded(affine, FIRST, SECOND), N)[0]
    monkeypatch.setattr("legato.measures.interpolation.BLOCK", 7)
    parts = smoothness(decoded(affine, FIRST, SECOND), N)[0]
    for name in ("straightness", "jumpiness", "apart", "length"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-4)


def test_models_are_compared_on_the_same_pairs():
    bent = smoothness(decoded(lambda z: np.tanh(2 * z), FIRST, SECOND), N)[0]
    straight = smoothness(decoded(affine, FIRST, SECOND), N)[0]
    found = paired_difference(bent.straightness, straight.straightness, "ratio", "straightness")
    assert found.low > 0
    assert found.n == N
    assert bent.estimates()["straightness"].value - 1 == pytest.approx(found.value, abs=1e-4)


def test_a_path_whose_ends_are_one_image_is_left_out_and_counted():
    second = SECOND.copy()
    second[:5] = FIRST[:5]
    found = smoothness(decoded(affine, FIRST, second), N)[0]
    assert np.flatnonzero(~found.moves).tolist() == [0, 1, 2, 3, 4]
    one = found.estimates()["straightness"]
    assert one.n == N - 5
    assert "5 paths" in one.method
    assert found.length[:5] == pytest.approx(np.zeros(5))


def test_a_decoder_with_one_image_has_a_length_of_0_and_no_straightness():
    found = smoothness(decoded(lambda z: 0 * z + 3, FIRST, SECOND), N)[0].estimates()
    assert "one image" in found["straightness"].why
    assert found["jumpiness"].value is None
    assert found["path length"].value == 0


def test_a_decoder_that_gives_nan_is_told():
    with pytest.raises(Mistake, match="not finite"):
        smoothness(decoded(lambda z: z * np.nan, FIRST, SECOND), N)


# ------------------------------------------------------------------------------------------------ between


def test_the_middle_of_a_straight_path_lies_between_its_ends():
    assert between_ends(decoded(affine, FIRST, SECOND), N).tolist() == [1.0] * N
    assert between_ends(cross_fade(FIRST, SECOND), N).tolist() == [1.0] * N


def test_an_unrelated_image_lies_between_in_one_case_of_three():
    """Whatever the images are: of three distances each is the largest as often. Beside 5 standard errors."""
    n = 3000
    for images in (RNG.standard_normal((3, n, 6)), RNG.exponential(size=(3, n, 2)) ** 2):
        found = between_ends(lambda rows, alpha, seen=images: seen[(2 * alpha).astype(int), rows], n)
        assert found.mean() == pytest.approx(1 / 3, abs=5 * math.sqrt(2 / 9 / n))


def test_a_detour_leaves_the_ends_when_it_is_longer_than_they_are_apart():
    """x = (±1, 0) at the ends and (0, h) half way: √(1 + h²) from either, which are 2 apart."""
    heights = np.array([0.0, 1.0, 1.7, 1.8, 9.0])

    def path(rows, alpha):
        return np.stack([2 * alpha - 1, heights[rows] * (alpha == 0.5)], 1)

    assert between_ends(path, 5).tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert between_ends(path, 5, lambda x: x[:, :1]).tolist() == [1.0] * 5  # in features that do not see the height


def test_ends_that_are_one_image_have_nothing_between():
    second = SECOND.copy()
    second[:4] = FIRST[:4]
    found = between_ends(decoded(affine, FIRST, second), N)
    assert np.flatnonzero(np.isnan(found)).tolist() == [0, 1, 2, 3]
    assert (found[4:] == 1).all()


def test_a_survey_counts_the_paths_that_have_two_ends_and_says_how_many_have_none():
    shared = material(CALM)
    first, second = shared.test.images[:40], shared.test.images[40:80].copy()
    second[:7] = first[:7]
    found = middle(shared.reference, EFFORT, cross_fade(first, second), (np.arange(40), 40 + np.arange(40)))[
        "midpoint between ends"
    ]
    assert (found.value, found.n) == (1.0, 66)  # images, two to a path
    assert "7 paths whose ends are one image are left out" in found.method


# ------------------------------------------------------------------------------------------------ realism


def test_confidence_is_the_largest_probability():
    found, each = confidence(np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]]))
    assert list(each) == [0.8, 0.5, 1.0]
    assert found.value == pytest.approx(2.3 / 3)


@pytest.mark.parametrize(("d", "norm"), [(2, 1 / math.sqrt(2)), (64, 1 / math.sqrt(2))])
def test_midpoints_of_independent_normals_have_norms_of_1_over_root_2(d, norm):
    a, b, z = np.random.default_rng(0).standard_normal((3, 4000, d))
    found = shell((a + b) / 2, z, Whitening.of(np.zeros(d), np.eye(d)))
    assert found["norm"].low < norm < found["norm"].high


def test_midpoints_leave_the_shell_only_in_high_dimension():
    """‖z_½‖² ~ ½χ²_d: below the 1 % quantile of χ²_d with probability 2 % at d = 2, 92 % at d = 64."""
    for d in (2, 64):
        share = chi2.cdf(2 * chi2.ppf(0.01, d), d)
        a, b, z = np.random.default_rng(0).standard_normal((3, 8000, d))
        white = Whitening.of(np.zeros(d), np.eye(d))
        assert shell((a + b) / 2, z, white)["inside"].value == pytest.approx(share, abs=0.03)
        assert shell(a, z, white)["inside"].value == pytest.approx(0.01, abs=0.005)
