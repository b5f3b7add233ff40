"""How quick `legato explore` is to the hand, and whether it stays so among many pages and bad ones.

    python benchmarks/explorer.py [RUN] [--soak 60 --clients 20] [--drag] [--page [--points 100000]] [--threads 2] [--json FILE]

A real `legato explore` in a process of its own. A hand moves 60 times a second; as the page does, a client has one question
under way and keeps the newest that waits. *From the hand* counts from the movement that is answered, *trip* from its sending.

soak: WebSocket clients at once, half of which also ask a field, the points, what is near; two send frames that are none and
vanish within a frame, and come back. drag: one client, convolutions of three sizes, beside the decoder's network alone, called
in this process 60 times a second (as a hand calls it, with cold caches) and back to back, in turns. page: the page in Chromium
by Playwright without a GPU, until the map's points are drawn, then a drag; the percentiles are those that the header shows.

Without a RUN one is trained for `--steps`: a vae of 2 latents (mlp, 512 × 2) on mnist; where `--points` are more than mnist
has, on so many drawn blobs of 16 × 16. Covered: latency, losses, the server's memory, its end. Not covered: what is answered
(tests), a browser with a GPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from explored import HAND, PATIENCE, Hand, Served, Tally, drawn, line, made, numbers, percentiles, served
from throughput import processor
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from legato.explorer.frames import DECODE, Asked
from legato.loading import load
from legato.training import train

PLANE = {"u": [1, 0], "v": [0, 1], "anchor": [0, 0]}  # of two latents
NOWHERE: dict[str, Any] = {"model": 0, "step": None}
KINDS = ("density", "support", "holes", "speed")
SIZES = {"28² × 1": (28, 28), "64² × 3": (64, 64, 3), "128² × 3": (128, 128, 3)}

# ------------------------------------------------------------------------------------------------- soak


async def page(server: Served, seed: int, until: float, tally: Tally) -> None:
    """A page that drags over one socket until then."""
    async with server.socket() as socket:
        await Hand(socket, 2, seed, tally).drag(until)


def question(kind: str, rng: random.Random) -> dict[str, Any]:
    """What a page asks beside its drag."""
    if kind == "locate":
        return {**NOWHERE, "z": [rng.gauss(0, 1), rng.gauss(0, 1)], "k": 5}
    extent = {"kind": rng.choice(KINDS), "extent": [-3, 3, -3, 3], "size": 64} if kind == "field" else {}
    return {**NOWHERE, "plane": PLANE, **extent}


async def curious(server: Served, seed: int, until: float, tallies: dict[str, Tally]) -> None:
    """Asks now and then, one question after another."""
    rng = random.Random(seed)
    while time.perf_counter() < until:
        kind = rng.choice(("field", "points", "locate"))
        tally, since = tallies[kind], time.perf_counter()
        tally.asked += 1
        try:
            await asyncio.to_thread(server.post, kind, question(kind, rng))
            tally.took(since, since)
        except OSError as error:
            tally.errors.append(f"{type(error).__name__}: {error}")
        await asyncio.sleep(min(rng.uniform(1, 4), max(0, until - time.perf_counter())))


GARBAGE: dict[str, tuple[bytes | str, int]] = {  # what is no frame, and the code that must close the socket
    "no multiple of four": (b"\x00" * 17, 1007),
    "no such operation": (Asked(1, 9, 0, 0, np.zeros(2, np.float32)).pack(), 1007),
    "no such model": (Asked(1, DECODE, 7, 0, np.zeros(2, np.float32)).pack(), 1007),
    "text": ("garbage", 1007),
    "too long": (b"\x00" * (1 << 20), 1009),
}
HALF = b"\x82\xfe\x10\x00\x01\x02\x03\x04half"  # the beginning of a frame of 4096 bytes


async def bad(server: Served, seed: int, until: float, tally: Tally, misdeeds: Tally) -> None:
    """Drags for a second, does something that no page does, and comes back."""
    deeds = [*GARBAGE, "vanishing"]
    while time.perf_counter() < until:
        deed = deeds[(seed + misdeeds.asked) % len(deeds)]
        async with server.socket() as socket:
            await Hand(socket, 2, seed, tally).drag(min(time.perf_counter() + 1, until))
            misdeeds.asked += 1
            wrong = await vanish(socket) if deed == "vanishing" else await offend(socket, *GARBAGE[deed])
        if wrong:
            misdeeds.errors.append(f"{deed}: {wrong}")
        misdeeds.answered += not wrong


async def vanish(socket: ClientConnection) -> str:
    """The connection is torn within a frame."""
    socket.transport.write(HALF)
    socket.transport.abort()
    return ""


async def offend(socket: ClientConnection, garbage: bytes | str, code: int) -> str:
    """What was wrong with how the server took it."""
    try:
        await socket.send(garbage)
        await asyncio.wait_for(socket.recv(), PATIENCE)
    except ConnectionClosed:
        return "" if socket.close_code == code else f"closed with {socket.close_code}, expected {code}"
    except TimeoutError:
        return "the socket stayed open"
    return "it was answered"


async def memory(server: Served, seconds: float) -> dict[str, float]:
    """Megabytes at some moments."""
    began, found = time.perf_counter(), {}
    for at in sorted({min(5.0, seconds / 3), seconds / 2, seconds}):
        await asyncio.sleep(max(0, began + at - time.perf_counter()))
        found[f"{at:g} s"] = await asyncio.to_thread(server.megabytes)
    return found


async def crowd(server: Served, clients: int, seconds: float) -> tuple[dict[str, Tally], dict[str, float]]:
    """Every client at once."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(clients + 1))
    names = ("drag", "drag, and asks", "drag, misbehaves", "field", "points", "locate", "misdeeds")
    tallies = {name: Tally() for name in names}
    until, good = time.perf_counter() + seconds, clients - 2
    work = [page(server, i, until, tallies["drag, and asks" if i % 2 else "drag"]) for i in range(good)]
    work += [curious(server, i, until, tallies) for i in range(1, good, 2)]
    work += [bad(server, i, until, tallies["drag, misbehaves"], tallies["misdeeds"]) for i in range(2)]
    sizes, *_ = await asyncio.gather(memory(server, seconds), *work)
    return tallies, sizes


