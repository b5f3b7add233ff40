"""The bytes of the explorer: golden ones that the page's own tests read too, and round trips of anything."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.errors import Mistake
from legato.explorer import tiles
from legato.explorer.fields import Field, Grid, field
from legato.explorer.frames import ERROR, RGBA, VALUES, Answered, CursorRequest, Malformed, Picture
from legato.explorer.planes import Plane, axes, leading
from legato.explorer.points import Points, project

GOLDEN = json.loads((Path(__file__).parent / "golden" / "explorer_frames.json").read_text())
U32, U16, U8 = (st.integers(0, 2**bits - 1) for bits in (32, 16, 8))
SINGLE = st.floats(width=32, allow_nan=False)


def numbers(given: Any, kind: type) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in given], kind)


@pytest.mark.parametrize("one", GOLDEN["asked"])
def test_a_question_has_these_bytes(one):
    asked = CursorRequest(one["seq"], one["op"], one["model"], one["step"], numbers(one["z"], np.float32))
    assert asked.pack().hex() == one["hex"]
    again = CursorRequest.read(bytes.fromhex(one["hex"]))
    assert (again.seq, again.op, again.model, again.step) == (one["seq"], one["op"], one["model"], one["step"])
    np.testing.assert_array_equal(again.z, asked.z)


@pytest.mark.parametrize("one", GOLDEN["answered"])
def test_an_answer_has_these_bytes(one):
    kind = {RGBA: lambda p: bytes(p), VALUES: lambda p: np.array(p, "<f4").tobytes(), ERROR: str.encode}[one["fmt"]]
    picture = Picture(one["fmt"], one["c"], one["w"], one["h"], kind(one["payload"]))
    assert Answered(one["seq"], one["op"], one["model"], picture).pack().hex() == one["hex"]
    assert Answered.read(bytes.fromhex(one["hex"])) == Answered(one["seq"], one["op"], one["model"], picture)


def test_points_have_these_bytes():
    one = GOLDEN["points"]
    plane = Plane(*(np.array(one["plane"][name], np.float64) for name in ("u", "v", "anchor")))
    made = project(plane, np.array(one["mu"]), np.array(one["sigma"]), np.array(one["rows"]), np.array(one["labels"]))
    assert made.pack().hex() == one["hex"]
    assert made.xy.tolist() == one["xy"]
    assert made.off.tolist() == one["off"]
    assert made.covariance.tolist() == one["covariance"]
    assert made.labels.tolist() == one["label"]
    again = Points.read(bytes.fromhex(one["hex"]))
    assert again.pack() == made.pack()
    assert again.rows.tolist() == one["rows"]


@pytest.mark.parametrize("one", GOLDEN["tiles"])
def test_tiles_have_these_bytes(one):
    values = numbers(np.array(one["decoded"], object).reshape(-1), np.float32).reshape(one["shape"])
    assert tiles.packed(values).hex() == one["hex"]


@pytest.mark.parametrize("one", GOLDEN["fields"])
def test_a_field_has_these_bytes(one):
    made = Field(numbers(one["values"], np.float32).reshape(one["h"], one["w"]), numbers([one["threshold"]], float)[0])
    assert made.pack().hex() == one["hex"]
    again = Field.read(bytes.fromhex(one["hex"]))
    np.testing.assert_array_equal(again.values, made.values)


@given(U32, U8, U16, st.lists(st.floats(width=32), min_size=1, max_size=40))
def test_a_question_comes_back(seq, model, step, z):
    asked = CursorRequest.read(CursorRequest(seq, 1, model, step, np.array(z, np.float32)).pack())
    assert (asked.seq, asked.op, asked.model, asked.step) == (seq, 1, model, step)
    np.testing.assert_array_equal(asked.z, np.array(z, np.float32))


@given(U32, U8, st.integers(0, 9), st.integers(0, 9), st.randoms())
def test_an_answer_comes_back(seq, model, width, height, random):
    answered = Answered(seq, 1, model, Picture(RGBA, 4, width, height, random.randbytes(4 * width * height)))
    assert Answered.read(answered.pack()) == answered


@given(st.binary(max_size=64))
def test_any_bytes_are_a_question_or_malformed(content):
    try:
        asked = CursorRequest.read(content)
    except Malformed:
        assert len(content) < 12 or len(content) % 4 or content[4] != 1
    else:
        assert asked.pack()[:8] == content[:8]
        assert len(asked.z) == len(content) // 4 - 2


def test_an_answer_that_is_cut_short_is_malformed():
    whole = Answered(1, 1, 0, Picture(RGBA, 4, 2, 1, bytes(8))).pack()
    for cut in (whole[:-1], whole[:5], whole + b"x"):
        with pytest.raises(Malformed):
            Answered.read(cut)


@given(st.integers(2, 6), st.integers(0, 10**6))
def test_coordinates_of_places_on_a_plane_are_what_they_were(d, seed):
    rng = np.random.default_rng(seed)
    plane = leading(np.cov(rng.normal(size=(d, 40))), rng.normal(size=d))
    ab = rng.normal(size=(5, 2))
    np.testing.assert_allclose(plane.coordinates(plane.at(ab)), ab, atol=1e-12)
    away = plane.at(np.zeros((1, 2)))[0] - plane.anchor  # the origin differs from the anchor within the plane alone
    np.testing.assert_allclose(away, plane.u * (away @ plane.u) + plane.v * (away @ plane.v), atol=1e-12)


def test_a_cloud_is_the_projection_of_its_posterior():
    rng = np.random.default_rng(0)
    plane = leading(np.cov(rng.normal(size=(5, 40))), rng.normal(size=5))
    mu, sigma = rng.normal(size=(1, 5)), rng.uniform(0.2, 2, (1, 5))
    drawn = plane.coordinates(mu + sigma * rng.normal(size=(400_000, 5)))
    aa, ab, bb = project(plane, mu, sigma, np.array([0]), None).covariance[0].astype(float)
    np.testing.assert_allclose([[aa, ab], [ab, bb]], np.cov(drawn.T), rtol=0.02, atol=0.01)


def test_a_row_keeps_beside_its_distance_from_the_plane():
    plane = axes(0, 1, np.zeros(3))
    mu = np.array([[0, 0, 0], [1, 2, 5], [0, 0, -10]])
    made = Points.read(project(plane, mu, np.ones((3, 3)), np.array([0, 2**24 - 1, 7]), None).pack())
    assert made.rows.tolist() == [0, 2**24 - 1, 7]
    assert made.off.tolist() == [0, 128, 255]
    assert made.labels.tolist() == [65535] * 3


@pytest.mark.parametrize(
    ("u", "v"), [([1, 0, 0], [1, 0, 0]), ([2, 0, 0], [0, 1, 0]), ([1, 0, 0], [0.1, 1, 0]), ([0, 0, 0], [0, 0, 1])]
)
def test_a_plane_is_orthonormal(u, v):
    with pytest.raises(Mistake, match="orthonormal"):
        Plane(np.array(u, float), np.array(v, float), np.zeros(3))


def test_cells_are_square_and_their_first_row_lies_at_b0():
    grid = Grid((0.0, 4.0, 10.0, 12.0), 8)
    assert grid.shape == (4, 8)
    assert grid.centres()[[0, 1, 8]].tolist() == [[0.25, 10.25], [0.75, 10.25], [0.25, 10.75]]


@pytest.mark.parametrize(("extent", "size"), [((0, 0, 0, 1), 4), ((1, 0, 0, 1), 4), ((0, 1, 0, 1), 0), ((0, 1, 0, 1), 513)])
def test_an_empty_grid_is_a_mistake(extent, size):
    with pytest.raises(Mistake):
        Grid(extent, size)


def test_what_is_not_finite_in_a_field_is_nan():
    made = field(Grid((0, 2, 0, 1), 2), np.array([np.inf, 1e300]))
    assert np.isfinite(made.values).tolist() == [[True, True]]
    assert np.isnan(field(Grid((0, 2, 0, 1), 2), np.array([np.nan, 1])).values).tolist() == [[True, False]]


def test_transparency_lies_on_white():
    image = np.zeros((1, 4, 1, 2), np.float32)
    image[0, 3, 0, 1] = 1
    assert tiles.rgba(image)[0, 0].tolist() == [[255, 255, 255, 255], [0, 0, 0, 255]]
