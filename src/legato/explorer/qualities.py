"""Qualities that a map's points can be coloured by: a number, or one of some classes, for each shown image.

Covered: what the source says (split, brightness, columns of a table), and what a model makes of each image (how well it is
rebuilt, what its code costs, how wide its cloud is, how far out it lies, each latent). Not covered: labels, which come with the
points; estimates with intervals (measures/).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from legato.data.preparation import BLOCK
from legato.explorer.catalogue import Catalogue
from legato.explorer.codes import Codes
from legato.explorer.landscape import DECODED, raw
from legato.explorer.worker import Slices
from legato.latent_space import LatentSpace
from legato.measures.collapse import divergence
from legato.types import Floats

Group = Literal["data", "model", "latents"]
SPLITS = ("train", "validation", "test")
MOST = 64  # latents, and columns, that are offered
READ = 256  # rows read in one slice: a cursor waits for no more
ERROR, RATE, WIDTH, FAR, SPLIT, BRIGHTNESS = "error", "rate", "width", "far", "split", "brightness"


@dataclass(frozen=True)
class Quality:
    """A property of every image: its name, its unit, and the names of its classes where it is no number."""

    key: str
    name: str
    unit: str
    group: Group
    classes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The quality in JSON, as a page is told of it."""
        return {
            "key": self.key,
            "name": self.name,
            "unit": self.unit,
            "group": self.group,
            "classes": list(self.classes) or None,
        }


def offered(space: LatentSpace, catalogue: Catalogue) -> list[Quality]:
    """The qualities that these images have under this model: none of clouds for points, none of cost for a free code."""
    return [*_of_data(catalogue), *_of_model(space, catalogue), *_latents(space)]


def _of_data(catalogue: Catalogue) -> list[Quality]:
    found = [Quality(SPLIT, "split", "", "data", SPLITS)]
    data = catalogue.dataset
    if len(data.shape) == 3:
        return [*found, Quality(BRIGHTNESS, "brightness", "mean of 0 … 1", "data")]
    names = data.columns or tuple(f"column {j}" for j in range(data.shape[0]))
    return found + [Quality(f"column{j}", name, "as in the source", "data") for j, name in enumerate(names[:MOST])]


def _of_model(space: LatentSpace, catalogue: Catalogue) -> list[Quality]:
    unit = "RMS, of 0 … 1" if len(catalogue.dataset.shape) == 3 else "RMS, in deviations of the columns"
    found = [Quality(ERROR, "reconstruction error", unit, "model")]
    if space.has_width and space.prior_was_trained and space.has_standard_prior:
        found.append(Quality(RATE, "what the code costs (KL)", "nats", "model"))
    if space.has_width:
        found.append(Quality(WIDTH, "width of the cloud", "σ, geometric mean", "model"))
    return [*found, Quality(FAR, "distance from the mean code", "deviations of the codes", "model")]


def _latents(space: LatentSpace) -> list[Quality]:
    return [Quality(f"z{j}", f"z{j}", "μ of the code", "latents") for j in range(min(space.latent_dim, MOST))]


def of_codes(key: str, codes: Codes) -> Floats | None:
    """The values that the codes alone tell, (n,); None where they do not."""
    if key.startswith("z"):
        return codes.mu[:, int(key[1:])]
    known: dict[str, Callable[[], NDArray[Any]]] = {
        RATE: lambda: divergence(codes.mu.astype(np.float64), codes.sigma.astype(np.float64)).sum(1),
        # Of a width that has shrunk to 0 in single precision the logarithm is kept finite: 10⁻³⁰ is narrower than any.
        WIDTH: lambda: np.exp(np.log(np.maximum(codes.sigma, 1e-30)).mean(1, dtype=np.float64)),
        FAR: lambda: np.sqrt(np.square(codes.white).sum(1, dtype=np.float64)),
    }
    return np.asarray(known[key](), np.float32) if key in known else None


def of_rows(key: str, space: LatentSpace, catalogue: Catalogue, codes: Codes, most: int) -> Slices[Floats]:
    """The values for which rows have to be read, of the first `most` on the map; NaN where no finite number is decoded."""
    shown = catalogue.shown[:most]
    if key == SPLIT:
        return _splits(catalogue, shown)
    found = np.empty(len(shown), np.float32)
    for part in _parts(shown, DECODED if key == ERROR else READ):
        rows = shown[part]
        found[part] = _errors(space, catalogue, rows, codes.mu[part]) if key == ERROR else _read(key, catalogue, rows)
        yield
    return found


def _parts(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Places of the rows in the order of the source, which lies on disk, `size` at a time and never over two blocks."""
    order = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.diff(rows[order] // BLOCK, prepend=-1))[1:]
    # never over two blocks: binarised pixels are drawn for whole blocks
    return [block[at : at + size] for block in np.split(order, starts) for at in range(0, len(block), size)]


def _errors(space: LatentSpace, catalogue: Catalogue, rows: NDArray[np.int64], mu: Floats) -> NDArray[Any]:
    """Root mean square between each image and what its code's mean decodes to: pictures as seen, rows as standardised."""
    decoded = raw(space, mu)
    if len(catalogue.dataset.shape) == 3:
        own, other = catalogue.prepared.seen(rows), space.preparation.seen(space.preparation.restore(decoded))
    else:
        own, other = catalogue.prepared.rows(rows), decoded
    # in double precision: bytes and singles of a difference lose digits where it is small
    squares = np.square(own.astype(np.float64) - other).reshape(len(rows), -1)
    return np.asarray(np.sqrt(squares.mean(1)))


def _read(key: str, catalogue: Catalogue, rows: NDArray[np.int64]) -> NDArray[Any]:
    seen = catalogue.prepared.seen(rows)
    return seen.reshape(len(rows), -1).mean(1) if key == BRIGHTNESS else seen[:, int(key.removeprefix("column"))]


def _splits(catalogue: Catalogue, rows: NDArray[np.int64]) -> Floats:
    found = np.full(len(rows), -1, np.float32)
    for number, name in enumerate(SPLITS):
        found[np.isin(rows, catalogue.dataset.splits[name].all())] = number
    return found
