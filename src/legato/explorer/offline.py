"""A session in a file: what the explorer's map needs of one or two models of two latents, without a server.

The plane of codes is decoded on a lattice of places; between them the page cross-fades the four nearest tiles. Beside them lie
the points, four fields, and thumbnails of the first images of the map, which are the person's own. Covered: pictures and two
latents, where the plane is all of z. Not covered: tables, more latents, pictures that a person brings: `legato explore`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from legato.data.prepared import Prepared
from legato.explorer.catalogue import Catalogue
from legato.explorer.fields import Field, Grid
from legato.explorer.landscape import KINDS
from legato.explorer.models import Loader, Member
from legato.explorer.planes import Plane
from legato.explorer.points import Points
from legato.explorer.qualities import offered
from legato.explorer.session import Session
from legato.explorer.sheet import sheet
from legato.explorer.tiles import rgba
from legato.explorer.worker import finished
from legato.types import Bytes, Floats

# Bytes of all pictures, unless told: with base64's third, points, fields and script a file grows by 1.3 MB.
BUDGET = 780_000
THUMBNAILS = 0.25  # of the budget: tiles are what is dragged through, and get the rest
MEASURED, SHOWN = 6_000, 1_500  # images behind the fields, on the map: what a file need not hold is still measured
PICTURED = (1_500, 800, 400, 100, 25)  # images with a thumbnail: as many as fit
LATTICES = ((32, 64), (24, 64), (16, 64), (16, 32), (16, 16))  # tiles along a side, pixels of a tile's longer side: what fits
LARGEST, THUMBNAIL = 64, 32  # pixels of the longer side of a tile that is kept, of a thumbnail
CELLS = 48  # cells of a field's side: two bytes each, four fields, one or two models
PRIOR = 3.2  # as far as the plane reaches at least where the prior was trained for: its rings go to 3
# of the codes beyond either edge: one far code would leave all others in a spot; a rim around the rest
TAIL, MARGIN = 0.005, 1.08
Extent = tuple[float, float, float, float]


class Offline:
    """The session to one or two RUNs as JSON, titled by their folders unless told otherwise.

    After `to_json` of each model: `sides`, how many tiles stand along a side; `errors`, the largest of a pixel, of 255;
    `taken`, the bytes of all pictures. What was computed is kept, so that another `budget` costs their packing alone.
    """

    def __init__(
        self,
        runs: Sequence[Path],
        prepared: Prepared,
        load: Loader,
        *,
        module: str | None = None,
        titles: Sequence[str] = (),
        budget: int = BUDGET,
    ) -> None:
        self.titles, self.budget = titles, budget
        members = [Member(run, load, module) for run in runs]
        if prepared.one is not None:
            members = [member.of_class(prepared.classes[prepared.one]) for member in members]
        self.session = Session(members, Catalogue(prepared, MEASURED))
        self.errors: list[int] = []
        self.sides: list[int] = []
        self.taken = 0
        self._maps: dict[int, tuple[Plane, Extent, dict[str, Any]]] = {}
        self._tiles: dict[tuple[int, int], tuple[Bytes, NDArray[np.bool_]]] = {}

    def to_json(self) -> dict[str, Any]:
        """The session in JSON, as ui/src/backends/embedded.ts reads it."""
        self.errors, self.sides, self.taken = [], [], 0
        models = [self._model(model) for model in range(len(self.session.members))]
        return {"session": self._description(), "models": models, "thumbnails": self._thumbnails()}

    def _description(self) -> dict[str, Any]:
        """The session, less what only a server can answer."""
        found = finished(self.session.description())
        shown = min(SHOWN, len(self.session.catalogue.shown))
        del found["limits"]["no_umap"]  # of UMAP nothing can be asked of a file
        found["data"] |= {"shown": shown, "sampled": shown < found["data"]["rows"]}
        for model in found["models"]:
            told = [one for one in model["colours"] if one["group"] != "latents"]
            model |= {"snapshots": [], "state": "finished", "colours": told}
        # `titles` may be left out, and then folders' names stand.
        for model, title in zip(found["models"], self.titles, strict=False):
            model["title"] = title
        return found

    def _model(self, model: int) -> dict[str, Any]:
        if model not in self._maps:
            self._maps[model] = self._map(model)
        plane, extent, found = self._maps[model]
        return {**found, "atlas": self._atlas(model, plane, extent)}

    def _map(self, model: int) -> tuple[Plane, Extent, dict[str, Any]]:
        """The plane, how far it is shown, and all but the tiles."""
        plane = finished(self.session.axes(model, None, 0, 1))
        points = first(finished(self.session.points(model, None, plane)), SHOWN)
        extent = reach(points.xy, self.session.members[model].blank.prior_was_trained)
        fields = {kind: pack(finished(self.session.field(model, None, kind, plane, Grid(extent, CELLS)))) for kind in KINDS}
        found = {
            "plane": plane.to_json(),
            "extent": extent,
            "points": base64.b64encode(points.pack()).decode(),
            "fields": fields,
            "dimensions": finished(self.session.dimensions(model, None)),
            "qualities": self._qualities(model),
        }
        return plane, extent, found

    def _qualities(self, model: int) -> dict[str, str]:
        """The qualities that the shown points can be coloured by, in half floats; of latents the map's own axes tell."""
        known = [one.key for one in offered(self.session.member(model).blank, self.session.catalogue) if one.group != "latents"]
        found = {key: finished(self.session.quality(model, None, key, SHOWN)) for key in known}
        return {key: base64.b64encode(values.astype("<f2").tobytes()).decode() for key, values in found.items()}

    def _atlas(self, model: int, plane: Plane, extent: Extent) -> dict[str, Any]:
        """The tiles that fit the model's share of the budget, as many as do and as exact as then fits."""
        budget = int(self.budget * (1 - THUMBNAILS) / len(self.session.members))
        # From the finest lattice down: what is decoded for one is kept, in case another budget is asked for.
        for side, most in LATTICES:
            if (model, side) not in self._tiles:
                self._tiles[model, side] = self._decoded(model, plane.at(places(extent, side)))
            tiles, failed = self._tiles[model, side]
            found = sheet(shrunk(tiles, most), side, budget)
            if found is not None:
                self.errors.append(found.error)
                self.sides.append(side)
                self.taken += len(found.content)
                return {**found.to_json(), "rows": side, "failed": np.flatnonzero(failed).tolist()}
        raise AssertionError("a sheet of 256 tiles of 16 pixels takes less than the budget at the least quality")

    def _decoded(self, model: int, z: NDArray[np.float64]) -> tuple[Bytes, NDArray[np.bool_]]:
        """Tiles, and which of them are not finite."""
        decoded: Floats = finished(self.session.decode(model, None, z.astype(np.float32)))
        failed = np.asarray(~np.isfinite(decoded.reshape(len(decoded), -1)).all(1))
        # a hole is drawn by its number, and black pixels pack to nothing
        return small(np.where(failed[:, None, None, None], np.float32(0), decoded)), failed

    def _thumbnails(self) -> dict[str, Any]:
        """The first images of the map, as the models' data were prepared."""
        catalogue = self.session.catalogue
        for count in PICTURED:
            rows = catalogue.shown[:count]
            found = sheet(small(catalogue.prepared.seen(rows), THUMBNAIL), 32, int(self.budget * THUMBNAILS))
            if found is not None:
                self.taken += len(found.content)
                named = catalogue.named(rows)
                return {**found.to_json(), "rows": named["rows"], "ids": named["ids"]}
        raise AssertionError("25 thumbnails of 32 pixels take less than the budget at the least quality")


