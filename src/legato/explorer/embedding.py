"""A process that lays codes out by UMAP: codes (n, d) as .npy on stdin, their places (n, 2) as .npy on stdout.

Covered: one layout, the same for the same codes, machine and versions; it ends when whoever started it is gone. Not covered:
who starts it, and how often (layout.py).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from importlib import import_module
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS, SEED = 15, 0  # UMAP's own default of neighbours; the seed makes one set of codes one layout
LATER = 5  # nice: a cursor goes first, on the cores that both share
MISSING = 3  # the exit status where UMAP cannot be imported: it is told as what to install, not as a failure
LOOK = 1.0  # seconds between two looks at whether anybody is left to answer: a layout is not worth more than that


def places(codes: NDArray[Any]) -> NDArray[np.float32]:
    """UMAP's layout (n, 2) of codes (n, d), begun at their principal components: one step's looks like the next one's."""
    umap = import_module("umap")
    # UMAP warns of more neighbours than there are other points.
    near = min(NEIGHBOURS, len(codes) - 1)
    # one job: with a seed UMAP takes no more, and warns where it is asked for them
    found = np.asarray(umap.UMAP(n_neighbors=near, init="pca", random_state=SEED, n_jobs=1).fit_transform(codes), np.float32)
    if not np.isfinite(found).all():
        raise ValueError("the layout is not finite")
    return found


def packed(array: NDArray[Any]) -> bytes:
    """An array as .npy."""
    # allow_pickle=False on both sides: what comes through a pipe must not be able to run code.
    with BytesIO() as file:
        np.save(file, array, allow_pickle=False)
        return file.getvalue()


def unpacked(content: bytes) -> NDArray[Any]:
    """The inverse of `packed`."""
    return np.asarray(np.load(BytesIO(content), allow_pickle=False))


def main() -> None:
    """One layout; what libraries print goes to stderr."""
    threading.Thread(target=_end_alone, args=(os.getppid(),), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(LATER)
    # A copy of stdout for the answer alone: numba and UMAP print, and a line among the bytes would break them.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answer:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        try:
            answer.write(packed(places(unpacked(sys.stdin.buffer.read()))))
        except ImportError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(MISSING)


def _end_alone(parent: int) -> None:
    while os.getppid() == parent:  # asked of the parent's number: a process whose parent ends gets another one
        time.sleep(LOOK)
    os._exit(1)  # without clean-up: nobody reads what would still be written


if __name__ == "__main__":
    main()
