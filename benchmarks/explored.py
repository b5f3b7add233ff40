"""What benchmarks/explorer.py measures with: runs to explore, the server in a process of its own, and a hand on its socket.

Covered: one question under way and the newest that waits, as the page does (ui/src/cursors.ts). Not covered: what is reported.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.request
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from legato.explorer.frames import DECODE, ERROR, Answered, Asked
from legato.training import train

HAND = 1 / 60  # seconds between two movements
PATIENCE = 120  # seconds for which an answer is waited for
MNIST = 70_000
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# ------------------------------------------------------------------------------------------------- what is explored


def blobs(n: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Bytes (n, *shape): a bright spot at a random place, in each channel another."""
    rng = np.random.default_rng(seed)
    height, width, *channels = shape
    y, x = rng.uniform(0.1, 0.9, (2, n, 1, *channels)).astype(np.float32)
    rows, columns = ((np.arange(side, dtype=np.float32)[:, *[None] * len(channels)] + 0.5) / side for side in (height, width))
    tall, wide = (np.exp(-40 * np.square(at - place)) for at, place in ((rows, y), (columns, x)))
    return (255 * tall[:, :, None] * wide[:, None]).astype(np.uint8)


def drawn(folder: Path, n: int, shape: tuple[int, ...]) -> Path:
    """An npz of n blobs."""
    path = folder / f"blobs-{n}-{'x'.join(map(str, shape))}.npz"
    np.savez(path, images=blobs(n, shape))
    return path


def made(folder: Path, points: int, chosen: Namespace) -> Path:
    """The given RUN, or one of at least so many images."""
    if chosen.run:
        return Path(chosen.run)
    source = "mnist" if points <= MNIST else drawn(folder, points, (16, 16))
    words = {"latent_dim": 2, "net": "mlp", "width": 512, "depth": 2, "likelihood": "bernoulli"}
    run = folder / f"vae-2-{'mnist' if points <= MNIST else points}"
    if not run.exists():
        train("vae", source, run, device="cpu", threads=chosen.threads, steps=chosen.steps, **words)
    return run


# ------------------------------------------------------------------------------------------------- the server


@dataclass
class Served:
    """A server that answers at `url`."""

    process: subprocess.Popen[str]
    url: str
    seconds: float  # from its start to its address

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        """The answer. Raises OSError for any status but 200."""
        with DIRECT.open(self.url + path, json.dumps(body).encode(), timeout=PATIENCE) as answer:
            return bytes(answer.read())

    def megabytes(self) -> float:
        """Of memory that the process holds now."""
        command = ["ps", "-o", "rss=", "-p", str(self.process.pid)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024

    def socket(self) -> connect:
        """A connection that is to be entered."""
        return connect(self.url.replace("http", "ws", 1) + "socket", compression=None, max_size=None, proxy=None)


@contextmanager
def served(run: Path, threads: int, *more: str) -> Iterator[Served]:
    """`legato explore RUN`, interrupted at the end. Raises RuntimeError where it does not end quietly."""
    command = [
        sys.executable,
        "-m",
        "legato",
        "explore",
        str(run),
        "--no-browser",
        "--device",
        "cpu",
        "--threads",
        str(threads),
    ]
    began = time.perf_counter()
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise RuntimeError(process.communicate()[1])
        yield Served(process, url, time.perf_counter() - began)
        began = time.perf_counter()
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=PATIENCE)[1]
        took = time.perf_counter() - began
        print(f"Ctrl-C: exit code {process.returncode} after {took:.2f} s, {told.strip() or 'nothing said'}")
        if process.returncode or told:
            raise RuntimeError("the server did not end quietly")
    finally:
        process.kill()
        process.communicate()


# ------------------------------------------------------------------------------------------------- clients


@dataclass
class Tally:
    """What a class of clients met. `moved`: movements of the hand; `delays` and `trips` in seconds."""

    moved: int = 0
    asked: int = 0
    answered: int = 0
    delays: list[float] = field(default_factory=list)
    trips: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def took(self, since: float, sent: float) -> None:
        """An answer came just now."""
        now = time.perf_counter()
        self.answered += 1
        self.delays.append(now - since)
        self.trips.append(now - sent)


class Hand:
    """A random walk in z, dragged over one socket: one question under way, the newest waits."""

    def __init__(self, socket: ClientConnection, latents: int, seed: int, tally: Tally) -> None:
        self.socket, self.tally, self.rng = socket, tally, np.random.default_rng(seed)
        self.z, self.seq = self.rng.standard_normal(latents), 0
        self.waits: float | None = None  # since when
        self.under: tuple[float, float] | None = None  # since when, sent when

    async def drag(self, until: float) -> None:
        """Moves until then; the last question's answer is waited for."""
        reading = asyncio.create_task(self._read())
        beat = time.perf_counter()
        while time.perf_counter() < until and not reading.done():
            await self._move()
            beat = max(beat + HAND, time.perf_counter())
            await asyncio.sleep(beat - time.perf_counter())
        while self.under and not reading.done() and time.perf_counter() < until + PATIENCE:
            await asyncio.sleep(HAND)
        if self.under:
            self.tally.errors.append("a question was never answered")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    async def _move(self) -> None:
        self.z = 0.98 * self.z + 0.1 * self.rng.standard_normal(len(self.z))
        self.tally.moved += 1
        self.waits = time.perf_counter()
        await self._send()

    async def _send(self) -> None:
        if self.waits is None or self.under:
            return
        self.seq += 1
        self.tally.asked += 1
        self.under, self.waits = (self.waits, time.perf_counter()), None
        with suppress(ConnectionClosed):  # the reader tells of it
            await self.socket.send(Asked(self.seq, DECODE, 0, 0, self.z.astype(np.float32)).pack())

    async def _read(self) -> None:
        try:
            async for frame in self.socket:
                self._take(Answered.read(bytes(frame)))  # type: ignore[arg-type]
                await self._send()
            self.tally.errors.append("the socket was closed")
        except (ConnectionClosed, ValueError) as error:
            self.tally.errors.append(f"{type(error).__name__}: {error}")

    def _take(self, answer: Answered) -> None:
        if not self.under or answer.seq != self.seq or answer.picture.fmt == ERROR:
            self.tally.errors.append(f"answer {answer.seq} of format {answer.picture.fmt} to question {self.seq}")
        if self.under:
            self.tally.took(*self.under)
        self.under = None


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """In milliseconds."""
    if not seconds:
        return {}
    found = np.percentile(np.array(seconds) * 1e3, [50, 95, 99, 100])
    return dict(zip(("p50", "p95", "p99", "most"), map(float, found), strict=True))


def numbers(tally: Tally) -> dict[str, Any]:
    """For a file."""
    counts = {"moved": tally.moved, "asked": tally.asked, "answered": tally.answered, "errors": len(tally.errors)}
    return {**counts, "hand_ms": percentiles(tally.delays), "trip_ms": percentiles(tally.trips)}


def line(name: str, tally: Tally) -> str:
    """For a person."""
    times = " / ".join(f"{ms:.1f}" for ms in percentiles(tally.delays).values()) or "–"
    return f"{name:<20} {tally.moved:>5} {tally.asked:>6} {tally.answered:>8} {len(tally.errors):>6} | {times}"
