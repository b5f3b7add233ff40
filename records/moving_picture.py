"""The README's moving picture: a hand that drags through two latent spaces, filmed in a real browser.

    python records/moving_picture.py [RUN RUN] [--out docs/images/explorer.webp]

By default of `runs/demo/vae-2` and `runs/demo/autoencoder-2`, which `make demo` trains. A real `legato explore`, as in
records/screenshots.py; each frame is a screenshot, taken when every answer of the hand's place has been drawn, and the arrow is
drawn at that place. Covered: filming. Not covered: how quick the page is (benchmarks/explorer.py); the film has its own time.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright
from screenshots import ARGUMENTS, opened, rest, served

from legato.files import whole_file

WIDTH, HEIGHT = 1200, 580
MOST = 2_000_000  # bytes: what a page may load before a word of it is read
ANSWERED = """window.__app.sent === window.__app.drawn
  && [...document.images].every((image) => image.complete && image.naturalWidth > 0)"""
ARROW = [(0, 0), (0, 25), (6, 19), (11, 30), (15, 28), (10, 18), (19, 18)]
DRAG, STILL = 90, 900  # milliseconds that a frame of each kind is shown
Spot = tuple[float, float]
Frame = tuple[Image.Image, int]

# The hand's way through the VAE's map, in latent units: in from where no data lies, round the origin, across it.
INTO = [(-3.4 + 4.8 * t / 9, 3.4 - 3.4 * t / 9) for t in range(9)]
ROUND = [(1.4 * math.cos(t / 24 * 2 * math.pi), 1.4 * math.sin(t / 24 * 2 * math.pi)) for t in range(25)]
ACROSS = [(1.4 - 2.8 * t / 14, 0.5 * math.sin(t / 14 * math.pi)) for t in range(15)]


def film(page: Page) -> Iterator[Frame]:
    """The scenes: round and across the VAE's map; what every place of both maps decodes to; one map becomes the other."""
    yield from dragged(page, [*INTO, *ROUND, *ACROSS])
    page.get_by_role("button", name="decoded", exact=True).click()
    rest(page)
    yield shot(page), 2 * STILL
    page.get_by_role("button", name="none", exact=True).first.click()
    rest(page)
    yield from morphed(page)


def dragged(page: Page, way: list[Spot]) -> Iterator[Frame]:
    """One frame at each place of the way, on the first map."""
    for i, (a, b) in enumerate(way):
        spot = page.evaluate(f"window.__app.toClient(0, {a}, {b})")
        page.mouse.move(spot["x"], spot["y"])
        if i == 0:
            page.mouse.down()
        for _ in range(200):
            page.wait_for_timeout(80)
            if page.evaluate(ANSWERED):
                break
        yield shot(page, (spot["x"], spot["y"])), STILL if i == 0 else DRAG
    page.mouse.up()


def morphed(page: Page) -> Iterator[Frame]:
    """The points of one map on their way to the other's, and back."""
    slider = page.get_by_role("slider", name="morph")
    for i in [*range(13), *range(12, -1, -1)]:
        slider.fill(str(i / 12))
        page.wait_for_timeout(250)
        yield shot(page), STILL if i in (0, 12) else DRAG


def shot(page: Page, hand: Spot | None = None) -> Image.Image:
    """What the window shows, with an arrow where the hand is."""
    with Image.open(BytesIO(page.screenshot())) as seen:
        image = seen.convert("RGB")
    if hand:
        arrow = [(hand[0] + x, hand[1] + y) for x, y in ARROW]
        ImageDraw.Draw(image).polygon(arrow, fill="white", outline="black", width=2)
    return image


def save(frames: list[Frame], path: Path) -> None:
    """An animated WebP, in the best quality that keeps below the limit."""
    (first, _), *others = frames
    for quality in (80, 70, 60, 50, 40):
        held = BytesIO()
        shown = [image for image, _ in others]
        lasting = [time for _, time in frames]
        first.save(held, "WEBP", save_all=True, append_images=shown, duration=lasting, loop=0, quality=quality, method=4)
        if held.tell() <= MOST:
            with whole_file(path) as file:
                file.write(held.getvalue())
            print(f"{path}: {len(frames)} frames, {sum(lasting) / 1000:.0f} s, quality {quality}, {held.tell() / 1e6:.2f} MB")
            return
    raise SystemExit(f"no quality keeps {len(frames)} frames below {MOST:,} bytes: film less")


def main() -> None:
    """Films them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    demo = [Path("runs/demo/vae-2"), Path("runs/demo/autoencoder-2")]
    parser.add_argument("runs", nargs="*", type=Path, default=demo)
    parser.add_argument("--out", type=Path, default=Path("docs/images/explorer.webp"))
    asked = parser.parse_args()
    chromium = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    with served(asked.runs) as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = opened(browser, url, "image=5", "light", WIDTH, HEIGHT)
        frames = list(film(page))
        browser.close()
    save(frames, asked.out)


if __name__ == "__main__":
    main()
