"""Pictures as files: their names wherever one is shown, a person's own judged beside the data, both models' samples at once."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import legato
from browser import models
from browser.draws import normals
from browser.models import decoded
from browser.served import served

NAMES = [f"{models.SHAPES[label]}/{n:03}.png" for n, label in enumerate(models.pictures(240)[1])]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cache):
    """A VAE and an autoencoder of a folder of pictures, a sub-folder for each shape."""
    folder = tmp_path_factory.mktemp("files")
    for name, picture in zip(NAMES, models.pictures(240)[0], strict=True):
        (folder / "shapes" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / "shapes" / name)
    words = {**models.COMMON, "steps": 200}
    for recipe in ("vae", "autoencoder"):
        legato.train(recipe, str(folder / "shapes"), folder / recipe, **words, latent_dim=2)
    return [folder / "vae", folder / "autoencoder"]


@pytest.fixture(scope="module")
def url(runs):
    """Where both are explored."""
    with served(runs) as address:
        yield address


def files(runs):
    """The rows' names in their order, and the pictures."""
    data = legato.load(runs[0]).data().dataset
    return list(data.ids), np.asarray(data.rows)


def brought(page, pixels):
    """Hands the page a picture of one's own, and waits for what it says of it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    page.page.locator("input[type=file]").set_input_files(
        {"name": "own.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    verdict = page.by_id("verdict")
    verdict.wait_for()
    page.until("__app.core.foreign !== null")
    page.settled()
    return verdict.inner_text()


def test_pictures_are_called_by_their_files(visit, url, runs):
    ids, rows = files(runs)
    page = visit(url=url, at="clouds=0&compare=0&link=z&image=3")
    header = page.page.locator("#before-after header")
    page.eventually(lambda: ids[3] in header.inner_text(), "the name of what an address selects")
    mu = legato.load(runs[0]).encode(rows)[0]
    alone = np.linalg.norm(mu[:, None] - mu[None], axis=-1) + 9 * np.eye(len(mu))
    row = int(alone.min(1).argmax())
    spot = page.place(*mu[row])
    page.page.mouse.move(*spot)
    page.eventually(lambda: ids[row] in page.page.locator(".tip").inner_text(), "the file's name where one points")
    page.page.mouse.click(*spot)
    page.until(f"__app.state().selected === {row} && __app.core.encoded.every((code) => code)")
    page.settled()
    page.eventually(lambda: ids[row] in header.inner_text(), "its name above what is given back")
    page.eventually(lambda: ids[row] in page.page.locator("#nearest").inner_text(), "its name among the nearest")
    page.eventually(lambda: ids[row] in page.by_id("live").inner_text(), "the name is spoken")
    page.page.keyboard.press("a")
    page.until("__app.state().path.length === 1")
    assert page.page.locator("#path").get_by_text(ids[row]).count() == 1


def test_an_inverted_picture_is_told_to_be_unlike_the_data(visit, url, runs):
    own = 255 - models.pictures(3, seed=9)[0][0]
    page = visit(url=url)
    assert brought(page, own) == "not like the data"
    panel = page.page.locator("#before-after")
    page.eventually(lambda: panel.locator("canvas").count() == 6, "before, after and difference by both models")
    assert np.abs(page.pixels(panel.locator("canvas").first)[..., 0].astype(int) - own).max() <= 1
    space = legato.load(runs[1])
    mu = space.encode(own[None, None])[0]
    assert np.abs(page.pixels(panel.locator("canvas").nth(4)).astype(int) - decoded(space, mu)[0]).max() <= 2
    table = panel.locator("table")
    table.wait_for()
    error = np.sqrt(np.square(space.decode(mu)[0, 0] - own / 255).mean())
    line = table.get_by_role("row").filter(has_text="error of what autoencoder gives back")
    assert f"{error:.2f}" in line.inner_text()
    assert "beyond them all" in line.inner_text()
    assert "your picture" in panel.locator("header").inner_text()
    assert "its code" in page.by_id("support").first.inner_text()


def test_a_picture_of_the_datas_kind_is_no_stranger(visit, url):
    page = visit(url=url)
    assert brought(page, models.pictures(3, seed=9)[0][1]) != "not like the data"
    page.page.keyboard.press("Escape")
    page.until("__app.core.foreign === null")
    page.eventually(lambda: page.by_id("verdict").count() == 0, "the picture is put away")


def test_the_same_draws_are_shown_through_both_models(visit, url, runs):
    page = visit(url=url, at="draw=4,1")
    z = normals(4, 32).reshape(16, 2)
    for m, run in enumerate(runs):
        grid = page.by_id(f"samples-{m}-prior").locator(".grid")
        page.eventually(lambda grid=grid: grid.get_by_role("button", disabled=False).count() == 16, "16 samples")
        drawn = np.stack([page.pixels(canvas) for canvas in grid.locator("canvas").all()])
        assert np.abs(drawn.astype(int) - decoded(legato.load(run), z)).max() <= 2
    grid = page.by_id("samples-1-prior").locator(".grid")
    assert grid.evaluate("(grid) => getComputedStyle(grid).backgroundColor") == page.js(
        "`rgb(${__app.core.session.data.background.join(', ')})`"
    )
    small = grid.locator("canvas").first.bounding_box()["width"]
    page.page.get_by_role("button", name="enlarge").click()
    dialog = page.page.get_by_role("dialog", name="Samples")
    page.eventually(lambda: dialog.locator("canvas").count() == 64, "four sheets")
    page.eventually(lambda: dialog.locator("canvas").first.bounding_box()["width"] > 1.4 * small, "they are larger")
    real = dialog.get_by_label("the data", exact=True).get_by_role("button")
    assert real.count() == 16
    dialog.locator(".grid").nth(1).get_by_role("button").nth(2).click()
    page.settled()
    assert not dialog.is_visible()
    assert np.allclose(page.cursor(1), z[2], atol=1e-6)
