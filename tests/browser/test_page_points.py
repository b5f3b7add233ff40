"""What a hand does with the map's points: hides them, keeps some classes, goes on with a path; where the map's corner lies."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from browser import models
from browser.models import decoded
from browser.test_page_drag import across
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


def test_what_was_pointed_at_is_told_no_longer_while_the_hand_drags(visit, mu, apart):
    page = visit("vae", at=SHOWN)
    x, y = page.place(*mu("vae")[apart[0]])
    page.page.mouse.move(x, y)
    page.page.locator(".tip").wait_for()
    page.page.mouse.down()
    page.page.mouse.move(x + 30, y + 20)
    page.page.locator(".tip").wait_for(state="detached")
    page.page.mouse.up()


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


def test_the_other_maps_picture_follows_the_hand(visit, mu, space):
    page = visit(at=SHOWN)
    vae, points = mu("vae"), mu("autoencoder")
    sigma = space("vae").encode(models.pictures()[0])[1]
    inverse = np.linalg.inv(np.cov(vae.T, bias=True) + np.diag(np.square(sigma).mean(0)))
    for spot in across(page)[5::5]:  # the first would be a click
        page.drag([across(page)[0], spot])
        away = vae - page.cursor(0)
        row = int(np.argmin(np.einsum("ni,ij,nj->n", away, inverse, away)))
        page.until(f"__app.core.followed?.row === {row} && __app.core.followed.leader === 0")
        page.settled()
        assert np.allclose(page.cursor(1), points[row], atol=1e-4)
        expected = decoded(space("autoencoder"), [page.cursor(1)])[0]
        assert np.abs(page.decoded(1).astype(int) - expected).max() <= 2
    page.page.get_by_role("button", name="same z").click()
    page.drag(across(page))
    assert page.cursor(1) == page.cursor(0)


def test_a_lasso_is_saved_as_a_table(visit, mu):
    page = visit("vae", at=SHOWN)
    box = page.map_box()
    page.page.get_by_role("button", name="Draw a lasso").click()
    corners = [(0.2, 0.2), (0.6, 0.2), (0.6, 0.7), (0.2, 0.7), (0.2, 0.25)]
    page.drag([(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in corners])
    region = page.page.get_by_role("region", name="images in the lasso")
    with page.page.expect_download() as download:
        region.get_by_role("button", name="Save as CSV").click()
    with open(download.value.path(), newline="") as file:
        table = list(csv.DictReader(file))
    assert download.value.suggested_filename == f"vae-{len(table)}-images.csv"
    codes, (_, labels) = mu("vae"), models.pictures()
    spots = (page.places(codes) - (box["x"], box["y"])) / (box["width"], box["height"])
    inside = np.flatnonzero(((spots > (0.2, 0.2)) & (spots < (0.6, 0.7))).all(1))
    rows = [int(line["row"]) for line in table]
    assert len(set(rows) ^ set(inside.tolist())) <= 2  # the border, to a pixel
    assert len(rows) > 20
    assert [line["label"] for line in table] == [str(label) for label in labels[rows]]
    assert np.allclose([[float(line["z0"]), float(line["z1"])] for line in table], codes[rows], atol=1e-4)
    assert not page.js("document.querySelector('[aria-label=\"Draw a lasso\"]').matches('[aria-pressed=true]')")


def test_what_is_in_view_is_listed_by_a_key(visit):
    page = visit("vae", at=f"{SHOWN}&only=1")
    page.page.get_by_role("application").focus()
    page.page.keyboard.press("v")
    _, labels = models.pictures()
    told = page.page.get_by_role("region", name="images in the lasso").inner_text()
    assert 0.9 * (labels == 1).sum() < int(told.split()[0]) <= (labels == 1).sum()
