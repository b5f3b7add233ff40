"""A table's rows: columns with their units, bars in standard deviations, what a model gives back of a row, the nearest rows."""

from __future__ import annotations

import contextlib
import re

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import TimeoutError as Unready
from pyarrow import csv

import legato
from browser import models
from browser.served import served

ROW = 7
NAMES = ("length (mm)", "depth (mm)", "mass (g)", "temperature [°C]", "ratio")
PLAIN, UNITS = ("length", "depth", "mass", "temperature", "ratio"), ("mm", "mm", "g", "°C", "")
PANEL = "#before-after"


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache):
    """A VAE of five columns that lie near a plane, each in a unit of its own."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(5)
    values = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 5)) * (1, 2, 500, 0.3, 0.001) + (50, 20, 4000, 39, 0.2)
    csv.write_csv(pa.table(dict(zip(NAMES, values.T, strict=True))), folder / "table.csv")
    words = {name: value for name, value in models.COMMON.items() if name != "likelihood"}
    legato.train("vae", str(folder / "table.csv"), folder / "run", **words, latent_dim=2)
    return folder / "run"


@pytest.fixture(scope="module")
def url(run):
    """Where it is explored."""
    with served([run]) as address:
        yield address


@pytest.fixture(scope="module")
def space(run):
    return legato.load(run, device="cpu")


def bars(page, canvas):
    """How far each bar reaches above or below the middle, as shares of a full one."""
    ink = page.pixels(canvas)[..., 3] > 0
    middle = ink.shape[0] // 2
    bar = ink[:, ((np.arange(len(NAMES)) + 0.5) * ink.shape[1] / len(NAMES)).astype(int)]
    return (bar[:middle].sum(0) - bar[middle + 1 :].sum(0)) / (middle - 2)  # between them the axis itself


def lines(panel):
    """A panel's table: the words of its head, and of each line."""
    found = [[cell.strip() for cell in row.locator("th, td").all_inner_texts()] for row in panel.locator("table tr").all()]
    return found[0], found[1:]


def numbers(cells):
    return [float(cell.replace("−", "-")) for cell in cells]


def test_a_row_is_shown_beside_what_is_given_back_of_it(visit, url, space):
    before = np.asarray(space.data().dataset.rows[[ROW]], np.float64)
    after = space.reconstruct(before.astype(np.float32), np.array([ROW])).astype(np.float64)
    mean, std = (np.array(values) for values in (space.preparation.shift, space.preparation.scale))
    x, again = ((values[0] - mean) / std for values in (before, after))
    page = visit(url=url, at=f"image={ROW}")
    panel = page.page.locator(PANEL)
    page.eventually(lambda: panel.locator("canvas").count() == 3, "x, x̂ and their difference")
    rms = float(re.search(r"RMS ([\d.e+-]+) σ", panel.locator("h3").inner_text())[1])
    assert rms == pytest.approx(np.sqrt(np.square(again - x).mean()), rel=6e-3)
    drawn = [bars(page, canvas) for canvas in panel.locator("canvas").all()]
    for shown, values in zip(drawn, (x / 3, again / 3, (again - x) / np.abs(again - x).max()), strict=True):
        assert np.abs(shown - values).max() < 0.08
    assert f"row {ROW}" in panel.locator("header").inner_text()
    panel.locator("table").wait_for()
    head, found = lines(panel)
    assert head == ["column", "unit", "x, the row", "x̂ of run"]
    assert [(line[0], line[1]) for line in found] == list(zip(PLAIN, UNITS, strict=True))
    assert np.abs((np.array([numbers(line[2:]) for line in found]).T - (before[0], after[0])) / std).max() < 0.06


def test_the_cursor_and_the_rows_near_it_are_told_value_by_value(visit, url, space):
    page = visit(url=url, at="clouds=0")
    page.drag([page.place(0, 0), page.place(0.4, -0.3), page.place(0.7, -0.5)])
    page.settled()
    std = np.array(space.preparation.scale)
    decoded = page.page.locator("#decoded")
    decoded.locator("table").wait_for()

    def shown():
        values = np.array([numbers(line[2:]) for line in lines(decoded)[1]])[:, 0]
        return np.abs((values - space.decode(np.array([page.cursor()], np.float32))[0]) / std).max() < 0.06

    page.eventually(shown, "the decoded row")
    nearest = page.page.locator("#nearest")

    def told():
        """The rows in the head and their values, once they are those that lie near and all have come."""
        head, found = lines(nearest)
        rows = [int(re.match(r"\d+", cell)[0]) for cell in head[2:]]
        there = rows == page.js("__app.core.located[0].rows") and "…" not in str(found) and lines(nearest) == (head, found)
        return (rows, found) if there else None

    rows, found = page.eventually(told, "the nearest rows' values")
    expected = np.asarray(space.data().dataset.rows)[rows].T
    assert np.abs((np.array([numbers(line[2:]) for line in found]) - expected) / std[:, None]).max() < 0.06

    def selected():
        """The second row of the head, once its button is pressed: answers under way may still put other rows there."""
        row = page.eventually(told, "the nearest rows' values")[0][1]
        with contextlib.suppress(Unready):
            nearest.get_by_role("button", name=str(row), exact=True).click(timeout=2_000)
        return page.js("__app.state().selected") == row

    page.eventually(selected, "a near row is selected")


def test_a_table_has_a_link_to_copy_and_points_without_pictures(visit, url, space):
    page = visit(url=url, permissions=["clipboard-read", "clipboard-write"])
    mu = space.encode(space.data().dataset.rows[[ROW]], np.array([ROW]))[0][0]
    page.page.mouse.move(*page.place(*mu))
    page.page.locator(".tip").wait_for()
    assert page.page.locator(".tip img").count() == 0
    page.page.get_by_role("button", name="copy link").click()
    page.eventually(lambda: page.js("navigator.clipboard.readText()") == page.page.url, "the address is copied")
