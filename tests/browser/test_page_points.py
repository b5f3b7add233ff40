"""What a hand does with the map's points: hides them, keeps some classes, goes on with a path; where the map's corner lies."""

from __future__ import annotations

import numpy as np
import pytest

from browser import models
from browser.test_page_map import COLOURS, around, has_colour, lone

SHOWN = "clouds=0"


@pytest.fixture(scope="module")
def mu(space):
    """μ of every image by a model's name."""
    images, _ = models.pictures()
    return lambda name: space(name).encode(images)[0]


@pytest.fixture(scope="module")
def apart(mu):
    """An image of each class, lying alone in both models' maps, or as good as alone."""
    _, labels = models.pictures()
    rows = lone(mu("vae"), labels, 3)
    assert labels[rows].tolist() == [0, 1, 2]
    return rows


def seen(page, mu, rows):
    """For each of these images, whether its class's colour is at its place."""
    _, labels = models.pictures()
    shot = page.still_map()
    return [has_colour(around(page, shot, page.place(*mu[row]), 3), COLOURS[labels[row]]) for row in rows]


def test_the_map_begins_inside_its_border(visit):
    page = visit("vae", at=SHOWN)
    page.page.get_by_role("button", name="Zoom in").click()
    camera = page.until("__app.state().models[0].camera")
    drawn = page.by_id("map-0").locator("canvas").last.bounding_box()
    middle = (drawn["x"] + drawn["width"] / 2, drawn["y"] + drawn["height"] / 2)
    assert np.allclose(page.place(camera["a"], camera["b"]), middle, atol=0.5)  # the border has 1, and widths are whole pixels
    spot = (middle[0] + 37, middle[1] - 21)
    page.drag([middle, spot])
    moved = np.subtract(page.cursor(), (camera["a"], camera["b"])) * camera["scale"]
    assert np.allclose(moved, (37, 21), atol=0.5)


def test_points_are_hidden_and_shown_again(visit, mu, apart):
    page = visit("vae", at=SHOWN)
    codes = mu("vae")
    assert seen(page, codes, apart) == [True, True, True]
    page.page.get_by_role("slider", name="points").fill("0")
    page.until("location.hash.includes('dots=0')")
    assert seen(page, codes, apart) == [False, False, False]
    page.page.mouse.click(*page.place(*codes[apart[0]]))
    page.settled()
    assert page.state["selected"] is None
    page.page.keyboard.press("o")
    page.until("__app.state().dots === 1")
    assert seen(page, codes, apart) == [True, True, True]


def test_the_legend_keeps_some_classes(visit, mu, apart):
    page = visit("vae", at=SHOWN)
    codes = mu("vae")
    legend = page.page.get_by_role("group", name="Classes")
    legend.get_by_role("button", name="1").click()
    page.until("__app.state().only.join() === '0,2'")
    assert seen(page, codes, apart) == [True, False, True]
    page.page.mouse.click(*page.place(*codes[apart[1]]))
    page.settled()
    assert page.state["selected"] is None
    legend.get_by_role("button", name="2").dblclick()
    page.until("__app.state().only.join() === '2'")
    assert seen(page, codes, apart) == [False, False, True]
    _, labels = models.pictures()
    assert f"{(labels == 2).sum()} of 600 points are shown" in page.page.locator("#map").inner_text()
    again = visit("vae", at=f"{SHOWN}&only=2")
    again.page.get_by_role("button", name="all classes").click()
    assert seen(again, codes, apart) == [True, True, True]


def path_of(page, stops):
    page.until(f"__app.state().path.length === {stops}")
    page.settled()
    return page.state["path"]


def test_a_right_click_starts_a_path_and_goes_on_with_it(visit, mu, apart):
    page = visit(at=SHOWN)
    codes = mu("vae")
    for stops, row in enumerate(apart, 1):
        page.page.mouse.click(*page.place(*codes[row]), button="right")
        path = path_of(page, stops)
        assert [stop["row"] for stop in path] == apart[:stops]
        assert np.allclose([stop["z"] for stop in path], codes[apart[:stops]], atol=1e-4)
    assert page.state["t"] == 1
    x, y = page.place(*mu("autoencoder")[apart[0]], 1)
    page.page.mouse.click(x, y, button="right")
    path = path_of(page, 4)
    assert page.state["active"] == 1
    assert np.allclose([stop["z"] for stop in path[:3]], mu("autoencoder")[apart], atol=1e-4)
    page.page.keyboard.press("Control+z")
    assert [stop["row"] for stop in path_of(page, 3)] == apart


def test_right_clicks_in_a_hurry_all_count(visit, mu, apart):
    page = visit("vae", at=SHOWN)
    for row in apart:
        page.page.mouse.click(*page.place(*mu("vae")[row]), button="right")
    assert [stop["row"] for stop in path_of(page, 3)] == apart
