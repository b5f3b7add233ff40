"""Assertions 6 to 9: two models linked, a path and its ends, sliders of dimensions, samples of a seed."""

from __future__ import annotations

import numpy as np
import pytest

from browser import models
from browser.draws import normals
from browser.models import decoded


def close(drawn, expected, within=2):
    return drawn.shape == expected.shape and np.abs(drawn.astype(int) - expected).max() <= within


def choose(page, row):
    """Finds an image by its id, with the keyboard."""
    page.page.keyboard.press("/")
    page.page.get_by_role("combobox", name="id or label").fill(str(row))
    page.eventually(
        lambda: page.page.locator("#found").get_by_role("option").first.inner_text().split()[0] == str(row),
        f"image {row} is found",
    )
    page.page.keyboard.press("Enter")
    page.until(f"__app.state().selected === {row} && __app.core.encoded.every((code) => code)")
    page.settled()


def code(space, row):
    images, _ = models.pictures()
    return space.encode(images[[row]], np.array([row]))[0][0]


@pytest.fixture(scope="module")
def rows(space):
    """Two images of different classes whose codes lie alone."""
    images, labels = models.pictures()
    mu = space("vae").encode(images)[0]
    apart = np.linalg.norm(mu[:, None] - mu[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(-apart.min(1))
    return [next(int(row) for row in order if labels[row] == label) for label in (0, 2)]


def test_6_one_selection_moves_both_cursors(visit, space, rows):
    page = visit(at="clouds=0")
    row = rows[0]
    spot = page.place(*code(space("vae"), row))
    page.page.mouse.click(*spot)
    page.until(f"__app.state().selected === {row} && __app.core.encoded.every((code) => code)")
    page.settled()
    for model, name in enumerate(("vae", "autoencoder")):
        expected = code(space(name), row)
        assert np.allclose(page.cursor(model), expected, atol=1e-4)
        assert close(page.decoded(model), decoded(space(name), [expected])[0])


def test_6_the_same_z_is_not_the_same_image(visit, space, rows):
    page = visit(at="clouds=0")
    page.page.get_by_role("button", name="same z").click()
    spot = page.place(*code(space("vae"), rows[0]))
    page.drag([(spot[0] - 60, spot[1] - 20), (spot[0] - 20, spot[1]), spot])
    z = page.cursor(0)
    assert page.cursor(1) == z
    assert close(page.decoded(1), decoded(space("autoencoder"), [z])[0])
    same_z = page.decoded(1)
    page.page.get_by_role("button", name="same image").click()
    choose(page, rows[0])
    assert np.allclose(page.cursor(1), code(space("autoencoder"), rows[0]), atol=1e-4)
    assert not np.allclose(page.cursor(1), page.cursor(0), atol=0.05)
    own = decoded(space("autoencoder"), [code(space("autoencoder"), rows[0])])[0]
    assert close(page.decoded(1), own)
    assert not close(same_z, own)


def test_7_a_path_begins_and_ends_at_its_images(visit, space, rows):
    page = visit("vae", at="clouds=0")
    for row, key in zip(rows, "ab", strict=True):
        choose(page, row)
        page.page.keyboard.press(key)
    page.until("__app.state().path.length === 2")
    a, b = (code(space("vae"), row) for row in rows)
    slider = page.page.get_by_role("slider", name="t", exact=True)
    slider.focus()
    for key, end in (("End", b), ("Home", a)):
        page.page.keyboard.press(key)
        page.until(f"__app.state().t === {int(key == 'End')}")
        page.settled()
        assert np.allclose(page.cursor(), end, atol=1e-4)
        assert close(page.decoded(), decoded(space("vae"), [end])[0])
    along = []
    for _ in range(9):
        page.page.keyboard.press("PageUp")
        along.append((page.state["t"], *page.cursor()))
    t, z = np.array(along)[:, 0], np.array(along)[:, 1:]
    assert (np.diff(t) > 0).all()
    assert np.allclose(z, (1 - t)[:, None] * a + t[:, None] * b, atol=1e-4)
    page.settled()
    assert close(page.decoded(), decoded(space("vae"), [page.cursor()])[0])


def test_8_a_slider_changes_only_its_dimension(visit, space):
    images, _ = models.pictures()
    mu, sigma = (values.astype(float) for values in space("five").encode(images))
    kl = (0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma))).mean(0)
    used, unused = np.flatnonzero(kl >= 0.01), np.flatnonzero(kl < 0.01)
    assert len(used) >= 2
    assert len(unused) >= 1
    page = visit("five")
    panel = page.page.locator("#dimensions")
    page.until(f"document.querySelectorAll('#dimensions li').length === {len(used)}")
    assert panel.locator("li b").all_inner_texts() == [f"z{i}" for i in sorted(used, key=lambda i: -kl[i])]
    panel.get_by_role("button", name=f"{len(unused)} more, unused").click()
    assert sorted(panel.locator("li.collapsed b").all_inner_texts()) == [f"z{i}" for i in unused]
    assert panel.locator("li.collapsed", has_text="unused").count() == len(unused)
    for i in (used[0], unused[0]):
        before = page.cursor()
        slider = panel.get_by_role("slider", name=f"z{i}", exact=True)
        slider.focus()
        for _ in range(20):
            page.page.keyboard.press("PageUp" if before[i] < 0 else "PageDown")
        page.settled()
        after = page.cursor()
        assert [j for j in range(5) if abs(after[j] - before[j]) > 1e-9] == [i]
        assert abs(after[i] - before[i]) > 1
        assert close(page.decoded(), decoded(space("five"), [after])[0])


def tiles(page):
    """The pixels of the prior's samples."""
    grid = page.page.locator("#samples .grid").first
    page.eventually(lambda: grid.get_by_role("button", disabled=False).count() == 16, "16 samples")
    return np.stack([page.pixels(canvas) for canvas in grid.locator("canvas").all()])


def samples(space, seed, temperature=1.0):
    """What Python decodes at the page's own draws."""
    return decoded(space("vae"), temperature * normals(seed, 32).reshape(16, 2))


def shows(page, expected):
    page.eventually(lambda: close(tiles(page), expected), "these samples")


def test_9_samples_are_those_of_their_seed(visit, space):
    page = visit("vae")
    shows(page, samples(space, 0))
    page.page.keyboard.press("s")
    page.until("__app.state().samples.seed === 1")
    assert not close(samples(space, 0), samples(space, 1), within=30)
    shows(page, samples(space, 1))
    page.until("location.hash.includes('draw=1,1')")
    again = visit("vae", at=page.js("location.hash")[1:])
    shows(again, samples(space, 1))
    first = again.page.locator("#samples .grid").first.get_by_role("button").nth(3)
    first.click()
    again.settled()
    assert np.allclose(again.cursor(), normals(1, 32).reshape(16, 2)[3], atol=1e-6)
