"""Preparation: how stored rows become what a model sees, and back to what a person sees.

Covered: scaling 8-bit values to [0, 1], binarising by drawing, standardising real numbers, leaving counts as they are. A run
stores its preparation in `data.json`, and every later command applies the same. Not covered: reading and cutting rows (dataset,
batches).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.setting import Kind
from legato.types import Floats, RowArray, Rows, Shape, Singles

Units = NDArray[np.floating[Any]]  # float32, or float64 where values in their own units need it
EVALUATION_SEED = 13126114  # published: the one draw of every evaluation picture (arXiv 1312.6114)
FINE = 16.0  # scales from 0 up to which float32 resolves a decoded value as finely as the network does, to 10⁻⁶ of a scale
TINY = 1e-37  # of a scale: below this float32 has fewer digits
BEYOND = 1e6  # standard deviations from the training mean at which a row is to blame for what is not finite, and not the model
BLOCK = 1024  # rows whose evaluation noise is drawn together, so that a row's draw depends on its number and nothing else


@dataclass(frozen=True)
class Preparation:
    """x = (row − shift) / scale; or, with `binarise`, x ~ Bernoulli(row/255), one coin per pixel.

    Drawing (not thresholding at ½, which is another, easier data set) makes grey pixels the probabilities of a binary image:
    Salakhutdinov & Murray 2008. u < row with u uniform on {0, …, 254} is that coin exactly, without a float.
    """

    kind: Kind
    binarise: bool = False
    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    range: tuple[float, float] | None = None
    """The range of pictures of real numbers: the smallest and largest value of training, shown as black and white."""
    means: tuple[float, ...] = ()
    """Of counts, each column's mean over the training rows, at which a likelihood begins; they are not scaled by it."""

    def training(
        self, rows: NDArray[Any], rng: np.random.Generator, among: tuple[int, NDArray[np.int64]] | None = None
    ) -> Singles:
        """Rows as training sees them: binarised afresh at every call.

        `among`: these are a process's rows of so many, at these places. Coins are tossed for all, so that a row's are the same.
        """
        if not self.binarise:
            return self._scaled(rows)
        if among is None or among[0] == len(rows):
            return np.asarray(uniform_bytes(rng, rows.shape) < rows, np.float32)
        return np.asarray(uniform_bytes(rng, (among[0], *rows.shape[1:]))[among[1]] < rows, np.float32)

    def given(self, x: NDArray[Any], shape: Shape, numbers: Rows | None = None) -> Floats:
        """x (N, *shape) as a model sees it: as a source stores it, or of 8-bit data floats that are prepared already.

        `numbers`: the examples' row numbers (default 0, 1, …). Raises `Mistake` for another shape.
        """
        if x.shape[1:] != shape:
            if shape[0] != 1 or x.shape[1:] != shape[1:]:
                raise Mistake(f"`x` must have shape (N, {', '.join(map(str, shape))}), got {x.shape}")
            x = x[:, None]  # grey pictures may lack their axis of channels
        ready = self.kind not in ("reals", "counts") and np.issubdtype(x.dtype, np.floating)
        self.check(x, ready)
        return np.asarray(x, np.float32) if ready else self.evaluation(x, np.arange(len(x)) if numbers is None else numbers)

    def stored(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows as a card keeps them: bytes where a value is one, else scaled, since their own digits may exceed float32's."""
        return np.ascontiguousarray(rows, np.uint8) if self.kind in ("bytes", "binary") else self._scaled(rows)

    def evaluation(self, rows: NDArray[Any], numbers: NDArray[np.int64]) -> Singles:
        """Rows as every evaluation sees them: row number n is binarised by one draw, the same whatever it is batched with."""
        if not self.binarise:
            return self._scaled(rows)
        drawn = np.empty(rows.shape, np.uint8)
        for block in np.unique(numbers // BLOCK):
            noise = _noise(int(block), rows.shape[1:])
            here = numbers // BLOCK == block
            drawn[here] = noise[numbers[here] % BLOCK]
        return np.asarray(drawn < rows, np.float32)

    def check(self, x: NDArray[Any], prepared: bool) -> None:
        """Raises `Mistake` for what cannot be such rows, or such rows `prepared`: NaN, grey levels beyond their range."""
        low, high = x.min(initial=0), x.max(initial=0)
        if not np.isfinite([low, high]).all():
            raise Mistake("`x` holds NaN or infinite values: fill them in, or leave those examples out")
        if self.kind == "reals":
            return
        if self.kind == "counts":
            if low < 0 or (np.trunc(x) != x).any():
                raise Mistake(f"`x` ({x.dtype}) lies between {low:g} and {high:g}: expected counts, whole numbers from 0 on")
            return
        two = self.kind == "binary" or (self.binarise and prepared)
        most = 1 if prepared or self.kind == "binary" else 255
        if low < 0 or high > most or (two and ((x != 0) & (x != 1)).any()):
            expected = "0 and 1" if two else f"values from 0 to {most}"
            hint = "" if self.kind == "binary" else ", or the bytes 0 … 255 as integers"
            raise Mistake(f"`x` ({x.dtype}) lies between {low:g} and {high:g}: expected {expected}{hint}")

    def log_volume(self, shape: Shape) -> float:
        """log |d row / d x| of an example of this shape, nats: log p(row) = log p(x) − this, where p is a density."""
        if self.kind == "reals":
            return math.prod(shape) / len(self.scale) * sum(map(math.log, self.scale))
        return math.prod(shape) * math.log(255) if self.kind == "bytes" and not self.binarise else 0.0

    @property
    def offset(self) -> bool:
        """True where float32 would round digits away and values come as float64: far from 0 (seconds since 1970), or tiny."""
        return any(abs(shift) > FINE * scale or scale < TINY for shift, scale in zip(self.shift, self.scale, strict=True))

    def restore(self, x: NDArray[Any]) -> Units:
        """The inverse of scaling: decoded values in the data's own units, float64 where `offset`; pixels stay in [0, 1]."""
        if self.kind != "reals":
            return np.asarray(x, np.float32)
        dtype = np.float64 if self.offset else np.float32
        shift, scale = (np.asarray(v, dtype) for v in (self.shift, self.scale))
        return np.asarray(x * scale + shift, dtype)

    def original(self, rows: NDArray[Any]) -> Units:
        """Rows as a person knows them: grey levels in [0, 1] even where the model sees drawn bits; reals in their own units."""
        if self.kind == "bytes":
            return np.asarray(rows / np.float32(255), np.float32)
        exact = rows.dtype.kind == "f" or np.can_cast(rows.dtype, np.float32)
        return np.asarray(rows, np.float64 if self.kind in ("reals", "counts") and (self.offset or not exact) else np.float32)

    @property
    def screen(self) -> tuple[float, float]:
        """The values that a picture shows as black and white: 0 and 1, or the training range of reals that leave [0, 1]."""
        low, high = self.range or (0.0, 1.0)
        return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high if high > low else low + 1)

    def seen(self, images: NDArray[Any]) -> Units:
        """Pictures in the data's own units as they are shown: `screen` to [0, 1]. A table's rows stay what they are."""
        low, high = self.screen
        return images if (low, high) == (0, 1) else np.asarray((images - low) / (high - low), np.float32)

    def checksum(self, rows: RowArray, numbers: NDArray[np.int64]) -> str:
        """BLAKE2b of the packed evaluation bits of these rows: two machines that print the same evaluate the same pixels."""
        digest = hashlib.blake2b(digest_size=16)
        for start in range(0, len(numbers), BLOCK):
            some = numbers[start : start + BLOCK]
            digest.update(np.packbits(self.evaluation(rows[some], some).astype(bool)).tobytes())
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The preparation as `data.json` keeps it."""
        said = {**asdict(self), "evaluation_seed": EVALUATION_SEED if self.binarise else None}
        return said if self.means else {name: value for name, value in said.items() if name != "means"}

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Preparation:
        """The inverse of `to_json`."""
        seen = stored.get("range")  # runs made before it was kept show real numbers as they did: from 0 to 1
        return Preparation(
            stored["kind"],
            stored["binarise"],
            tuple(stored["shift"]),
            tuple(stored["scale"]),
            seen and (seen[0], seen[1]),
            tuple(stored.get("means", ())),
        )

    def _scaled(self, rows: NDArray[Any]) -> Singles:
        if self.kind == "bytes":
            # one product, straight into float32, with no copy between
            return np.asarray(np.multiply(rows, np.float32(1 / 255), dtype=np.float32))
        if self.kind in ("binary", "counts"):
            return np.asarray(rows, np.float32)
        shift, scale = (np.asarray(v) for v in (self.shift, self.scale))
        with np.errstate(over="ignore"):  # such a row is far `beyond`, and named where its figures are none
            return np.asarray((rows - shift) / scale, np.float32)


def beyond(prepared: NDArray[Any]) -> NDArray[np.bool_]:
    """True for examples (n, *data) so far from the training data that it is no wonder if float32 has no number for them."""
    return np.asarray(np.abs(prepared.reshape(len(prepared), -1)).max(1, initial=0) > BEYOND)


def refuse_beyond(prepared: Floats, codes: Floats, rows: Rows | None = None) -> None:
    """Raises `Mistake` where a row has no finite code, (N, d), because it lies too far out; `rows`: their numbers."""
    if len(far := np.flatnonzero(~np.isfinite(codes).all(1) & beyond(prepared))):
        row = far[0] if rows is None else rows[far[0]]
        raise Mistake(
            f"row {row} lies {np.abs(prepared[far[0]]).max():.0e} standard deviations from the training data, too far for a "
            "code in single precision: leave it out (`score` gives it -inf)"
        )


def prepare(kind: Kind, likelihood: str, rows: RowArray, training: NDArray[np.int64]) -> Preparation:
    """The preparation that a likelihood needs. Real numbers are standardised by the training rows: per column in a table,
    by one shift and scale in images, whose pixels share a unit. Counts are what their likelihoods read.
    """
    if kind == "counts":
        return Preparation(kind, means=tuple(map(float, _moments(rows, training)[0])))
    if kind != "reals":  # scaled by what a byte can hold, not by what it does: runs on other pictures see the same units
        return Preparation(kind, binarise=kind == "bytes" and likelihood == "bernoulli")
    with np.errstate(over="ignore", invalid="ignore"):  # of what is refused in the next line
        shift, scale = _moments(rows, training)
    if not (np.isfinite(shift).all() and np.isfinite(scale).all()):
        column = int(np.flatnonzero(~np.isfinite(shift + scale))[0])
        raise Mistake(
            f"the spread of {f'column {column}' if rows.ndim == 2 else 'the pictures'} is beyond what 64-bit numbers hold: "
            "rescale the values, or leave out those that are no measurements"
        )
    seen = None if rows.ndim == 2 else _range(rows, training)
    return Preparation(kind, shift=tuple(map(float, shift)), scale=tuple(map(float, scale)), range=seen)


def uniform_bytes(rng: np.random.Generator, shape: Shape) -> NDArray[np.uint8]:
    """Independent draws, uniform on {0, …, 254}: `uniform_bytes(…) < v` is true with probability v/255 exactly, for any byte v.

    Raw 64-bit words give eight bytes each; the one value too many, 255, is drawn again. Four times as fast as
    `Generator.integers(0, 255)`, which pays a bounds check per byte; at batch 128 that was a tenth of a training step.
    """
    size = math.prod(shape)
    drawn = rng.bit_generator.random_raw(-(-size // 8)).view(np.uint8)[:size]
    again = np.flatnonzero(drawn == 255)
    while len(again):
        # the low byte of a word each: one in 256 is drawn again, and the rest is no loss
        drawn[again] = rng.bit_generator.random_raw(len(again)).astype(np.uint8)
        again = again[drawn[again] == 255]
    return drawn.reshape(shape)


def _moments(rows: RowArray, training: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation over the training rows, in blocks: memory stays flat in the number of rows."""
    axes = 0 if rows.ndim == 2 else None
    count, total, square = 0, np.zeros(1), np.zeros(1)
    first = rows[training[:1]].astype(np.float64).mean(axes)  # shifting by one example keeps the squares from cancelling
    for start in range(0, len(training), BLOCK):
        block = rows[training[start : start + BLOCK]].astype(np.float64) - first
        count += len(block) if rows.ndim == 2 else block.size
        total = total + block.sum(axes)
        square = square + (block * block).sum(axes)
    shifted = total / count
    deviation = np.sqrt(np.maximum(square / count - shifted * shifted, 0))  # rounding may leave less than 0
    # a constant is shifted alone: its deviation of 0 can divide nothing
    return np.atleast_1d(first + shifted), np.atleast_1d(np.where(deviation == 0, 1.0, deviation))


def _range(rows: RowArray, training: NDArray[np.int64]) -> tuple[float, float]:
    """Smallest and largest value of the training rows."""
    some = (rows[training[start : start + BLOCK]] for start in range(0, len(training), BLOCK))
    extremes = [(float(block.min()), float(block.max())) for block in some]
    return min(low for low, _ in extremes), max(high for _, high in extremes)


def _noise(block: int, shape: Shape) -> NDArray[np.uint8]:
    rng = np.random.Generator(np.random.PCG64([EVALUATION_SEED, block]))  # by name: the published checksum outlives defaults
    return uniform_bytes(rng, (BLOCK, *shape))