def soak(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """`--clients` clients for `--soak` seconds."""
    with served(made(folder, 0, chosen), chosen.threads) as server:
        post_all(server)
        tallies, sizes = asyncio.run(crowd(server, chosen.clients, chosen.soak))
        print(f"{'soak, from the hand':<20} moved  asked answered errors | ms: p50 / p95 / p99 / most")
        for name, tally in tallies.items():
            print(line(name, tally))
        growth = list(sizes.values())[-1] - next(iter(sizes.values()))
        print("memory: " + ", ".join(f"{at} {size:.0f} MB" for at, size in sizes.items()) + f"; grown by {growth:.1f} MB")
        failed = [f"{name}: {error}" for name, tally in tallies.items() for error in tally.errors]
    return {"classes": {name: numbers(tally) for name, tally in tallies.items()}, "memory_mb": sizes, "errors": failed}


def post_all(server: Served) -> None:
    """Each question once, so that codes and thresholds are found before the clock runs: what a page does when it opens."""
    for kind in KINDS:
        server.post("field", {**question("field", random.Random(0)), "kind": kind})
    for path in ("points", "locate"):
        server.post(path, question(path, random.Random(0)))


# ------------------------------------------------------------------------------------------------- drag


def paced(decode: Callable[[], object], seconds: float, pause: float) -> list[float]:
    """Seconds of each call, `pause` after the beginning of the one before."""
    times, end = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        decode()
        times.append(time.perf_counter() - began)
        time.sleep(max(0, began + pause - time.perf_counter()))
    return times


async def alone(server: Served, latents: int, rounds: int, other: Callable[[], None], tally: Tally) -> list[float]:
    """A second of dragging in each round, then `other`'s turn; the median trip of each round."""
    medians = []
    for turn in range(rounds + 1):
        async with server.socket() as socket:
            mine = Tally()
            await Hand(socket, latents, turn, mine).drag(time.perf_counter() + 1)
        time.sleep(0.05)  # the server's threads stop waiting for work
        other()
        if turn:  # the first warms up
            medians.append(statistics.median(mine.trips))
            for name in ("delays", "trips", "errors"):
                getattr(tally, name).extend(getattr(mine, name))
    return medians


def drag(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """One client, three sizes of image, beside the decoder's network."""
    print(
        f"{'drag alone':<12} trip p50 / p95, from the hand p50 / p95 | network at 60 Hz p50, back to back p50 | trip / network"
    )
    return {name: beside(folder, name, shape, chosen) for name, shape in SIZES.items()}


def beside(folder: Path, name: str, shape: tuple[int, ...], chosen: argparse.Namespace) -> dict[str, Any]:
    run, tally, slow, fast = folder / f"conv-{shape[0]}", Tally(), [], []
    train("vae", drawn(folder, 300, shape), run, net="conv", device="cpu", threads=chosen.threads, steps=5, batch_size=16)
    space = load(run, device="cpu", threads=chosen.threads)
    z = torch.randn(1, space.latent_dim)

    @torch.inference_mode()
    def networks_turn() -> None:
        slow.append(statistics.median(paced(lambda: space.model.likelihood.net(z), 1, HAND)))
        fast.append(statistics.median(paced(lambda: space.model.likelihood.net(z), 0.5, 0)))

    with served(run, chosen.threads) as server:
        trips = asyncio.run(alone(server, space.latent_dim, chosen.rounds, networks_turn, tally))
    ratio = statistics.median(trip / own for trip, own in zip(trips, slow[1:], strict=True))
    row = {"trip_ms": percentiles(tally.trips), "hand_ms": percentiles(tally.delays), "ratio": ratio, "errors": tally.errors}
    row |= {"network_60hz_ms": statistics.median(slow[1:]) * 1e3, "network_ms": statistics.median(fast[1:]) * 1e3}
    times = ", ".join(f"{row[key]['p50']:.1f} / {row[key]['p95']:.1f}" for key in ("trip_ms", "hand_ms"))
    print(f"{name:<12} {times} | {row['network_60hz_ms']:.1f}, {row['network_ms']:.1f} | {ratio:.2f}", flush=True)
    return row


# ------------------------------------------------------------------------------------------------- page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
VIEWPORT = {"width": 1440, "height": 900}
RENDERERS = {
    "WebGL2 in software": ["--disable-gpu", "--enable-unsafe-swiftshader"],
    "Canvas2D": ["--disable-gpu", "--disable-webgl"],
}
# Its callback is registered before the map's own of the same frame, so `before` never counts the frame that shows the points.
WATCH = """(() => {
  const seen = window.__seen = {}
  const look = () => {
    const app = window.__app
    if (app?.frames && seen.map === undefined) seen.map = performance.now()
    if (seen.before !== undefined && app.frames > seen.before) return void (seen.points = performance.now())
    if (seen.before === undefined && app?.core.points.every(Boolean)) seen.before = app.frames
    requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
})()"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"


def pages(folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """The real page: twice with each renderer, the very first time on a server that has encoded nothing."""
    from playwright.sync_api import sync_playwright

    browser_at = next(filter(None, map(shutil.which, CHROMIUM)), None)  # else Playwright's own
    found: dict[str, Any] = {}
    with served(made(folder, chosen.points, chosen), chosen.threads, "--points", str(chosen.points)) as server:
        print(f"page of {chosen.points:,} points: the server's address after {server.seconds:.1f} s")
        with sync_playwright() as playwright:
            for name, flags in RENDERERS.items():
                browser = playwright.chromium.launch(executable_path=browser_at, args=flags)
                for visit in ("first", "again"):
                    found[f"{name}, {visit}"] = seen = visited(browser.new_page(viewport=VIEWPORT), server.url, chosen.dragged)
                    print(f"{name}, {visit}: {told(seen)}", flush=True)
                browser.close()
        found["memory_mb"] = server.megabytes()
        print(f"memory: {found['memory_mb']:.0f} MB")
    found["errors"] = [error for seen in found.values() if isinstance(seen, dict) for error in seen["errors"]]
    return found


def visited(page: Any, url: str, seconds: float) -> dict[str, Any]:
    """Opens the page, waits for the map, drags; what it showed."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(WATCH)
    page.goto(f"{url}?e2e=1")
    opened(page)
    seen: dict[str, Any] = {**page.evaluate("window.__seen"), "painted": page.evaluate(PAINTED)}
    before = counts(page)
    pull(page, seconds)
    after = counts(page)
    seen |= {key: after[key] - before[key] for key in ("moved", "asked", "frames", "shown")}
    seen |= {key: after[key] for key in ("p50", "p95", "header", "renderer", "frame_ms", "most_under_way")}
    page.close()
    return {**seen, "seconds": seconds, "errors": [*errors, *after["errors"]]}


def opened(page: Any) -> None:
    """Waits until the points are drawn. (Playwright's own `wait_for_function` would need the page to allow `eval`.)"""
    end = time.perf_counter() + PATIENCE
    while not page.evaluate("window.__seen.points"):
        if time.perf_counter() > end:
            raise TimeoutError(f"no points after {PATIENCE} s: {page.evaluate('document.body.innerText')[:500]}")
        page.wait_for_timeout(100)


def counts(page: Any) -> dict[str, Any]:
    """What the page itself counts."""
    found: dict[str, Any] = page.evaluate("""() => ({
      ...window.__app.core.rate, asked: window.__app.sent, frames: window.__app.frames, moved: window.__moved ?? 0,
      renderer: window.__app.renderers[0], frame_ms: window.__app.frameMs[0], most_under_way: window.__app.inFlightMax,
      header: document.querySelector('.live').textContent.trim(), errors: window.__app.errors,
    })""")
    return found


def pull(page: Any, seconds: float) -> None:
    """A drag on the map, around its middle, 60 movements a second where the browser takes so many."""
    page.evaluate("window.__moved = 0; addEventListener('pointermove', () => window.__moved++)")
    box = page.get_by_test_id("map-points").first.bounding_box()
    size, rng = np.array([box["width"], box["height"]]), np.random.default_rng(0)
    spot, offset = np.array([box["x"], box["y"]]) + size / 2, np.zeros(2)
    page.mouse.move(*spot)
    page.mouse.down()
    beat = end = time.perf_counter()
    while beat < end + seconds:
        offset = (0.98 * offset + rng.normal(scale=10, size=2)).clip(-0.4 * size, 0.4 * size)
        page.mouse.move(*(spot + offset))
        beat = max(beat + HAND, time.perf_counter())
        page.wait_for_timeout(1e3 * max(0, beat - time.perf_counter()))
    page.mouse.up()
    page.wait_for_timeout(1000)  # the last answers


def told(seen: dict[str, Any]) -> str:
    """For a person."""
    opened = ", ".join(f"{what} {seen[what]:.0f} ms" for what in ("painted", "map", "points"))
    counted = ("moved", "shown", "frames")
    rates = ", ".join(f"{seen[what] / seen['seconds']:.0f} {what}" for what in counted)
    times = f"hand to pixels {seen['p50']:.1f} / {seen['p95']:.1f} ms (header: {seen['header']})"
    return f"{seen['renderer']}; {opened}; {times}; a second: {rates}"


# ------------------------------------------------------------------------------------------------- all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--soak", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--drag", action="store_true")
    parser.add_argument("--rounds", type=int, default=10, help="of --drag")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--points", type=int, default=20_000, help="of --page")
    parser.add_argument("--dragged", type=float, default=10, metavar="SECONDS", help="of --page")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    load_now = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(
        f"{date.today()}, {processor()}, {os.cpu_count()} cores{load_now}, {chosen.threads} threads, torch {torch.__version__}"
    )
    found = {"date": str(date.today()), "machine": processor(), "threads": chosen.threads, "torch": torch.__version__}
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("LEGATO_CACHE", folder)  # the blobs are nobody's data
        found |= {name: part(Path(folder), chosen) for name, part in PARTS.items() if getattr(chosen, name)}
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if errors := list(all_errors(found)):
        sys.exit("\n".join([f"{len(errors)} errors:", *errors[:20]]))


PARTS = {"soak": soak, "drag": drag, "page": pages}


def all_errors(found: Any) -> list[str]:
    """Whatever any part reported."""
    if not isinstance(found, dict):
        return []
    own = found["errors"] if isinstance(found.get("errors"), list) else []
    return own or [error for part in found.values() for error in all_errors(part)]


if __name__ == "__main__":
    main()
