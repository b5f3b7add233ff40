"""The images of a session: which of them the map shows, in which order, and what each is called and looks like.

Covered: a seeded sample of a large source, held-out images among it; finding by id or label; an image as PNG. Not covered:
codes (codes.py), pictures that a person brings (uploads.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.data.prepared import Prepared
from legato.errors import Mistake
from legato.explorer.ground import background, columns
from legato.explorer.points import ROWS
from legato.explorer.tiles import thumbnails
from legato.pictures import to_pillow
from legato.types import Floats

FOUND = 200  # rows that one search gives: a list that a person can look through
SEED = 0  # of the sample and its order, so that a map is the same whenever it is opened
THUMBNAIL = 40  # pixels of its longer side, at most: hundreds of them are sent for one map
# pictures whose edges tell the background; rows that tell a column's spread: read at once, before the page opens
FRAMED, MEASURED = 200, 500


class Catalogue:
    """A source as a session sees it: `shown` (n,), the rows on the map in the session's one random order, whatever the model.

    All rows where there are at most `points`; else a sample, at most half of it of the test split, since holes and support are
    judged by images that no model was trained on. `held` (n,) says which these are.
    """

    def __init__(self, prepared: Prepared, points: int) -> None:
        if points < 2:
            raise Mistake(f"a map needs 2 points or more, got {points}")
        self.prepared, self.dataset = prepared, prepared.dataset
        self.shown = _chosen(prepared, points)
        self.held = np.isin(self.shown, prepared.split("test").all())  # test rows: no choice of training has looked at them

    def to_json(self) -> dict[str, Any]:
        """The data as a page is told of them."""
        data = self.dataset
        return {
            "source": data.source,
            "rows": len(data),
            "shown": len(self.shown),
            "sampled": len(self.shown) < len(self.prepared.split("all")),
            "shape": list(data.shape),
            "image": len(data.shape) == 3,
            "labels": None if data.labels is None else list(data.label_names),
            "columns": None if len(data.shape) == 3 else columns(self.prepared, self.shown[:MEASURED]),
            "background": background(self.prepared.seen(self.shown[:FRAMED])) if len(data.shape) == 3 else None,
            **({} if self.prepared.one is None else {"among": len(self.prepared.split("all"))}),
        }

    def told(self, wanted: list[int]) -> dict[str, list[Any] | None]:
        """Rows with their ids and labels; of a table their values, too, in its own units."""
        rows = self.rows(wanted)
        values = None if len(self.dataset.shape) == 3 else self.prepared.seen(rows).astype(np.float64).tolist()
        return {**self.named(rows), "values": values}

    def rows(self, wanted: list[int]) -> NDArray[np.int64]:
        """These rows. Raises `Mistake` where one does not exist."""
        for row in wanted:
            if not 0 <= row < len(self.dataset):
                raise Mistake(f"row {row} does not exist: the source has 0 … {len(self.dataset) - 1}")
        return np.array(wanted, np.int64)

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The label of each row, −1 where there is none."""
        known = self.dataset.labels
        return np.full(len(rows), -1) if known is None else np.asarray(known[rows], np.int64)

    def named(self, rows: NDArray[np.int64]) -> dict[str, list[Any]]:
        """Rows with their ids and labels."""
        ids = [self.dataset.ids[int(row)] for row in rows]
        return {"rows": rows.tolist(), "ids": ids, "labels": self.labels(rows).tolist()}

    def find(self, text: str) -> dict[str, list[Any]]:
        """Rows that a text finds, at most 200: that very id, that label, that row, then ids that hold the text."""
        # A dictionary keeps the order of what was found first and drops what is found again.
        found = dict.fromkeys(self._matches(text.strip()))
        return self.named(np.array(list(found)[:FOUND], np.int64))

    def png(self, row: int) -> bytes:
        """An image of the source. Raises `Mistake` where there is none."""
        if len(self.dataset.shape) != 3:
            raise Mistake("the source is a table: its rows are no pictures")
        return png(self.original(row))

    def thumbnails(self, rows: list[int]) -> bytes:
        """Small pictures of chosen images, as tiles. Raises `Mistake` where there are none."""
        if len(self.dataset.shape) != 3:
            raise Mistake("the source is a table: its rows are no pictures")
        return thumbnails(self.prepared.seen(self.rows(rows)), THUMBNAIL)

    def original(self, row: int) -> Floats:
        """A row of the source (1, *shape) in the units of what is decoded. Raises `Mistake` where there is none."""
        return self.prepared.seen(self.rows([row]))

    def seen(self, places: NDArray[np.int64]) -> Floats:
        """The images at these places of the map (n, *shape), likewise."""
        return self.prepared.seen(self.shown[places])

    def _matches(self, text: str) -> Iterator[int]:
        if not text:
            return
        with suppress(ValueError):
            # `index` raises for what is no id, and then the other ways are tried.
            yield self.dataset.ids.index(text)
        names = [name.casefold() for name in self.dataset.label_names]
        if self.dataset.labels is not None and text.casefold() in names:
            label = names.index(text.casefold())
            yield from np.flatnonzero(self.dataset.labels == label)[:FOUND].tolist()
        with suppress(Mistake):
            yield self.dataset.find(text)
        # By casefold and not lower: ß is found by SS.
        wanted, count = text.casefold(), 0
        for row in range(len(self.dataset)):
            if wanted in self.dataset.ids[row].casefold():
                yield row
                count += 1
            if count == FOUND:
                return


def png(image: Floats) -> bytes:
    """One image (1, C, H, W) in [0, 1] as PNG."""
    file = BytesIO()
    # In memory: nothing of a person's images is written to disk.
    to_pillow(image)[0].save(file, "PNG")
    return file.getvalue()


def _chosen(prepared: Prepared, points: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(SEED)
    everything = prepared.split("all").all()
    # Rows beyond what a point's number can tell (points.py) are on no map.
    everything = everything[everything < ROWS]
    if len(everything) > points:
        test = prepared.split("test").all()
        held = rng.permutation(test[test < ROWS])[: points // 2]
        # assume_unique: rows of a split never come twice
        others = rng.permutation(np.setdiff1d(everything, test, assume_unique=True))
        everything = np.concatenate([held, others[: points - len(held)]])
    # One order for all models: a place on the map is the same image in both.
    return rng.permutation(everything)
