"""Assertion 13: the server ends and comes back, the GPU's context is lost, there is no WebGL at all."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from browser import models
from browser.conftest import ARGUMENTS
from browser.models import decoded
from browser.served import process
from browser.test_page_map import SHOWN, blobs
from patience import PATIENCE

LOST = "WebSocket connection to .* failed|ERR_CONNECTION_REFUSED|Failed to load resource"
TOKEN = "a-token-that-only-this-test-knows"
LOSE = """() => {
  const canvas = document.querySelector('[data-testid=map-0] [data-testid=map-points]')
  canvas.dataset.lost = 'yes'
  canvas.getContext('webgl2').getExtension('WEBGL_lose_context').loseContext()
}"""


def test_13_the_server_ends_and_the_page_finds_it_again(visit, trained, space):
    runs, known = [trained("vae")], {"LEGATO_TOKEN": TOKEN}
    with process(runs, **known) as (url, server):
        page = visit(url=url)
        page.expected.append(LOST)
        image = page.decoded()
        server.kill()
        server.wait()
        banner = page.page.get_by_role("alert")
        expect(banner).to_contain_text("The server is gone", timeout=1000 * PATIENCE)
        assert page.page.locator("main").evaluate("(main) => main.inert")
        assert "s old" in page.by_id("decoded-0").inner_text()
        assert np.array_equal(page.decoded(), image)
    port = url.split(":")[2].split("/")[0]
    with process(runs, "--port", port, **known) as (again, _):
        assert again == url
        expect(banner).to_have_count(0, timeout=1000 * PATIENCE)
        assert not page.page.locator("main").evaluate("(main) => main.inert")
        box = page.map_box()
        page.drag([(box["x"] + 100 + 10 * i, box["y"] + 200) for i in range(8)])
        assert np.abs(page.decoded().astype(int) - decoded(space("vae"), [page.cursor()])[0]).max() <= 2
        page.page.get_by_role("application").focus()
        before = page.cursor()
        page.page.keyboard.press("Shift+ArrowLeft")
        page.settled()
        assert page.cursor() != before


def test_13_a_lost_context_is_made_again(visit, space):
    page = visit("vae", at=SHOWN)
    page.expected.append("CONTEXT_LOST_WEBGL|context lost")
    before = page.still_map()
    page.js(LOSE)
    page.until("!document.querySelector('[data-testid=map-0] [data-testid=map-points]').dataset.lost")
    page.eventually(lambda: np.array_equal(page.still_map(), before), "the same map again")
    assert page.js("__app.renderers") == ["WebGL2"]


@pytest.fixture
def flat(playwright, chromium, servers):
    """A page in a browser without WebGL."""
    started = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, "--disable-3d-apis"])
    yield started
    started.close()


def test_13_without_webgl_the_map_is_drawn_all_the_same(flat, open_in, space):
    page = open_in(flat, "vae", at=SHOWN)
    assert page.js("__app.renderers") == ["Canvas2D"]
    assert "No WebGL2 here" in page.page.get_by_role("note").inner_text()
    blobs(page, space("vae").encode(models.pictures()[0])[0])
    before = page.decoded()
    box = page.map_box()
    page.drag([(box["x"] + 120 + 20 * i, box["y"] + 150) for i in range(8)])
    assert not np.array_equal(page.decoded(), before)


def test_without_umap_its_button_says_how_to_get_it_and_the_map_is_the_principal_plane(visit):
    line = "UMAP needs the extra: pip install 'legato-vae[umap]'"
    page = visit("five", at="clouds=0")

    def without(route):
        told = route.fetch().json()
        told["limits"]["no_umap"] = line
        route.fulfill(json=told)

    page.page.route("**/session.json", without)
    page.page.route(
        "**/plane",
        lambda route: (
            route.fulfill(status=400, json={"error": line}) if "umap" in route.request.post_data else route.continue_()
        ),
    )
    page.expected.append("400")
    page.go("plane=umap")
    button = page.page.get_by_role("button", name="UMAP")
    assert button.is_disabled()
    assert button.get_attribute("title") == line
    assert page.state["models"][0]["choice"] == {"kind": "pca"}
    assert line in page.page.inner_text("body")
