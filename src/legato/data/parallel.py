"""Work in threads with results in order and a bounded number under way, so that memory stays flat.

Covered: functions that free the interpreter's lock (decoding, hashing). Not covered: pure Python work.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 8  # items per task: a thread's hand-over costs as much as decoding a small icon
WEIGHT = 2**26  # bytes of items under way: eight chunks of large pictures would be gigabytes


def workers() -> int:
    """Threads worth starting: the cores this process may use, at most 16 (beyond, the disk is the limit)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 16)


def ordered(
    function: Callable[[T], R], items: Iterable[T], weigh: Callable[[T], int] = lambda item: 0, *, each: int = CHUNK
) -> Generator[R, None, None]:
    """`map(function, items)` in threads: same order, and at most a few chunks per thread read ahead, or `WEIGHT` bytes of them.

    A chunk has `each` items.
    (`ThreadPoolExecutor.map` would take all items at once, so a million decoded pictures would wait in memory.)
    """
    pool, left = ThreadPoolExecutor(workers(), thread_name_prefix="legato"), iter(items)
    under_way: deque[tuple[Future[list[R]], int]] = deque()
    try:
        while True:
            while len(under_way) < 3 * workers() and sum(weight for _, weight in under_way) < WEIGHT:
                chunk, weight = _chunk(left, weigh, each)
                if not chunk:
                    break
                under_way.append((pool.submit(lambda part: [function(item) for item in part], chunk), weight))
                del chunk  # the task has it, and lets it go
            if not under_way:
                return
            yield from under_way.popleft()[0].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # whoever stops early waits for what has begun, not for all


def _chunk(items: Iterator[T], weigh: Callable[[T], int], each: int) -> tuple[list[T], int]:
    """The next items of a task, fewer where they are heavy, and their bytes."""
    chunk: list[T] = []
    weight = 0
    for item in islice(items, each):
        chunk.append(item)
        weight += weigh(item)
        if weight >= WEIGHT // CHUNK:
            break
    return chunk, weight
