"""Assertion 7, the rest: a code as a picture with live numbers, and the snapshots as a film."""

from __future__ import annotations

import numpy as np
import pytest

from browser import models


def test_7_a_code_is_drawn_with_the_numbers_of_the_model(visit, space):
    page = visit("vae", "autoencoder", at="image=7")
    images, _ = models.pictures()
    mu, sigma = (values[7] for values in space("vae").encode(images))
    page.until("document.querySelector('[data-testid=flow-kl]')")
    number = lambda name: float(page.by_id(f"flow-{name}").inner_text().replace("−", "-"))  # noqa: E731
    for j in (0, 1):
        assert number(f"mu-{j}") == pytest.approx(mu[j], abs=0.0051)
        assert number(f"sigma-{j}") == pytest.approx(sigma[j], abs=0.00051)
    assert number("kl") == pytest.approx((0.5 * (mu**2 + sigma**2 - 1 - np.log(sigma**2))).sum(), abs=0.0051)
    page.page.get_by_role("button", name="z = μ").click()
    page.until("document.querySelector('[data-testid=flow-apart]').textContent === '0.00'")
    page.settled()
    x, back = images[7] / 255, models.decoded(space("vae"), mu[None])[0, ..., 0] / 255
    page.eventually(lambda: number("rms") == pytest.approx(np.sqrt(np.square(back - x).mean()), abs=0.002), "what is lost")


def test_7_the_numbers_follow_the_hand(visit, space):
    page = visit("vae", at="image=7")
    images, _ = models.pictures()
    mu, sigma = (values[7] for values in space("vae").encode(images))
    page.until("document.querySelector('[data-testid=flow-kl]')")
    page.page.get_by_role("button", name="draw z").click()
    page.settled()
    z = np.array(page.cursor())
    epsilon = (z - mu) / sigma
    assert (np.abs(epsilon) > 0.01).any()
    for j in (0, 1):
        read = lambda j=j: page.by_id(f"flow-noise-{j}").inner_text().replace("−", "-")  # noqa: E731
        page.eventually(lambda j=j, read=read: float(read()) == pytest.approx(epsilon[j], abs=0.0051), "this noise")
    page.drag([page.place(0.3, 0.2), page.place(0.5, -0.1), page.place(-0.4, 0.6)])
    z = np.array(page.cursor())
    far = np.sqrt(np.square((z - mu) / sigma).mean())
    page.eventually(lambda: float(page.by_id("flow-apart").inner_text()) == pytest.approx(far, abs=0.0051), "this place")
    shown = page.pixels(page.page.locator("#flow canvas").last)
    assert np.abs(shown.astype(int) - page.decoded()).max() == 0


def test_7_an_autoencoders_code_is_a_point(visit):
    page = visit("autoencoder", at="image=3")
    page.until("document.querySelector('[data-testid=flow-apart]')")
    assert page.by_id("flow-sigma-0").count() == page.by_id("flow-kl").count() == 0
    assert "a point, no cloud" in page.page.locator("#flow").inner_text()
    assert page.page.get_by_role("button", name="draw z").count() == 0


def test_7_the_snapshots_play_to_the_end(visit):
    page = visit("vae", reduced_motion="no-preference")
    snapshots = page.js("__app.core.session.models[0].snapshots")
    page.js("() => { window.__steps = []; __app.core.on('points', () => __steps.push(__app.core.state.models[0].step)) }")
    page.page.locator("#training").get_by_role("button", name="▶ play").click()
    page.page.locator("#training").get_by_role("button", name="pause").wait_for()
    page.page.locator("#training").get_by_role("button", name="▶ play").wait_for()
    assert page.js("__steps") == [*(step for step in snapshots if step < page.js("__app.core.session.models[0].total")), None]
    assert page.state["models"][0]["step"] is None


def test_7_a_film_of_snapshots_is_stopped_by_hand(visit):
    page = visit("vae", reduced_motion="no-preference")
    training = page.page.locator("#training")
    training.get_by_role("button", name="▶ play").click()
    page.until("__app.state().models[0].step !== null")
    training.get_by_role("button", name="pause").click()
    page.settled()
    step = page.state["models"][0]["step"]
    page.page.wait_for_timeout(1500)
    assert page.state["models"][0]["step"] == step


def test_7_who_asked_for_less_motion_gets_one_snapshot_a_press(visit):
    page = visit("vae")
    snapshots = page.js("__app.core.session.models[0].snapshots")
    training = page.page.locator("#training")
    for expected in snapshots[:2]:
        training.get_by_role("button", name="▶ next").click()
        page.until(f"__app.state().models[0].step === {expected}")
