"""A report on a dark page: lines and words are turned over, pictures are as they were."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from legato.report.html import Section, write_report
from legato.report.panels import SamplePanel, sample_panels

PAPER, INK = 60, 150  # of 255: a dark ground is darker than the one, words on it lighter than the other


def shot(browser, file, scheme):
    """The figure as a person sees it."""
    context = browser.new_context(viewport={"width": 900, "height": 800}, color_scheme=scheme, offline=True)
    try:
        page = context.new_page()
        page.goto(file.as_uri())
        return np.asarray(Image.open(io.BytesIO(page.locator(".drawn").screenshot())).convert("L")).astype(int)
    finally:
        context.close()


def test_words_are_light_on_dark_and_a_picture_is_the_picture(browser, tmp_path):
    levels = np.array([0.0, 0.4, -0.4, 0.2])[:, None, None, None]
    images = np.random.default_rng(0).uniform(0.4, 0.6, (4, 1, 8, 8)) + levels
    figure = sample_panels([SamplePanel("One", images), SamplePanel("Two", images)])
    write_report(tmp_path / "report.html", "Dark", "", [Section("Samples", "", figure, "Two sheets.")])
    light, dark = (shot(browser, tmp_path / "report.html", scheme) for scheme in ("light", "dark"))
    held, (height, width) = figure.axes[0].get_position(), light.shape
    top, bottom = (round((1 - y) * height) for y in (held.y1, held.y0))
    left, right = (round(x * width) for x in (held.x0, held.x1))
    inside, above = np.s_[top + 4 : bottom - 4, left + 4 : right - 4], np.s_[: top - 2]
    assert np.abs(light[inside] - dark[inside]).max() <= 2
    assert np.median(light[above]) > 250
    assert np.median(dark[above]) < PAPER
    assert dark[above].max() > INK
    for edge in (dark[1], dark[-2], dark[:, 1], dark[:, -2]):
        assert edge.max() < PAPER  # no bright line where the cover ends