def first(points: Points, n: int) -> Points:
    """The first n points; their order is random, so that they are a sample."""
    parts = (points.xy, points.rows, points.off, points.covariance, points.labels)
    return Points(points.d, *(part[:n] for part in parts))  # type: ignore[arg-type]


def reach(xy: NDArray[Any], prior_was_trained: bool) -> Extent:
    """A square around all but a hundredth of the codes along each axis, and around the rings of a trained prior."""
    low, high = np.quantile(xy.astype(np.float64), [TAIL, 1 - TAIL], axis=0)
    if prior_was_trained:
        low, high = np.minimum(low, -PRIOR), np.maximum(high, PRIOR)
    # a plane of one point still has an extent
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2 * MARGIN, 1e-3)
    a, b = (float(value) for value in middle)
    return a - half, a + half, b - half, b + half


def places(extent: Extent, side: int) -> NDArray[np.float64]:
    """(a, b) of each tile, (side², 2): the first row at b0, the first and the last of each axis on the extent's edge."""
    a0, a1, b0, b1 = extent
    a, b = np.linspace(a0, a1, side), np.linspace(b0, b1, side)
    return np.stack([np.tile(a, side), np.repeat(b, side)], 1)


def small(images: Floats, most: int = LARGEST) -> Bytes:
    """Images (n, C, H, W) in [0, 1] as bytes (n, h, w, 1 or 3), at most `most` pixels to a side; grey where all are."""
    pixels = shrunk(rgba(images)[..., :3], most)  # one channel for grey: a third of the bytes
    grey = bool((pixels == pixels[..., :1]).all())
    return np.ascontiguousarray(pixels[..., :1] if grey else pixels)


def shrunk(pixels: Bytes, most: int) -> Bytes:
    """Pictures (n, h, w, 1 or 3) of at most `most` pixels to a side."""
    h, w = pixels.shape[1:3]
    share = most / max(h, w)
    if share >= 1:
        return pixels
    size = (max(1, round(w * share)), max(1, round(h * share)))
    whole = np.broadcast_to(pixels, (*pixels.shape[:3], 3))
    fewer = np.stack([np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BOX)) for each in whole])
    return fewer[..., : pixels.shape[3]]


def pack(field: Field) -> dict[str, Any]:
    """A field in two bytes a cell: 0 … 65534 from the least to the greatest finite value, 65535 where there is none."""
    finite = np.isfinite(field.values)
    known = field.values[finite].astype(np.float64)
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    share = (np.where(finite, field.values, low).astype(np.float64) - low) / ((high - low) or 1.0)
    steps = np.where(finite, np.rint(65534 * share), 65535).astype("<u2")
    h, w = field.values.shape
    threshold = float(field.threshold) if np.isfinite(field.threshold) else None
    return {
        "width": w, "height": h, "low": low, "high": high, "threshold": threshold,
        "values": base64.b64encode(steps.tobytes()).decode(),
    }  # fmt: skip
