"""Work in threads with results in order and a bounded number under way, so that memory stays flat.

Covered: functions that free the interpreter's lock (decoding, hashing). Not covered: pure Python work.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 8  # items per task: a thread's hand-over costs as much as decoding a small icon


def workers() -> int:
    """Threads worth starting: the cores this process may use, at most 16 (beyond, the disk is the limit)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 16)


def ordered(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`map(function, items)` in threads: same order, and at most a few chunks per thread read ahead.

    (`ThreadPoolExecutor.map` would take all items at once, so a million decoded pictures would wait in memory.)
    """
    pool, left = ThreadPoolExecutor(workers(), thread_name_prefix="legato"), iter(items)
    under_way: deque[Future[list[R]]] = deque()
    try:
        while True:
            while len(under_way) < 3 * workers() and (chunk := list(islice(left, CHUNK))):
                under_way.append(pool.submit(lambda part: [function(item) for item in part], chunk))
            if not under_way:
                return
            yield from under_way.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
