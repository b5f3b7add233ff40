"""Progress that suits where it is shown: a bar with time left in a terminal, few plain lines elsewhere.

Covered: one bar at a time. Not covered: logging to services (that reads `metrics.jsonl`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

LINE_EVERY = 15.0  # seconds between plain lines: a log of a five-minute run stays one screen long


class Bar(Protocol):
    """The report of a loop: how far it is, and a few words on how it goes."""

    def __call__(self, done: int, note: str = "") -> None:
        """Tells that `done` of the total are done."""


@contextmanager
def progress(title: str, total: int, *, start: int = 0, unit: str = "") -> Iterator[Bar]:
    """A bar from `start` to `total`; call it with the count done so far. Writes to stderr, never to stdout.

    `start` is where a resumed loop begins, so that the time left counts only what this process does.
    """
    with _rich_bar(title, total, start, unit) if sys.stderr.isatty() else _plain_lines(title, total, start, unit) as bar:
        yield bar


@contextmanager
def _rich_bar(title: str, total: int, start: int, unit: str) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=5) as shown:
        task = shown.add_task(title, total=total, completed=start, note="")

        def bar(done: int, note: str = "") -> None:
            shown.update(task, completed=done)
            if note:
                shown.update(task, note=note)

        yield bar


@contextmanager
def _plain_lines(title: str, total: int, start: int, unit: str) -> Iterator[Bar]:
    began = last = time.monotonic()

    def bar(done: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_EVERY:
            return
        last = now
        left = (now - began) / max(done - start, 1) * (total - done)
        print(f"{title}: {done}/{total} {unit} · {left:.0f} s left · {note}".rstrip(" ·"), file=sys.stderr, flush=True)

    yield bar
