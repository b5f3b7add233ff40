"""The pictures of the explorer's page in docs/images/explorer/: every panel, both themes, three sizes of window.

    python records/screenshots.py [RUN RUN] [--images docs/images/explorer]

By default of `runs/demo/vae-2` and `runs/demo/autoencoder-2`, which `make demo` trains. A real `legato explore`, the system's
Chromium through Playwright (extra `dev`), no GPU. Below 1100 pixels the panels are tabs, one picture for each. Covered: taking
the pictures. Not covered: whether they are right (tests/browser/), which a person sees by looking.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from legato.files import whole_file

SIZES = [(1440, 900), (1024, 768), (390, 844)]
THEMES = ("light", "dark")
TABS = {"map": "Map", "dimensions": "Dimensions", "path": "Path", "train": "Train"}
STEPS = 8  # of the tour
DESK = 1100  # pixels from which all panels are seen at once
STATE = "image=5&path=3~0.9,0.4~here;~-0.6,-0.9~there;~-0.2,1.3~and$20there&t=0.4"
BESIDE = {"holes": f"ground=holes&{STATE}", "tiles": f"ground=tiles&clouds=0&{STATE}", "morph": "morph=0.5"}
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"]
AT_REST = """window.__app && __app.sent === __app.drawn && __app.core.points.every((points) => points) && __app.frames > 0
  && document.querySelectorAll('[aria-busy=true], .pulse').length === 0"""


@contextmanager
def served(runs: list[Path]) -> Iterator[str]:
    """The address of a visit."""
    command = [str(Path(sys.executable).with_name("legato")), "explore", *map(str, runs), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def opened(browser: Browser, url: str, state: str, theme: str, width: int, height: int) -> Page:
    """The page at a state, once everything on it is drawn."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{url}?e2e=1#{state}")
    rest(page)
    return page


def rest(page: Page) -> None:
    """Waits until nothing is computed, and two looks in a row see the same."""
    page.evaluate("document.fonts.ready.then(() => true)")
    before = b""
    for _ in range(300):
        page.wait_for_timeout(400)
        seen = page.screenshot()
        if seen == before and page.evaluate(f"Boolean({AT_REST})"):
            return
        before = seen
    raise SystemExit("the page never rests")


def save(page: Page, path: Path, whole: bool = True) -> None:
    """The whole page, or what the window shows of it, as a PNG of 128 colours: a third of the bytes."""
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{path.name} scrolls sideways"
    with Image.open(BytesIO(page.screenshot(full_page=whole))) as image, whole_file(path) as file:
        image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True)
    print(path, f"{path.stat().st_size / 1000:.0f} kB")


def panels(browser: Browser, url: str, images: Path) -> None:
    """Every panel in both themes at each size."""
    for theme in THEMES:
        for width, height in SIZES:
            page = opened(browser, url, STATE, theme, width, height)
            if width >= DESK:
                save(page, images / f"{theme}-{width}x{height}.png")
            for tab, title in TABS.items() if width < DESK else ():
                page.get_by_role("tab", name=title).click()
                rest(page)
                save(page, images / f"{theme}-{width}x{height}-{tab}.png")
            page.context.close()


def states(browser: Browser, url: str, images: Path) -> None:
    """What else the map can show, the keys."""
    for name, state in BESIDE.items():
        page = opened(browser, url, state, "light", *SIZES[0])
        save(page, images / f"{name}.png", whole=False)
        page.context.close()
    page = opened(browser, url, STATE, "light", *SIZES[0])
    page.get_by_role("button", name="Keys and help").click()
    save(page, images / "keys.png", whole=False)
    page.context.close()


def tour(browser: Browser, url: str, images: Path) -> None:
    """The tour's steps in both themes, on a desk and on a phone."""
    for theme in THEMES:
        for width, height in (SIZES[0], SIZES[-1]):
            for step in range(1, STEPS + 1):
                page = opened(browser, url, f"tour={step}", theme, width, height)
                save(page, images / f"tour-{step}-{theme}-{width}x{height}.png", whole=False)
                page.context.close()


def main() -> None:
    """Takes them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    demo = [Path("runs/demo/vae-2"), Path("runs/demo/autoencoder-2")]
    parser.add_argument("runs", nargs="*", type=Path, default=demo)
    parser.add_argument("--images", type=Path, default=Path("docs/images/explorer"))
    asked = parser.parse_args()
    asked.images.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    with served(asked.runs) as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        panels(browser, url, asked.images)
        states(browser, url, asked.images)
        tour(browser, url, asked.images)
        browser.close()


if __name__ == "__main__":
    main()
