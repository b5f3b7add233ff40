"""Points coloured by a measure or by other classes, those between two shares of it alone, and pictures at their points."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from browser import models
from browser.test_page_map import around, has_colour, lone

SHOWN = "clouds=0"
VIRIDIS = np.array([[68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140], [34, 168, 132],
                    [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37]])  # fmt: skip
PALEST = 0.93  # of viridis on a light map


@pytest.fixture(scope="module")
def mu(space):
    images, _ = models.pictures()
    return space("vae").encode(images)[0]


def inks(values):
    """The colour of each value (n,), (n, 3): along viridis from the hundredth to the ninety-ninth of a hundred."""
    low, high = np.sort(values)[[round(share * (len(values) - 1)) for share in (0.01, 0.99)]]
    share = PALEST * np.clip((values - low) / (high - low), 0, 1)
    return np.stack([np.interp(share, np.linspace(0, 1, 11), channel) for channel in VIRIDIS.T], 1)


def coloured(page, name):
    page.page.get_by_role("combobox", name="Colour of the points").select_option(label=name)
    page.page.get_by_role("group", name=f"Colours: {name}").wait_for()


def test_points_have_the_colour_of_their_measure_and_a_range_keeps_some(visit, mu):
    images, labels = models.pictures()
    light = images.reshape(len(images), -1).mean(1) / 255
    rows = lone(mu, labels, 9)
    page = visit("vae", at=SHOWN)
    coloured(page, "brightness")
    shot, expected = page.still_map(), inks(light)
    for row in rows:
        assert has_colour(around(page, shot, page.place(*mu[row]), 2), expected[row]), row
    page.page.get_by_role("slider", name="from").fill("0.5")
    page.until("__app.state().range[0] === 0.5")
    shot = page.still_map()
    ground = np.median(shot[..., :3].reshape(-1, 3), 0)
    shown = [bool(np.abs(around(page, shot, page.place(*mu[row]), 1) - ground).max() > 60) for row in rows]
    assert shown == [bool(light[row] >= np.median(light)) for row in rows]
    again = visit("vae", at=page.js("location.hash")[1:])
    again.page.get_by_role("group", name="Colours: brightness").wait_for()
    assert again.state["range"] == [0.5, 1]


def test_a_model_without_the_measure_says_so(visit):
    page = visit(at=SHOWN)
    coloured(page, "what the code costs (KL)")
    assert "autoencoder has no such measure" in page.page.locator("#map").inner_text()


def test_the_split_is_a_legend_of_its_own(visit):
    page = visit("vae", at=f"{SHOWN}&only=1")
    page.page.get_by_role("combobox", name="Colour of the points").select_option(label="split")
    legend = page.page.get_by_role("group", name="Classes")
    assert legend.get_by_role("button").all_inner_texts() == ["train", "validation", "test"]
    assert page.state["only"] == []
    legend.get_by_role("button", name="test").dblclick()
    page.until("__app.state().only.join() === '2'")

    def taken():
        """What `v` takes: of a split that is still being asked for, as the points are shown until then."""
        page.page.keyboard.press("Escape")
        page.page.get_by_role("application").focus()
        page.page.keyboard.press("v")
        return int(page.page.get_by_role("region", name="images in the lasso").inner_text().split()[0])

    page.eventually(lambda: 0 < taken() <= 60, "a tenth of the images")


def test_a_picture_lies_at_its_point_and_is_selected_by_a_click(visit, mu):
    images, _ = models.pictures()
    apart = np.linalg.norm(mu[:, None] - mu[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    row = int(np.argmax(apart.min(1)))
    scale = 90 / apart[row].min()
    a, b = mu[row]
    page = visit("vae", at=f"{SHOWN}&view={a:.6g},{b:.6g},{scale:.6g}")
    page.page.get_by_role("button", name="thumbnails").click()
    x, y = page.place(a, b)
    drawn = np.asarray(Image.fromarray(images[row]).resize((32, 32), Image.Resampling.BILINEAR))

    def pictured():
        seen = around(page, page.shot(), (x, y), 14)[..., 0]
        return np.corrcoef(seen.ravel(), drawn[2:31, 2:31].ravel())[0, 1] > 0.85

    page.eventually(pictured, "its picture at its point")
    page.page.mouse.click(x + 12, y - 12)  # no point lies there
    page.until(f"__app.state().selected === {row}")
    page.page.get_by_role("application").focus()
    page.page.keyboard.press("t")
    page.until("__app.state().thumbs === false")
    page.eventually(lambda: not pictured(), "none")
