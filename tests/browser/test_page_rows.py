"""A table's rows: the row itself, what a model gives back of it, and the difference, in the data's units."""

from __future__ import annotations

import re

import numpy as np
import pytest

import legato
from browser import models
from browser.served import served

ROW, COLUMNS = 7, 5
PANEL = "#before-after"


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache):
    """A VAE of five columns that lie near a plane, each in a unit of its own."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(5)
    values = rng.normal(size=(400, 2)) @ rng.normal(size=(2, COLUMNS)) * (1, 2, 5, 3, 1) + (5, 0, -10, 1, 2)
    np.savez(folder / "table.npz", x=values)
    words = {name: value for name, value in models.COMMON.items() if name != "likelihood"}
    legato.train("vae", str(folder / "table.npz"), folder / "run", **words, latent_dim=2)
    return folder / "run"


@pytest.fixture(scope="module")
def url(run):
    """Where it is explored."""
    with served([run]) as address:
        yield address


def bars(page, canvas):
    """How far each bar reaches above or below the middle, as shares of a full one."""
    ink = page.pixels(canvas)[..., 3] > 0
    middle = ink.shape[0] // 2
    bar = ink[:, ((np.arange(COLUMNS) + 0.5) * ink.shape[1] / COLUMNS).astype(int)]
    return (bar[:middle].sum(0) - bar[middle + 1 :].sum(0)) / (middle - 2)  # between them the axis itself


def test_a_row_is_shown_beside_what_is_given_back_of_it(visit, url, run):
    space = legato.load(run, device="cpu")
    before = np.asarray(space.data().dataset.rows[[ROW]], np.float64)
    after = space.reconstruct(before.astype(np.float32), np.array([ROW])).astype(np.float64)
    page = visit(url=url, at=f"image={ROW}")
    panel = page.page.locator(PANEL)
    page.eventually(lambda: panel.locator("canvas").count() == 3, "x, x̂ and their difference")
    rms = float(re.search(r"RMS ([\d.e+-]+)", panel.locator("h3").inner_text())[1])
    assert rms == pytest.approx(np.sqrt(np.square(after - before).mean()), rel=6e-3)
    drawn = [bars(page, canvas) for canvas in panel.locator("canvas").all()]
    largest = max(np.abs(before).max(), np.abs(after).max())
    for shown, values in zip(
        drawn, (before / largest, after / largest, (after - before) / np.abs(after - before).max()), strict=True
    ):
        assert np.abs(shown - values[0]).max() < 0.08
    assert f"row {ROW}" in panel.locator("header").inner_text()


def test_a_table_has_a_link_to_copy_and_points_without_pictures(visit, url, run):
    page = visit(url=url, permissions=["clipboard-read", "clipboard-write"])
    mu = legato.load(run, device="cpu").encode(legato.load(run, device="cpu").data().dataset.rows[[ROW]], np.array([ROW]))[0][0]
    page.page.mouse.move(*page.place(*mu))
    page.page.locator(".tip").wait_for()
    assert page.page.locator(".tip img").count() == 0
    page.page.get_by_role("button", name="copy link").click()
    page.eventually(lambda: page.js("navigator.clipboard.readText()") == page.page.url, "the address is copied")
