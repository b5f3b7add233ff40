"""A report as a person opens it: a file, in a browser that is offline.

Covered: that it asks for nothing but itself and complains of nothing, dragging on its maps, the cursor in its number fields.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser

from browser.opened import Opened
from browser.served import COMMAND
from patience import PATIENCE

AWAY = ("data:", "blob:")  # addresses of what the page holds itself
LOOK = 150  # milliseconds between two looks: the numbers are told ten times a second
Share = tuple[float, float]


def command(*words: object) -> None:
    """A command of `legato` on one thread, as a person runs it."""
    said = [str(COMMAND), *map(str, words), "--threads", "1", "--device", "cpu"]
    done = subprocess.run(said, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@contextmanager
def opened(browser: Browser, file: Path) -> Iterator[Opened]:
    """The page at its map; afterwards it has asked for one thing, itself, and complained of none."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light", offline=True)
    try:
        page = Opened(context.new_page(), file.as_uri())
        page.page.goto(page.url)
        first = page.page.get_by_role("application").first
        first.wait_for(timeout=1000 * PATIENCE)
        first.scroll_into_view_if_needed()
        page.eventually(lambda: page.decoded().shape[0] > 1, "a decoded image")
        yield page
        assert [url for url in page.requests if not url.startswith(AWAY)] == [page.url]
        assert page.unexpected() == []
    finally:
        context.close()


def drag_to(page: Opened, share: Share, model: int = 0) -> NDArray[np.uint8]:
    """Drags from the map's middle to a share of its width and height; what is decoded once the page is at rest."""
    box = page.map_box(model)
    for step, along in enumerate(np.linspace(0, 1, 8)):
        x, y = (0.5 + along * (end - 0.5) for end in share)
        page.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if step == 0:
            page.page.mouse.down()
    page.page.mouse.up()
    return at_rest(page, model)


def at_rest(page: Opened, model: int) -> NDArray[np.uint8]:
    """The decoded pixels once three looks in a row see the same pixels and the same numbers."""
    seen: list[tuple[list[float], bytes]] = []

    def same() -> bool:
        page.page.wait_for_timeout(LOOK)
        seen.append((cursor(page), page.decoded(model).tobytes()))
        return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]

    page.eventually(same, "the page rests")
    return page.decoded(model)


def cursor(page: Opened) -> list[float]:
    """z of the map that was dragged on last, as its number fields say: three digits after the point."""
    return [float(field.input_value()) for field in page.page.locator("#decoded input[type=number]").all()]
