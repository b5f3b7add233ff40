"""Assertions 4, 5 and 10: points where Python says the codes are, clouds as wide as σ, holes where Python finds them."""

from __future__ import annotations

import numpy as np
import pytest

from browser import models
from browser.hatched import holes, look_as_they_must

COLOURS = np.array([[0xE6, 0x9F, 0x00], [0x56, 0xB4, 0xE9], [0x00, 0x9E, 0x73]])  # Okabe and Ito's first three
NEAR = 3  # pixels
SHOWN = "clouds=0"
STEP = 8  # pixels between two that are compared


@pytest.fixture(scope="module")
def codes(space):
    """μ and σ of every image by a model's name."""
    images, _ = models.pictures()
    return lambda name: space(name).encode(images)


def lone(mu, labels, count=12):
    """Images of each class that lie farthest from any of another class: nothing of another colour covers them."""
    apart = np.linalg.norm(mu[:, None] - mu[None], axis=-1)
    apart[labels[:, None] == labels[None]] = np.inf
    order = np.argsort(-apart.min(1))
    return [row for label in range(len(models.SHAPES)) for row in order[labels[order] == label][: count // 3]]


def around(page, shot, spot, reach, model=0):
    """The pixels of a picture of the map within some pixels of a place in the window."""
    box = page.map_box(model)
    x, y = round(spot[0] - box["x"]), round(spot[1] - box["y"])
    assert reach <= x < shot.shape[1] - reach, "the place is not on the picture"
    assert reach <= y < shot.shape[0] - reach, "the place is not on the picture"
    return shot[y - reach : y + reach + 1, x - reach : x + reach + 1, :3].astype(int)


def has_colour(pixels, colour):
    return bool((np.abs(pixels - colour).max(-1) <= 24).any())


@pytest.mark.parametrize("model", [0, 1])
def test_4_a_blob_of_its_class_lies_at_each_known_code(visit, codes, model):
    page = visit(at=SHOWN)
    assert set(page.js("__app.renderers")) == {"WebGL2"}
    blobs(page, codes(("vae", "autoencoder")[model])[0], model)


def blobs(page, mu, model=0):
    """Looks for points at codes, and for none where there are none."""
    _, labels = models.pictures()
    shot = page.still_map(model)
    assert shot[..., :3].std() > 5
    for row in lone(mu, labels):
        assert has_colour(around(page, shot, page.place(*mu[row], model), NEAR, model), COLOURS[labels[row]]), row
    for spot in far_from(page, mu, model):
        assert not any(has_colour(around(page, shot, spot, NEAR, model), colour) for colour in COLOURS)


def far_from(page, mu, model=0, count=20, pixels=14):
    """Places on the map with no point near."""
    box = page.map_box(model)
    most = (box["width"] - 60, box["height"] - 60)
    spots = np.random.default_rng(0).uniform((20, 60), most, (2000, 2)) + np.array((box["x"], box["y"]))
    free = np.linalg.norm(spots[:, None] - page.places(mu, model)[None], axis=-1).min(1) > pixels
    assert free.sum() >= count
    return spots[free][:count]


@pytest.mark.parametrize("closer", [0, 4])
def test_5_clouds_are_as_wide_as_sigma(visit, codes, closer):
    mu, sigma = (values.astype(float) for values in codes("vae"))
    page = visit("vae", at=SHOWN)
    for _ in range(closer):
        page.page.get_by_role("button", name="Zoom in").click()
    bare = page.still_map()
    for k in (0.5, 1, 2):
        page.page.get_by_role("slider", name="clouds").fill(str(k))
        drawn, spots, under = free_of_marks(page, page.still_map(), bare)
        ink = np.abs(drawn - under).sum(1)
        assert ink.max() > 60
        away = {
            wider: np.abs(clouds(mu, sigma * wider, k, spots, under, page) - drawn).mean() for wider in (0.6, 0.8, 1, 1.25, 1.6)
        }
        print(f"levels away from the formula at k = {k}, were σ so many times as wide: {away}")
        assert min(away, key=away.get) == 1
        assert away[1] < 0.04 * ink.mean() + 1
        alike = clouds(mu, np.full_like(sigma, sigma.mean()), k, spots, under, page)
        assert np.abs(alike - drawn).mean() > 1.5 * away[1]


def free_of_marks(page, shot, bare):
    """Some pixels where nothing but clouds is drawn: its colour, its map coordinates, the colour without clouds."""
    ground = np.median(bare[..., :3].reshape(-1, 3), 0)
    plain = (bare[::STEP, ::STEP, :3] == ground).all(-1)
    y, x = np.nonzero(plain)
    box = page.map_box()
    spots = page.coordinates(STEP * np.stack([x, y], 1) + 0.5 + (box["x"], box["y"]))
    return shot[::STEP, ::STEP, :3][plain].astype(float), spots, bare[::STEP, ::STEP, :3][plain].astype(float)


def clouds(mu, sigma, k, spots, under, page):
    """The colours of clouds by the formula: 0.8 (1 − exp(−g Σ w)) of their mean colour, w = exp(−½ q²), q ≤ 3."""
    _, labels = models.pictures()
    blur = 0.8 / (page.place(1, 0)[0] - page.place(0, 0)[0])
    squares = (np.square(spots[:, None] - mu) / (np.square(k * sigma) + blur**2)).sum(-1)
    weights = np.where(squares < 18, np.exp(-0.5 * squares), 0)
    pairs = np.exp(-0.5 * (np.square(mu[:, None] - mu) / np.square(k * sigma[:, None])).sum(-1))
    total = weights.sum(1, keepdims=True)
    opaque = 0.8 * (1 - np.exp(-1.6 / max(1, pairs.sum() / len(mu)) * total))
    return under * (1 - opaque) + opaque * (weights @ COLOURS[labels]) / np.maximum(total, 1e-9)


def test_10_the_map_of_holes_is_coloured_and_hatched_as_the_errors_that_python_finds_say(visit, codes, space):
    mu, sigma = codes("vae")
    look_as_they_must(holes(visit("vae", at=SHOWN), space("vae"), mu, np.square(sigma).mean(0)))
