"""Pictures whose factors are known: `factors`, a data set that the package draws itself.

One white to grey shape on black, by six independent factors: shape, size, angle, x, y, shade. Covered: which combinations there
are, drawing any of them at any size, and the source: 30,000 of the 331,776, each at most once, in a random order that is the
same everywhere. Not covered: colour, noise, more than one shape.

After dSprites (Matthey et al. 2017, https://github.com/google-deepmind/dsprites-dataset), with two differences. Angles stay
within a quarter turn: dSprites turns squares and ellipses full circle, so that four or two of its angles are one picture and no
encoder can tell them apart. Shapes of one size have one area: otherwise a pixel count tells the shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from legato.data import store
from legato.data.dataset import Content
from legato.data.fingerprint import fingerprint
from legato.data.options import DataOptions
from legato.data.outlines import OUTLINES
from legato.data.splits import TEST, TRAIN
from legato.data.writer import Writer
from legato.errors import Mistake
from legato.progress import progress
from legato.types import Floats, Integers


@dataclass(frozen=True)
class Factor:
    """A factor's values, in order. `ordered` is False where the order means nothing, as of shapes."""

    name: str
    unit: str
    values: tuple[str | float, ...]
    ordered: bool = True


def _even(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(round(low + (high - low) * i / (count - 1), 4) for i in range(count))


FACTORS = (
    Factor("shape", "", ("square", "ellipse", "heart"), ordered=False),
    Factor("size", "side of the square of the same area, as a share of the picture's", _even(0.14, 0.29, 6)),
    Factor("angle", "degrees, clockwise", tuple(map(float, range(0, 90, 5)))),
    Factor("x", "centre, from the left, as a share of the width", _even(0.24, 0.76, 16)),
    Factor("y", "centre, from the top, as a share of the height", _even(0.24, 0.76, 16)),
    Factor("shade", "grey level", (96.0, 149.0, 202.0, 255.0)),
)
COUNTS = tuple(len(factor.values) for factor in FACTORS)
ORDERED = tuple(factor.ordered for factor in FACTORS)
TOTAL = prod(COUNTS)
SIZE, TRAINING, HELD_OUT, TESTING = 64, 20_000, 2_000, 10_000  # of the source; HELD_OUT of TRAINING are its validation
VERSION = 1  # of everything that decides a pixel; raise it when one changes
BLOCK = 2**16  # pixels drawn at a time: their distances stay in the cache, which is twice as fast as 2¹⁹


def combinations(n: int, seed: int = 0) -> Integers:
    """n different combinations, (n, 6) positions in `FACTORS[j].values`, drawn from all with equal chance.

    The order of raw 64-bit words, which NumPy promises never to change, as it does not promise of `Generator.permutation`.
    Raises `Mistake` where n is not from 1 to 331,776.
    """
    if not 1 <= n <= TOTAL:
        raise Mistake(f"`n` is {n:,}: the factors have {TOTAL:,} combinations, so ask for 1 to {TOTAL:,}")
    order = np.argsort(np.random.PCG64(seed).random_raw(TOTAL), kind="stable")[:n]
    return np.stack(np.unravel_index(order, COUNTS), 1).astype(np.int64)


def draw(factors: Integers, size: int = SIZE) -> NDArray[np.uint8]:
    """Pictures (n, 1, size, size) of combinations (n, 6), in blocks: 10,000 of 64×64 in 1 to 2 s.

    A pixel's share of the shape is ½ minus its distance from the outline in pixels, cut to [0, 1]: edges are smooth, and a
    shape that moves or turns by less than a pixel still changes the picture.
    """
    factors = _checked(factors)
    step, drawn = max(1, BLOCK // size**2), np.empty((len(factors), 1, size, size), np.uint8)
    for at in range(0, len(factors), step):
        drawn[at : at + step, 0] = _draw(factors[at : at + step], size)
    return drawn


def _checked(factors: Integers) -> Integers:
    factors = np.asarray(factors)
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS) or factors.dtype.kind not in "iu":
        raise Mistake(f"`factors` must be integers (n, {len(FACTORS)}), got {factors.dtype} {factors.shape}")
    if ((factors < 0) | (factors >= COUNTS)).any():
        raise Mistake(f"`factors` must be positions from 0 to {[count - 1 for count in COUNTS]}, column by column")
    return factors


def values(factors: Integers) -> NDArray[np.float64]:
    """Combinations (n, 6) in their units, the shape as its position."""
    tables = [np.asarray(f.values if f.ordered else range(len(f.values)), np.float64) for f in FACTORS]
    return np.stack([table[column] for table, column in zip(tables, factors.T, strict=True)], 1)


def _draw(factors: Integers, size: int) -> NDArray[np.uint8]:
    shape, side, angle, x, y, shade = values(factors).T
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    pixel = (np.arange(size) + 0.5) / size  # centres, so that the middle of a picture is in the middle
    # in sides of the equal square, in which outlines are written
    across, down = (((pixel - centre[:, None]) / side[:, None]) for centre in (x, y))
    # Two outer sums turn the grid: u = cos·across + sin·down. In single precision, which is a 10⁻⁵ of a pixel.
    u = _outer(cosine[:, None] * across, sine[:, None] * down)
    v = _outer(-sine[:, None] * across, cosine[:, None] * down)
    distance = np.empty_like(u)
    for number, outline in enumerate(OUTLINES):
        chosen = shape == number
        distance[chosen] = outline(u[chosen], v[chosen])
    # Distances are in sides of the square; an edge is one pixel wide, whatever the size.
    share = np.clip(0.5 - distance * (side * size).astype(np.float32)[:, None, None], 0, 1)
    # + ½: a cast to bytes cuts, and this rounds
    return np.asarray(share * shade.astype(np.float32)[:, None, None] + 0.5, np.uint8)


def _outer(across: NDArray[np.float64], down: NDArray[np.float64]) -> Floats:
    return np.asarray(across.astype(np.float32)[:, None, :] + down.astype(np.float32)[:, :, None])


def name(combination: Sequence[int]) -> str:
    """The id of a row, which says its factors: `heart-5-17-0-15-3` is shape, then positions in the order of `FACTORS`."""
    return "-".join([str(FACTORS[0].values[combination[0]]), *map(str, combination[1:])])


def factors_of(ids: Sequence[str]) -> Integers:
    """The factors (n, 6) of rows by their ids: all of `dataset.ids`, or `[dataset.ids[row] for row in rows]`.

    Raises `Mistake` for the ids of another source.
    """
    shapes = {str(value): position for position, value in enumerate(FACTORS[0].values)}
    try:
        parts = [id.split("-") for id in ids]
        return _checked(np.array([[shapes[shape], *map(int, numbers)] for shape, *numbers in parts], np.int64))
    except (KeyError, ValueError) as error:
        raise Mistake("the rows are not of `factors`: only that source knows the factors of its pictures") from error


def open_factors(options: DataOptions) -> Content:
    """The source: drawn once into the store, at `options.size` if there is one. Labels are the shapes."""
    if options.channels not in ("auto", 1):
        raise Mistake("pictures of `factors` are grey: leave out --channels")
    size = options.size or SIZE
    return store.entry(fingerprint("factors", f"version {VERSION}", {"size": size}), lambda writer: _build(writer, size))


def _build(writer: Writer, size: int) -> None:
    factors = combinations(TRAINING + TESTING)
    writer.reserve(len(factors) * size**2)
    with progress("drawing factors", len(factors), unit="pictures") as bar:
        for block in np.array_split(factors, 30):
            writer.append(draw(block, size))
            bar(writer.count)
    writer.finish(
        "bytes",
        [name(row) for row in factors.tolist()],
        labels=factors[:, 0],
        label_names=tuple(map(str, FACTORS[0].values)),
        own=np.repeat(np.array([TRAIN, TEST], np.uint8), (TRAINING, TESTING)),
        notes=[f"drawn by Legato: {', '.join(f'{f.name} ({len(f.values)})' for f in FACTORS)}; ids say the factors"],
    )
