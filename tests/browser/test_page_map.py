"""Assertions 4, 5 and 10: points where Python says the codes are, clouds as wide as σ, holes where Python finds them."""

from __future__ import annotations

import numpy as np
import pytest

from browser import models

COLOURS = np.array([[0xE6, 0x9F, 0x00], [0x56, 0xB4, 0xE9], [0x00, 0x9E, 0x73]])  # Okabe and Ito's first three
NEAR = 3  # pixels
SHOWN = "clouds=0"


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
    spots = (*np.random.default_rng(0).uniform((20, 60), most, (2000, 2)), box["x"], box["y"])
    free = np.linalg.norm(spots[:, None] - page.places(mu, model)[None], axis=-1).min(1) > pixels
    assert free.sum() >= count
    return spots[free][:count]


def test_5_a_cloud_is_as_wide_as_sigma(visit, codes):
    mu, sigma = codes("vae")
    rows = apart(mu, sigma)
    page = visit()
    page.page.get_by_role("button", name="compare").click()
    found = {k: np.array([width(page, mu[row], k) for row in rows]) for k in (0.5, 1, 2)}
    wide = np.array([sigma[row, 0] for row in rows])
    measured, expected = np.concatenate(list(found.values())), np.concatenate([k * wide for k in found])
    assert np.ptp(wide) > 0.02
    assert np.corrcoef(np.log(measured), np.log(expected))[0, 1] > 0.97
    assert (found[1] > 1.4 * found[0.5]).all()
    assert (found[2] > 1.4 * found[1]).all()


def apart(mu, sigma, count=6):
    """Images whose clouds lie alone, narrow ones and wide ones."""
    distance = np.linalg.norm((mu[:, None] - mu[None]) / sigma[:, None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    alone = np.argsort(-distance.min(1))[: 3 * count]
    return alone[np.argsort(sigma[alone, 0])][::3]


def width(page, at, k, scale=220):
    """The width of what is drawn of a cloud along a at its middle, where it is half as dense as there, in units of z."""
    clouds = picture_at(page, at, k, scale)
    bare = picture_at(page, at, 0, scale)
    middle = clouds.shape[0] // 2
    band = slice(middle - 12, middle - 7)  # above the point, whose own disc hides the cloud's middle
    ink = np.abs(clouds[band, :, :3].astype(float) - bare[band, :, :3]).sum(-1).mean(0)
    inside = np.flatnonzero(ink > 0.5 * ink[len(ink) // 2 - 6 : len(ink) // 2 + 7].max())
    left = right = len(ink) // 2
    while left - 1 in inside:
        left -= 1
    while right + 1 in inside:
        right += 1
    return (right - left + 1) / scale


def picture_at(page, at, k, scale):
    cursor = f"{at[0] + 1.5},{at[1] + 1.2}"  # out of the way
    page.js(f"void (location.hash = 'compare=0&clouds={k}&view={at[0]},{at[1]},{scale}&at={cursor}&at1={cursor}')")
    page.until(f"__app.state().clouds === {k} && __app.state().models[0].camera.a === Number({at[0]})")
    return page.still_map()


def reencoding(space, z, noise):
    """√ of the mean over dimensions of ((encode(decode(z)) − z) / mean σ)²."""
    again = space.posterior(space.decode_prepared(z))[0]
    return np.sqrt((np.square(again - z) / noise).mean(1))


def test_10_the_holes_on_the_map_are_the_ones_that_python_finds(visit, codes, space):
    mu, sigma = codes("vae")
    page = visit("vae", at=SHOWN)
    page.page.keyboard.press("h")
    page.until("__app.state().background === 'holes'")
    legend = page.by_id("legend-0")
    page.eventually(lambda: "64²" in legend.inner_text(), "the finest field")
    shot = page.still_map()
    spots = far_from(page, mu, count=200, pixels=9)
    z = page.coordinates(spots)
    error = reencoding(space("vae"), z, np.square(sigma).mean(0))
    painted = np.array([np.median(around(page, shot, spot, NEAR).reshape(-1, 3), 0) for spot in spots]) @ (0.3, 0.6, 0.1)
    ranks = [np.argsort(np.argsort(values)) for values in (error, painted)]
    assert np.corrcoef(*ranks)[0, 1] > 0.8
    hole, data = np.argmax(error), np.argmin(np.linalg.norm(z[:, None] - mu[None], axis=-1).min(1))
    assert error[hole] > 3 * error[data]
    assert painted[hole] > painted[data]
    assert hatching(around(page, shot, spots[hole], 12)) > 2 * hatching(around(page, shot, spots[data], 12))


def hatching(pixels):
    """How much neighbouring pixels differ."""
    grey = pixels.mean(-1)
    return np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
