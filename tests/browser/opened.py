"""One page as a test sees it: what a person does, what is shown, and what went wrong meanwhile.

Covered: pointers and keys on the map, the page's own counts (`window.__app`, docs/explorer.md), pixels as NumPy arrays. Not
covered: a way round the page's controls; `__app` is only read.
"""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Error, Locator, Page

from patience import PATIENCE

TICK = 25  # milliseconds between two looks
AT_REST = "__app.sent === __app.drawn && __app.core.points.every((points) => points)"
DRAWN = "(__app.frames > 0 || !document.querySelector('[data-testid=map-0]').checkVisibility())"
OF_THE_DRIVER = r"GL Driver Message \(OpenGL, Performance"  # the software renderer's remark on being timed
Spot = tuple[float, float]


class Opened:
    """A page of the explorer, with everything that it complained of and asked for."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url, self.origin = page, url, urlsplit(url).netloc
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.expected: list[str] = [OF_THE_DRIVER]  # patterns of complaints that a test provokes
        page.on("console", lambda told: told.type in ("error", "warning") and self.complaints.append(told.text))
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.on("request", lambda asked: self.requests.append(asked.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("crash", lambda _: self.complaints.append("the page crashed"))

    def go(self, hash_: str = "", *, wait: bool = True) -> Opened:
        """Opens the page at a state, anew."""
        if self.page.url.startswith(self.url):
            self.page.goto("about:blank")
        self.page.goto(f"{self.url}?e2e=1&patient=1{'#' + hash_ if hash_ else ''}")
        return self.settled() if wait else self

    def settled(self) -> Opened:
        """Waits until the maps are drawn and every cursor's answer is."""
        self.until(f"window.__app && {AT_REST} && {DRAWN} && __app.core.located.every((found) => found)")
        return self

    def js(self, expression: str, *arguments: Any) -> Any:
        """A value of the page."""
        return self.page.evaluate(expression, *arguments)

    def until(self, expression: str) -> Any:
        """Waits until a value of the page is true; returns it. (The driver's own way is `eval`, which the page forbids.)"""
        return self.eventually(lambda: self.js(expression), expression)

    def eventually(self, look: Callable[[], Any], what: str) -> Any:
        """Waits until a look gives what is true; returns it."""
        end = time.monotonic() + PATIENCE
        while not (seen := _looked(look)):
            assert time.monotonic() < end, f"still not, after {PATIENCE:.0f} s: {what}"
            self.page.wait_for_timeout(TICK)
        return seen

    @property
    def state(self) -> dict[str, Any]:
        """The whole state, as the address keeps it."""
        return dict(self.js("__app.state()"))

    def cursor(self, model: int = 0) -> list[float]:
        """z of a cursor."""
        return list(self.state["models"][model]["cursor"])

    def place(self, a: float, b: float, model: int = 0) -> Spot:
        """Where map coordinates lie in the window."""
        spot = self.js(f"__app.toClient({model}, {a}, {b})")
        return spot["x"], spot["y"]

    def places(self, codes: NDArray[np.floating], model: int = 0) -> NDArray[np.floating]:
        """Where many map coordinates (n, 2) lie in the window, (n, 2): the map is linear."""
        origin, unit = np.array(self.place(0, 0, model)), np.array(self.place(1, 1, model))
        return origin + codes * (unit - origin)

    def coordinates(self, spots: NDArray[np.floating], model: int = 0) -> NDArray[np.floating]:
        """And back."""
        origin, unit = np.array(self.place(0, 0, model)), np.array(self.place(1, 1, model))
        return (spots - origin) / (unit - origin)

    def map_box(self, model: int = 0) -> dict[str, float]:
        """The map's place in the window."""
        box = self.by_id(f"map-{model}").get_by_role("application").bounding_box()
        assert box
        return dict(box)

    def drag(self, path: Iterable[Spot]) -> None:
        """Presses at the first spot, moves along the others, lets go."""
        (x, y), *rest = path
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for x, y in rest:
            self.page.mouse.move(x, y)
        self.page.mouse.up()
        self.until(AT_REST)

    def by_id(self, name: str) -> Locator:
        """What has a data-testid."""
        return self.page.get_by_test_id(name)

    def pixels(self, canvas: Locator) -> NDArray[np.uint8]:
        """What was put into a canvas, (H, W, 4)."""
        url = canvas.evaluate("(canvas) => canvas.toDataURL('image/png')")
        return _rgba(base64.b64decode(url.partition(",")[2]))

    def decoded(self, model: int = 0) -> NDArray[np.uint8]:
        """The pixels of what a cursor decodes to, as last drawn."""
        return self.pixels(self.by_id(f"decoded-{model}").locator("canvas"))

    def shot(self, model: int = 0) -> NDArray[np.uint8]:
        """The map as the screen shows it, (H, W, 4): the pointer's own marks are out of the way."""
        self.page.mouse.move(1, 1)
        return _rgba(self.by_id(f"map-{model}").get_by_role("application").screenshot())

    def still_map(self, model: int = 0) -> NDArray[np.uint8]:
        """The map once two looks in a row see the same: clouds are drawn when the camera rests."""
        looks = [self.shot(model)]

        def rests() -> bool:
            self.page.wait_for_timeout(150)
            looks.append(self.shot(model))
            return np.array_equal(*looks[-2:])

        self.eventually(rests, "the map rests")
        return looks[-1]

    def strangers(self) -> list[str]:
        """Requests that did not go to this server, nor came from the page itself."""
        ours = re.compile(rf"^((http|ws)://{re.escape(self.origin)}/|data:|blob:|about:)")
        return [url for url in self.requests if not ours.match(url)]

    def unexpected(self) -> list[str]:
        """Complaints that no test provoked."""
        return [line for line in self.complaints if not any(re.search(known, line) for known in self.expected)]


def _looked(look: Callable[[], Any]) -> Any:
    """What a look gives; nothing while the page is between two documents."""
    try:
        return look()
    except Error as error:
        if re.search("Execution context was destroyed|is not defined|Cannot read properties of undefined", error.message):
            return None
        raise


def _rgba(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGBA"))
