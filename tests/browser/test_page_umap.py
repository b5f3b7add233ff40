"""The map as a UMAP layout: points that only images stand at, a hand that picks the nearest, and nothing that needs a plane."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec

import numpy as np
import pytest

from browser.models import decoded
from browser.served import served

pytestmark = pytest.mark.skipif(find_spec("umap") is None, reason="no UMAP: pip install umap-learn, or make peers")
LAID = "__app.core.points[0] && __app.core.planes[0].layout === 'umap' && !__app.core.laying[0]"
STAND_IN = """
class UMAP:
    def __init__(self, **how): pass
    def fit_transform(self, codes): return 3 * codes[:, [2, 0]] + codes[:, [1, 1]]
"""
XY = "[...__app.core.points[0].xy]"
ROWS = "[...__app.core.points[0].row]"


@pytest.fixture
def laid(visit):
    """The page of five latents, laid out by its button."""
    page = visit("five", at="clouds=0")
    page.page.get_by_role("button", name="UMAP").click()
    said = page.by_id("map-0")
    page.eventually(lambda: "Laying out the codes (UMAP) …" in said.inner_text() or page.js(LAID), "that it is laid out")
    page.until(LAID)  # the first one compiles UMAP
    return page.settled()


def spots(page):
    """Every point's row and its place in the window."""
    return np.array(page.js(ROWS)), page.places(np.array(page.js(XY)).reshape(-1, 2))


def near(page):
    """Whether the cursor is drawn at a row's point."""
    at = page.js("__app.cursorAt(0)")
    return lambda row, all_: np.hypot(*(all_[1][all_[0] == row][0] - (at["x"], at["y"]))) < 0.5


def test_a_hand_picks_the_nearest_image_wherever_it_is(laid, space):
    page = laid
    assert "no inverse: pointing picks the nearest image" in page.page.get_by_role("group", name="Plane of five").inner_text()
    rows, places = spots(page)
    box = page.map_box()
    rng = np.random.default_rng(2)
    for spot in rng.uniform((60, 60), (box["width"] - 90, box["height"] - 60), (4, 2)) + np.array((box["x"], box["y"])):
        page.page.mouse.click(*spot)
        expected = int(rows[np.linalg.norm(places - spot, axis=1).argmin()])
        page.until(f"__app.state().selected === {expected} && __app.core.encoded[0]")
        page.settled()
        assert near(page)(expected, (rows, places))
        assert np.abs(page.decoded().astype(int) - decoded(space("five"), [page.cursor()])[0]).max() <= 2
    page.drag([(box["x"] + 80 + 25 * i, box["y"] + 90 + 15 * i) for i in range(20)])
    last = (box["x"] + 80 + 25 * 19, box["y"] + 90 + 15 * 19)
    expected = int(rows[np.linalg.norm(places - last, axis=1).argmin()])
    page.until(f"__app.state().selected === {expected} && __app.core.encoded[0]")
    assert page.js("__app.inFlightMax") == 1


def test_the_arrows_go_from_image_to_image(laid):
    page = laid
    rows, places = spots(page)
    middle = np.linalg.norm(places - np.median(places, 0), axis=1).argmin()
    page.page.mouse.click(*places[middle])
    page.page.get_by_role("application").focus()
    page.until(f"__app.state().selected === {rows[middle]} && __app.core.encoded[0]")
    for key, (x, y) in {"ArrowRight": (1, 0), "ArrowUp": (0, -1), "Shift+ArrowLeft": (-1, 0)}.items():
        before = places[rows == page.state["selected"]][0]
        page.page.keyboard.press(key)
        page.until(f"__app.state().selected !== {rows[(places == before).all(1)][0]} && __app.core.encoded[0]")
        along, across = (places[rows == page.state["selected"]][0] - before) @ np.array([[x, -y], [y, x]])
        assert along >= (40 if key.startswith("Shift") else 4) - 0.01
        assert abs(across) <= along + 1e-6


