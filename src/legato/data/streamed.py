"""Rows that are streamed: pictures that stay where they lie, encoded, and are decoded when they are asked for.

Covered: folders, shards and Hugging Face's `datasets`, which differ in where a picture's bytes come from; an order of training
that reads what lies together at about one time. Not covered: finding the pictures (`folder`, `shards`, `hub`), decoding one
(`pictures`).
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice, pairwise
from math import prod
from threading import Lock
from typing import Any, Protocol

import numpy as np

from legato.data.dataset import Content
from legato.data.decoders import MANY, PIXELS, Decoders, Item, Run
from legato.data.options import WHOLE, DataOptions, window_of
from legato.data.parallel import workers
from legato.data.picture_writer import in_threads
from legato.data.pictures import Payload, PictureForm
from legato.errors import Mistake
from legato.types import Bytes, Integers, Rows, Shape

AT_ONCE = 2**26  # bytes of encoded pictures that the buffer of a training may hold
AHEAD = 2  # steps that are decoded ahead
SOME = 16  # rows below which a process is not asked: a picture that is looked at
RUN = 64  # pictures that a folder or a shard gives in a row: a thousandth of an epoch of 64,000, and a read ahead of the disk


class Places(Protocol):
    """Where the encoded pictures of a source lie.

    `runs` (R,) are the rows at which a part begins that is read from its start; `weight` is the bytes of memory that each
    picture of the buffer takes, 0 where any picture is read at once.
    """

    runs: Integers
    weight: float

    def payloads(self, numbers: Rows, buffer: int) -> Iterable[Payload]:
        """The pictures of these rows. `buffer`: they are those of a step of training, shuffled among so many; 0: of none."""


class StreamedRows:
    """Rows (N, C, H, W) of bytes, each decoded when it is cut. Cut by row numbers, by a slice, or by one number.

    `form` is that of every picture; `ids` name them; `buffer` is how many rows the order of training shuffles together.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, places: Places, form: PictureForm, shape: Shape, ids: Sequence[str], name: str, buffer: int) -> None:
        self.places, self.form, self.shape, self.ids, self.name = places, form, shape, ids, name
        self.buffer = max(1, min(buffer, int(AT_ONCE / places.weight) if places.weight else buffer))
        self._decoders = Decoders(form) if len(ids) >= MANY else None  # of few, threads
        self._threads = ThreadPoolExecutor(AHEAD, "streamed")
        self._ahead: deque[tuple[Rows, Future[Bytes]]] = deque()
        self._turn = Lock()  # the hub is read by one at a time
        if self._decoders is not None:
            weakref.finalize(self, self._decoders.__exit__, None, None, None)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: Any, /) -> Bytes:
        numbers = self._numbers(which)
        return self._cut(numbers, 0) if numbers.ndim else self._cut(numbers[None], 0)[0]

    def _numbers(self, which: Any) -> Rows:
        """What NumPy would take of all row numbers, which are not made where they are given already."""
        if not isinstance(which, np.ndarray) or which.dtype.kind not in "iu":
            return np.asarray(np.arange(len(self))[which])
        if len(which) and not (-len(self) <= which.min() and which.max() < len(self)):
            raise IndexError(f"rows {which.min()} to {which.max()} of {len(self)}")
        return np.where(which < 0, which + len(self), which).astype(np.int64)

    def __array__(self, *_: Any, **__: Any) -> Bytes:
        raise TypeError("streamed rows are cut in parts: all of them at once may not fit the memory")

    def in_turn(self, numbers: Rows, then: Iterable[Rows]) -> Bytes:
        """The rows of a training step; those of the next `AHEAD` steps, `then`, are decoded while that one is made."""
        if self._ahead and not np.array_equal(self._ahead[0][0], numbers):  # another place in the order
            for _, begun in self._ahead:
                begun.cancel()
            self._ahead.clear()
        # Two at a time, so that every process has work while the last pictures of a step are waited for.
        for later in islice(chain([numbers], then), len(self._ahead), AHEAD + 1):
            self._ahead.append((later, self._threads.submit(self._cut, later, self.buffer)))
        return self._ahead.popleft()[1].result()

    def order(self, rng: np.random.Generator, chosen: Rows) -> Rows:
        """Places in `chosen` (ascending) in the order of one pass: the source's parts in a random order, shuffled in a buffer.

        Each window of `buffer` places is in a random order and reaches over so many parts only. With a buffer of all rows it is
        one permutation, that of rows which are stored.
        """
        count = len(chosen)
        if self.buffer >= count:
            return np.asarray(rng.permutation(count))
        part = np.searchsorted(self.places.runs, chosen, side="right") - 1
        places = np.argsort(rng.permutation(len(self.places.runs))[part], kind="stable")
        for start in range(0, count, self.buffer):
            rng.shuffle(places[start : start + self.buffer])
        return places

    def _cut(self, numbers: Rows, buffer: int) -> Bytes:
        rows, done = np.empty((len(numbers), *self.shape[1:]), np.uint8), 0
        with self._turn:
            payloads = self.places.payloads(numbers, buffer)
        for run in self._decoded(zip(map(str, numbers.tolist()), payloads, strict=True), len(numbers)):
            if run.pixels is None or run.pixels.shape[1:] != self.shape[1:]:
                shape = None if run.pixels is None else run.pixels.shape[1:]
                raise self._changed(int(numbers[done]), run.reason or f"its shape is {shape}, and was {self.shape[1:]}")
            rows[done : done + len(run.ids)] = run.pixels
            done += len(run.ids)
        return rows

    def _decoded(self, items: Iterable[Item], count: int) -> Iterator[Run]:
        if self._decoders is not None and count >= SOME:
            # a batch is shared by all processes alike
            found = self._decoders.results(items, max(prod(self.shape[1:]), PIXELS * 2 * workers() // count))
        else:
            found = in_threads(lambda: items, self.form)
        with closing(found):
            yield from chain.from_iterable(results.runs for results in found)

    def _changed(self, number: int, why: str) -> Mistake:
        return Mistake(
            f"`{self.ids[number]}` of `{self.name}` is not what it was when it was first looked at ({why}): bring it back, or "
            "give the command again, which looks at all anew"
        )


def runs(starts: Sequence[int] | Integers, count: int) -> Integers:
    """Parts of at most `RUN` rows, none of which reaches over one of the `starts`."""
    edges = np.append(np.asarray(starts, np.int64), count)
    return np.concatenate([np.arange(a, b, RUN) for a, b in pairwise(edges)])


def streamed(content: Content, places: Places, options: DataOptions, name: str) -> StreamedRows:
    """The rows of a source that was looked through, whose entry says how many they are and of what shape."""
    window = None if options.window is None or options.window == WHOLE else window_of(options.window)
    form = PictureForm(content.rows.shape[1], options.size, options.crop, options.background, window)
    return StreamedRows(places, form, content.rows.shape, content.ids, name, options.buffer)
