"""The data set with known factors: every picture is what its factors say, and any row tells its factors."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import legato
from legato.data import DataOptions, describe, open_source
from legato.data.factors import COUNTS, FACTORS, TOTAL, combinations, draw, factors_of, name, values
from legato.errors import Mistake

RNG = np.random.default_rng(0)
INSIDE = {
    "square": lambda u, v: (abs(u) <= 0.5) & (abs(v) <= 0.5),
    "ellipse": lambda u, v: u**2 / 1.7 + v**2 * 1.7 <= 1 / np.pi,
}


def grid(**fixed: int) -> np.ndarray:
    """Every combination with these positions, the other factors free."""
    free = [[fixed[f.name]] if f.name in fixed else range(len(f.values)) for f in FACTORS]
    return np.stack(np.meshgrid(*free, indexing="ij"), -1).reshape(-1, len(FACTORS))


def supersampled(combination: np.ndarray, size: int, points: int = 16) -> np.ndarray:
    """The same picture by counting points of a fine grid that lie inside: an independent drawing."""
    _, side, angle, x, y, shade = values(combination[None])[0]
    fine = (np.arange(size * points) + 0.5) / (size * points)
    across, down = np.meshgrid((fine - x) / side, (fine - y) / side)
    turn = np.radians(angle)
    u, v = np.cos(turn) * across + np.sin(turn) * down, np.cos(turn) * down - np.sin(turn) * across
    inside = INSIDE[str(FACTORS[0].values[combination[0]])](u, v)
    return inside.reshape(size, points, size, points).mean((1, 3)) * shade


@pytest.mark.parametrize("size", [28, 64])
@pytest.mark.parametrize("shape", [0, 1])
def test_a_picture_is_the_area_that_its_shape_covers_of_each_pixel(shape, size):
    some = grid(shape=shape, shade=3)
    some = some[RNG.choice(len(some), 12, replace=False)]
    for combination, picture in zip(some, draw(some, size)[:, 0], strict=True):
        error = np.abs(picture - supersampled(combination, size)) / 255
        assert error.max() < 0.27  # at a corner; along an edge at 45° it is below 0.07
        assert error[picture > 0].mean() < 0.04


def test_shapes_of_one_size_have_one_area():
    for size, side in enumerate(FACTORS[1].values):
        drawn = draw(grid(size=size, x=3, y=12, shade=3)).reshape(3, 18, -1) / 255
        assert drawn.sum(2) == pytest.approx((side * 64) ** 2, rel=0.03)


def test_the_heart_is_a_square_with_a_disc_on_two_sides():
    heart = draw(grid(shape=2, size=5, angle=0, x=0, y=0, shade=3), 256)[0, 0] / 255
    assert np.abs(heart - heart[:, ::-1]).max() > 0.5  # it stands left
    left, right = np.flatnonzero(heart.any(0))[[0, -1]]
    own = heart[:, left : right + 1]
    assert np.abs(own - own[:, ::-1]).mean() < 0.02  # upright: its own mirror image
    widths = (own > 0.5).sum(1)[(own > 0.5).any(1)]
    assert widths.argmax() < len(widths) / 2  # the tip is below
    assert widths[-1] <= 4
    # Its width is the square's diagonal and what the discs bulge: s(1 + √2/2), s = side/√(1 + π/4).
    side = 0.29 * 256 / np.sqrt(1 + np.pi / 4)
    assert (own > 0.5).sum(1).max() == pytest.approx(side * (1 + np.sqrt(0.5)), abs=2)


def test_the_brightest_pixel_is_the_shade_and_the_centre_of_mass_the_position():
    some = grid(shape=1, size=3, angle=7)
    drawn = draw(some)[:, 0].astype(float)
    shade, (x, y) = values(some)[:, 5], values(some)[:, 3:5].T * 64
    assert np.array_equal(drawn.max((1, 2)), shade)
    mass, place = drawn.sum((1, 2)), np.arange(64) + 0.5
    assert np.abs((drawn.sum(1) @ place) / mass - x).max() < 0.02
    assert np.abs((drawn.sum(2) @ place) / mass - y).max() < 0.02


def test_the_long_axis_of_an_ellipse_turns_by_the_angle():
    some = grid(shape=1, size=5, x=7, y=7, shade=3)
    place = np.arange(64) + 0.5 - values(some)[0, 3] * 64
    for picture, degrees in zip(draw(some)[:, 0].astype(float), FACTORS[2].values, strict=True):
        moments = [np.einsum("ij,i,j", picture, place**a, place**b) for a, b in ((0, 2), (2, 0), (1, 1))]
        assert np.degrees(0.5 * np.arctan2(2 * moments[2], moments[0] - moments[1])) == pytest.approx(degrees, abs=0.5)


def test_no_shape_touches_the_edge():
    largest = draw(np.concatenate([grid(size=5, x=x, y=y, shade=3) for x in (0, 15) for y in (0, 15)]))
    assert not any(side.any() for side in (largest[..., 0, :], largest[..., -1, :], largest[..., 0], largest[..., -1]))


def test_every_step_of_every_factor_changes_the_picture():
    start = combinations(200, seed=3)
    before = draw(start).astype(float)
    for j, count in enumerate(COUNTS):
        moved = start.copy()
        moved[:, j] += np.where(start[:, j] < count - 1, 1, -1)
        change = np.abs(draw(moved) - before).sum((1, 2, 3)) / before.sum((1, 2, 3))
        assert change.min() > 0.02, FACTORS[j].name
    small = draw(grid(size=0, x=0, y=0, shade=0))
    assert len(np.unique(small.reshape(len(small), -1), axis=0)) == 3 * 18


def test_combinations_are_distinct_even_and_their_order_is_published():
    every = combinations(TOTAL, seed=7)
    assert len(np.unique(np.ravel_multi_index(tuple(every.T), COUNTS))) == TOTAL
    some = combinations(30_000)
    for column, count in zip(some.T, COUNTS, strict=True):
        expected = len(some) / count
        assert (np.abs(np.bincount(column, minlength=count) - expected) < 5 * np.sqrt(expected)).all()
    assert np.array_equal(combinations(100), some[:100])
    assert hashlib.md5(some.tobytes()).hexdigest() == "4f8ee05c4db75d1c6d856823a3692e7a"
    assert not np.array_equal(combinations(100, seed=1), some[:100])


def test_the_source_is_drawn_once_labelled_by_shape_and_tells_its_factors(fresh_cache):
    data = open_source("factors", DataOptions(size=16))
    assert (data.shape, data.rows.dtype, data.kind, data.likelihood) == ((1, 16, 16), np.uint8, "bytes", "discretized-logistic")
    assert {part: len(rows) for part, rows in data.splits.items()} == {"train": 18_000, "validation": 2_000, "test": 10_000}
    factors = factors_of(data.ids)
    assert np.array_equal(factors, combinations(30_000))
    assert np.array_equal(data.labels, factors[:, 0])
    assert data.label_names == ("square", "ellipse", "heart")
    rows = data.splits["test"].all()[[5, 77, -1]]
    assert np.array_equal(data.rows[rows], draw(factors_of([data.ids[row] for row in rows]), 16))
    assert data.find(name(factors[123])) == data.find("123") == 123
    assert [place.name for place in fresh_cache.iterdir() if (place / "rows.bin").exists()] == [data.fingerprint]
    assert open_source("factors", DataOptions(size=16)).fingerprint == data.fingerprint
    assert describe(data)["labels"] == {"square": 10_043, "ellipse": 9_953, "heart": 10_004}


def test_a_model_is_trained_on_the_source_and_finds_it_again(tmp_path):
    made = legato.train("vae", data="factors", size=8, steps=2, width=8, latent_dim=2, out=tmp_path / "run")
    data = legato.load(tmp_path / "run").data().dataset
    assert (data.source, data.shape) == ("factors", (1, 8, 8))
    assert made.encode(data.rows[:3])[0].shape == (3, 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: combinations(0), ["`n` is 0", "331,776"]),
        (lambda: combinations(TOTAL + 1), ["331,777", "331,776"]),
        (lambda: draw(np.zeros((2, 5), int)), ["(n, 6)", "(2, 5)"]),
        (lambda: draw(np.zeros((2, 6))), ["integers", "float64"]),
        (lambda: draw(np.array([[0, 6, 0, 0, 0, 0]])), ["from 0 to [2, 5, 17, 15, 15, 3]"]),
        (lambda: factors_of(["train-0"]), ["not of `factors`"]),
        (lambda: factors_of(["heart-1-1-1-1-9"]), ["from 0 to"]),
        (lambda: open_source("factors", DataOptions(channels=3)), ["grey", "--channels"]),
        (lambda: open_source("factor"), ["did you mean `factors`"]),
    ],
)
def test_what_has_no_such_factors_is_refused(call, words):
    with pytest.raises(Mistake) as caught:
        call()
    assert all(word in str(caught.value) for word in words)