def test_a_layout_has_no_rings_axes_fields_or_clouds_and_is_kept_in_the_address(laid):
    page = laid
    assert page.page.get_by_role("button", name="holes").is_disabled()
    assert page.page.get_by_role("slider", name="clouds").is_disabled()
    page.page.keyboard.press("h")
    page.eventually(lambda: "no background" in page.by_id("legend-0").inner_text(), "why there is none")
    assert not page.js("__app.core.points[0].cov.some((half) => half)")
    page.until("location.hash.includes('plane=umap')")
    layout = page.js(XY)
    page.go(page.js("location.hash.slice(1)"))
    page.eventually(lambda: page.js(LAID), "the layout")
    assert page.js(XY) == layout
    page.page.get_by_role("button", name="PCA", exact=True).click()
    page.until("!__app.core.planes[0].layout && __app.core.points[0]")
    assert page.page.get_by_role("button", name="holes").is_enabled()


def test_a_move_by_other_means_goes_to_the_image_nearest_to_it(laid):
    page = laid
    all_ = spots(page)
    slider = page.page.locator("#dimensions input[type=range]").first
    slider.focus()
    for _ in range(5):
        page.page.keyboard.press("ArrowRight")
    page.settled()
    nearest = page.js("__app.core.located[0].rows[0]")
    assert page.state["selected"] is None
    page.eventually(lambda: near(page)(nearest, spots(page)), "the cursor at the nearest image")
    assert len(all_[0]) == 600


def test_a_lasso_and_a_path_work_in_a_layout(laid):
    page = laid
    rows, places = spots(page)
    for row in rows[:2]:
        page.page.mouse.click(*places[rows == row][0])
        page.until("__app.state().selected !== null && __app.core.encoded[0]")
        page.page.keyboard.press("a" if row == rows[0] else "b")
    page.until("__app.state().path.length === 2 && __app.state().path.every(({ row }) => row !== null)")
    x = places[:, 0].mean()
    low, high = places.min(0), places.max(0)
    page.page.keyboard.down("Shift")
    page.drag([(low[0] - 2, low[1] - 2), (x, low[1] - 2), (x, high[1] + 2), (low[0] - 2, high[1] + 2)])
    page.page.keyboard.up("Shift")
    told = page.page.get_by_role("region", name="Images in the lasso").inner_text()
    inside = int(re.search(r"([\d,]+) images", told).group(1).replace(",", ""))
    assert abs(inside - (places[:, 0] < x).sum()) <= 2


@pytest.fixture
def quickly(trained, tmp_path):
    """Two runs of five latents on a server whose UMAP takes no time: another would compile it once more."""
    (tmp_path / "umap.py").write_text(STAND_IN)
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    with served([trained("five")] * 2, PYTHONPATH=path) as address:
        yield address


def test_a_layout_beside_a_plane_and_on_the_way_to_it(visit, quickly):
    page = visit(url=quickly, at="plane=umap&clouds=0", wait=False)
    page.until(f"window.__app && {LAID}")
    page.settled()
    assert not page.js("__app.core.planes[1].layout")
    rows, places = spots(page)
    page.page.mouse.click(*places[7])
    page.until(f"__app.state().selected === {rows[7]} && __app.core.encoded[1]")
    assert page.cursor(0) == page.cursor(1)
    ends = []
    for morph in ("0.0001", "0.5", "1"):
        page.page.get_by_role("slider", name="morph").fill(morph)
        page.until(f"__app.state().morph > {float(morph) - 0.01}")
        page.page.wait_for_timeout(200)
        ends.append([page.js(f"__app.pointAt(0, {row})") for row in rows[:50].tolist()])
    xy = np.array([[(one["x"], one["y"]) for one in end] for end in ends])
    np.testing.assert_allclose(xy[1], (xy[0] + xy[2]) / 2, atol=0.5)
    assert np.abs(xy[2] - xy[0]).max() > 50
    page.page.mouse.click(*xy[2][3])
    page.until("__app.state().selected !== null && __app.core.encoded[0]")
    picked = np.flatnonzero(rows == page.state["selected"])[0]
    assert picked >= 50 or np.linalg.norm(xy[2][picked] - xy[2][3]) < 7
