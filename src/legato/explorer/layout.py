"""Layouts of the codes by UMAP, each made once, in a process of its own.

It takes tens of seconds and holds the interpreter's lock. Covered: one at a time; who asks for what is being made waits for
the same; what nobody waits for any more is killed. Not covered: UMAP itself (embedding.py), where the codes come from
(session.py).
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Hashable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake, install
from legato.explorer.embedding import MISSING, packed, unpacked
from legato.explorer.recent import Recent

EXTRA = f"UMAP needs the extra: {install('umap')}"
LEAST, MOST = 5, 20_000  # images that are laid out: 20,000 take over a minute (docs/explorer.md)
KEPT = 64 << 20  # bytes of layouts in memory, some four hundred of the largest: each took a minute of a core
# -P: no module of the folder one stands in may take the place of a library's
COMMAND = (sys.executable, "-P", "-m", "legato.explorer.embedding")
# The worker keeps its core; and sums whose order is left to threads are not the same twice.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
Places = NDArray[np.float32]


def obstacle(n: int) -> str | None:
    """The reason why there is no layout of n images here, in one line; None where there is."""
    if find_spec("umap") is None:
        return EXTRA
    if n > MOST:
        return f"UMAP lays out at most {MOST:,} images, the map shows {n:,}: legato explore --points {MOST}"
    return f"UMAP lays out {LEAST} images or more, the map shows {n}" if n < LEAST else None


class Layouts:
    """The layouts of a session. One event loop's."""

    def __init__(self) -> None:
        self._kept: Recent[Places] = Recent(lambda places: places.nbytes, KEPT)
        self._making: dict[Hashable, asyncio.Task[Places]] = {}
        self._waiting: Counter[Hashable] = Counter()
        self._turn = asyncio.Semaphore(1)  # one at a time: two would halve the speed of both, and of the cursor

    async def of(self, key: Hashable, codes: NDArray[Any]) -> Places:
        """The places (n, 2) of codes (n, d) that `key` stands for. Cancelled by the last who waits, it is not made."""
        known = self._kept.known(key)
        if known is not None:
            return known
        task = self._making.get(key) or asyncio.create_task(self._made(key, codes))
        self._making[key] = task
        self._waiting[key] += 1
        try:
            # Shielded: one page that leaves must not end what others wait for.
            return await asyncio.shield(task)
        finally:
            self._left(key, task)

    def end(self) -> None:
        """Cancels what is being made."""
        for task in self._making.values():
            task.cancel()

    async def _made(self, key: Hashable, codes: NDArray[Any]) -> Places:
        async with self._turn:
            found = await laid_out(codes)
        # Through `get`: two who waited for the same share one copy.
        return self._kept.get(key, lambda: found)

    def _left(self, key: Hashable, task: asyncio.Task[Places]) -> None:
        self._waiting[key] -= 1
        if self._waiting[key] == 0:
            del self._waiting[key], self._making[key]
            # Nobody waits any more: a layout takes a core for tens of seconds.
            task.cancel()


async def laid_out(codes: NDArray[Any]) -> Places:
    """Places (n, 2) of codes (n, d). Cancelled, it kills the process. Raises `Mistake` where UMAP is missing or fails."""
    # the libraries of this process, and -P: nothing from the folder one stands in
    path = os.pathsep.join(filter(None, sys.path))
    env = {**os.environ, **ONE_THREAD, "PYTHONPATH": path}
    process = await asyncio.create_subprocess_exec(*COMMAND, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env)
    try:
        content, told = await process.communicate(packed(codes))
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself, which is the usual case
            process.kill()
        # Waited for, or it would stay behind as a zombie.
        status = await process.wait()
    if status:
        raise Mistake(_reason(status, told))
    return unpacked(content)


def _reason(status: int, told: bytes) -> str:
    if status == MISSING:
        return EXTRA
    # Bytes of a library's message may be of any encoding: what cannot be read must not hide the rest.
    lines = told.decode(errors="replace").strip().splitlines()
    return f"UMAP could not lay the codes out: {lines[-1] if lines else f'it ended with status {status}'}"
