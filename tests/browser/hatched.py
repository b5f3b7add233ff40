"""The map of holes as it must look, by Python's own re-encoding errors: colours, and hatching where they pass the threshold.

Nothing here depends on what a model has learnt, or on the chip that it learnt on: the picture is predicted pixel by pixel.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from browser.opened import Opened
from legato.latent_space import LatentSpace
from legato.types import Doubles

SIDE, OPAQUE = 512, 235 / 255  # texels along a side of the picture under the map; how much of the ground it covers
MARGIN = 0.05  # of the map's sides, by which the picture reaches past them
CIVIDIS = (mpl.colormaps["cividis"](np.arange(256))[:, :3] * 255).round()
FREE = 5  # pixels from a dot: what shows no dot
INK, MANY = 30, 40  # levels that a stroke changes the colour by, at least; places that a median is of, at least


@dataclass(frozen=True)
class Expected:
    """What is to be seen at some pixels of a shot, (n, 3): without hatching, and hatched everywhere; and what is seen."""

    error: Doubles  # (n,), between the cells' centres
    plain: Doubles
    stroked: Doubles
    seen: Doubles
    threshold: float
    of_cells: tuple[Doubles, Doubles]  # the server's values (h, w), and Python's

    def hatching(self, chosen: NDArray[np.bool_]) -> float:
        """How much of its ink a place shows where a stroke would lie, the median of some: 1 where all is hatched, else 0."""
        ink, found = ((picture - self.plain)[chosen] for picture in (self.stroked, self.seen))
        under = np.abs(ink).max(1) > INK
        assert under.sum() > MANY, f"{under.sum()} places are too few to judge by"
        return float(np.median((ink * found)[under].sum(1) / np.square(ink)[under].sum(1)))

    def off(self) -> float:
        """The median over pixels of how many of 255 levels their colour is off, the strokes as they should be drawn."""
        due = np.where(self.error[:, None] > self.threshold, self.stroked, self.plain)
        return float(np.median(np.abs(self.seen - due).max(1)))


def look_as_they_must(holes: Expected) -> None:
    """Asserts that cells, colours and hatching are as Python's errors say; at the threshold itself either is right."""
    told, own = holes.of_cells
    np.testing.assert_allclose(told, own, rtol=2e-3)  # the server's products may be rounded in another order
    assert holes.off() < 4
    for near, hatched in ((holes.error > 1.02 * holes.threshold, 1), (holes.error < 0.98 * holes.threshold, 0)):
        assert abs(holes.hatching(near) - hatched) < 0.1


def errors(space: LatentSpace, z: NDArray[Any], noise: Doubles) -> Doubles:
    """√ of the mean over dimensions of ((encode(decode(z)) − z) / mean σ)²."""
    again = space.posterior(space.decode_prepared(z.astype(np.float32)))[0]
    return np.asarray(np.sqrt((np.square(again - z) / noise).mean(1)), np.float64)


def holes(page: Opened, space: LatentSpace, mu: Doubles, noise: Doubles) -> Expected:
    """Shows the holes of a page's first map, and predicts it at its pixels without a dot."""
    asked: list[tuple[str, str]] = []
    page.page.on("request", lambda one: one.url.endswith("/field") and asked.append((one.url, one.post_data or "")))
    ground = np.median(page.still_map()[..., :3].reshape(-1, 3), 0)
    page.page.keyboard.press("h")
    page.until("__app.state().background === 'holes'")
    page.eventually(lambda: "64²" in page.by_id("legend-0").inner_text(), "the finest field")
    url, body = next((url, body) for url, body in reversed(asked) if json.loads(body)["size"] == 64)
    told = page.page.request.post(url, data=body).body()
    (w, h), threshold, extent = struct.unpack_from("<II", told), *struct.unpack_from("<f", told, 16), json.loads(body)["extent"]
    values = errors(space, centres(extent, w, h), noise).reshape(h, w)
    spots, rows, columns = free_pixels(page, mu)
    x, y = shares(page, spots)
    plain, stroked = (OPAQUE * picture + (1 - OPAQUE) * ground for picture in predicted(values, x, y))
    seen = page.still_map()[rows, columns, :3].astype(float)
    of_cells = np.frombuffer(told, "<f4", w * h, 24).reshape(h, w), values
    return Expected(between(values, x, y), plain, stroked, seen, threshold, of_cells)


def shares(page: Opened, spots: Doubles) -> tuple[Doubles, Doubles]:
    """How far places of the window lie along the field, from its first column and row; it reaches past the map."""
    box = page.by_id("map-0").locator("canvas").first.bounding_box()
    assert box
    x, y = ((spots[:, i] - box["xy"[i]]) / box[side] for i, side in enumerate(("width", "height")))
    return (x + MARGIN) / (1 + 2 * MARGIN), (1 - y + MARGIN) / (1 + 2 * MARGIN)


def centres(extent: list[float], w: int, h: int) -> Doubles:
    """(h·w, 2), the first row at b0."""
    a0, a1, b0, b1 = extent
    a, b = a0 + (np.arange(w) + 0.5) / w * (a1 - a0), b0 + (np.arange(h) + 0.5) / h * (b1 - b0)
    return np.stack([np.tile(a, h), np.repeat(b, w)], 1)


def free_pixels(page: Opened, mu: Doubles) -> tuple[Doubles, NDArray[np.intp], NDArray[np.intp]]:
    """Pixels' middles in the window, and where they lie in a shot, away from dots, the cursor and the map's edges."""
    box = page.map_box()
    marks = np.concatenate([page.places(mu), [page.place(*page.cursor())]])
    columns, rows = (
        side.ravel() for side in np.meshgrid(np.arange(20, int(box["width"]) - 60), np.arange(60, int(box["height"]) - 60))
    )
    spots = np.stack([columns, rows], 1) + 0.5 + np.round((box["x"], box["y"]))
    free = cKDTree(marks).query(spots)[0] > FREE
    return spots[free], rows[free], columns[free]


def predicted(values: Doubles, x: Doubles, y: Doubles) -> list[Doubles]:
    """The picture at places of the field by its definition, without strokes and with strokes everywhere, (n, 3) each: cividis
    from the least to the greatest value, a fifth of all diagonals inked, 512 texels a side, and between these as they are.
    """
    texels = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).reshape(-1, 2)
    field = between(values, (texels[:, 0] + 0.5) / SIDE, 1 - (texels[:, 1] + 0.5) / SIDE)
    plain = CIVIDIS[np.round(255 * (field - values.min()) / (values.max() - values.min())).astype(int)]
    ink = np.where(plain[:, :2].sum(1) > 255, 0, 255)[:, None]
    stroked = np.where(texels.sum(1)[:, None] % 10 < 2, 0.45 * plain + 0.55 * ink, plain)
    sides = (picture.reshape(SIDE, SIDE, 3) for picture in (plain, stroked))
    return [np.stack([between(side[..., c], x, 1 - y) for c in range(3)], 1) for side in sides]


def between(values: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """Bilinear between cells' centres; x and y in 0 … 1 from the first row."""
    h, w = values.shape
    return np.asarray(map_coordinates(values, np.stack([y * h - 0.5, x * w - 0.5]), order=1, mode="nearest"))
