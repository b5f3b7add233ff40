"""Assertion 16: a report opened as a file asks for nothing else, and its map drags."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from browser.served import COMMAND

BUDGET = 2_000_000  # bytes


@pytest.fixture(scope="module")
def report(trained, tmp_path_factory):
    """The file that `legato report RUN RUN` writes."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    runs = [str(trained("vae")), str(trained("autoencoder"))]
    said = [str(COMMAND), "report", *runs, "--out", str(path), "--limit", "60", "--k", "5", "--threads", "1", "--device", "cpu"]
    done = subprocess.run(said, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path


def test_16_a_report_is_one_file_and_drags(browser, report):
    assert report.stat().st_size < BUDGET
    context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light", offline=True)
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda told: told.type == "error" and complaints.append(told.text))
    page.goto(report.as_uri())
    map_ = page.get_by_role("application").first
    map_.wait_for(timeout=60_000)
    map_.scroll_into_view_if_needed()
    page.wait_for_timeout(50)
    canvas = page.get_by_test_id("decoded-0").locator("canvas")
    images = [picture(canvas)]
    for model in (0, 1):
        box = page.get_by_role("application").nth(model).bounding_box()
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
        page.mouse.down()
        for share in np.linspace(0.3, 0.6, 10):
            page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
        page.mouse.up()
        images.append(picture(page.get_by_test_id(f"decoded-{model}").locator("canvas")))
    assert len(set(images)) == 3
    outside = [url for url in asked if not url.startswith(("data:", "blob:"))]
    assert outside == [report.as_uri()]
    assert complaints == []
    context.close()


def picture(canvas):
    return canvas.evaluate("(canvas) => canvas.toDataURL()")
