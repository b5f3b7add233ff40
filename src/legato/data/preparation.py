"""How stored rows become what a model sees, and back to what a person sees.

Covered: scaling 8-bit values to [0, 1], binarising by drawing, standardising real numbers. A run stores its preparation in
`data.json`, and every later command applies the same. Not covered: reading and cutting rows (dataset, batches).
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

Floats = NDArray[np.float32]
EVALUATION_SEED = 13126114  # published: the one draw of every evaluation picture (arXiv 1312.6114)
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

    def training(self, rows: NDArray[Any], rng: np.random.Generator) -> Floats:
        """Rows as training sees them: binarised afresh at every call."""
        if not self.binarise:
            return self._scaled(rows)
        return np.asarray(coins(rng, rows.shape) < rows, np.float32)

    def evaluation(self, rows: NDArray[Any], numbers: NDArray[np.int64]) -> Floats:
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
        two = self.kind == "binary" or (self.binarise and prepared)
        most = 1 if prepared or self.kind == "binary" else 255
        if low < 0 or high > most or (two and ((x != 0) & (x != 1)).any()):
            expected = "0 and 1" if two else f"values from 0 to {most}"
            hint = "" if self.kind == "binary" else ", or the bytes 0 … 255 as integers"
            raise Mistake(f"`x` ({x.dtype}) lies between {low:g} and {high:g}: expected {expected}{hint}")

    def restore(self, x: NDArray[Any]) -> Floats:
        """The inverse of scaling: decoded values in the data's own units; pixels stay in [0, 1] (for pictures)."""
        if self.kind != "reals":
            return np.asarray(x, np.float32)
        shift, scale = (np.asarray(v, np.float32) for v in (self.shift, self.scale))
        return np.asarray(x * scale + shift, np.float32)

    def original(self, rows: NDArray[Any]) -> Floats:
        """Rows as a person knows them: grey levels in [0, 1] even where the model sees drawn bits; reals in their own units."""
        return np.asarray(rows / np.float32(255) if self.kind == "bytes" else rows, np.float32)

    def checksum(self, rows: NDArray[Any], numbers: NDArray[np.int64]) -> str:
        """BLAKE2b of the packed evaluation bits of these rows: two machines that print the same evaluate the same pixels."""
        digest = hashlib.blake2b(digest_size=16)
        for start in range(0, len(numbers), BLOCK):
            some = numbers[start : start + BLOCK]
            digest.update(np.packbits(self.evaluation(rows[some], some).astype(bool)).tobytes())
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """What `data.json` keeps."""
        return {**asdict(self), "evaluation_seed": EVALUATION_SEED if self.binarise else None}

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Preparation:
        """The inverse of `to_json`."""
        return Preparation(stored["kind"], stored["binarise"], tuple(stored["shift"]), tuple(stored["scale"]))

    def _scaled(self, rows: NDArray[Any]) -> Floats:
        if self.kind == "bytes":
            return np.asarray(np.multiply(rows, np.float32(1 / 255), dtype=np.float32))
        if self.kind == "binary":
            return np.asarray(rows, np.float32)
        shift, scale = (np.asarray(v) for v in (self.shift, self.scale))
        return np.asarray((rows - shift) / scale, np.float32)


def prepare(kind: Kind, likelihood: str, rows: NDArray[Any], training: NDArray[np.int64]) -> Preparation:
    """The preparation that a likelihood needs. Real numbers are standardised by the training rows: per column in a table,
    by one shift and scale in images, whose pixels share a unit.
    """
    if kind != "reals":
        return Preparation(kind, binarise=kind == "bytes" and likelihood == "bernoulli")
    shift, scale = _moments(rows, training)
    return Preparation(kind, shift=tuple(map(float, shift)), scale=tuple(map(float, scale)))


def coins(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Independent draws, uniform on {0, …, 254}: `coins < v` is true with probability v/255 exactly, for any byte v.

    Raw 64-bit words give eight bytes each; the one value too many, 255, is drawn again. Four times as fast as
    `Generator.integers(0, 255)`, which pays a bounds check per byte; at batch 128 that was a tenth of a training step.
    """
    size = math.prod(shape)
    drawn = rng.bit_generator.random_raw(-(-size // 8)).view(np.uint8)[:size]
    again = np.flatnonzero(drawn == 255)
    while len(again):
        drawn[again] = rng.bit_generator.random_raw(len(again)).astype(np.uint8)  # the low byte of a word each
        again = again[drawn[again] == 255]
    return drawn.reshape(shape)


def _moments(rows: NDArray[Any], training: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
    deviation = np.sqrt(np.maximum(square / count - shifted * shifted, 0))
    return np.atleast_1d(first + shifted), np.atleast_1d(np.where(deviation > 0, deviation, 1.0))


def _noise(block: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    rng = np.random.Generator(np.random.PCG64([EVALUATION_SEED, block]))
    return coins(rng, (BLOCK, *shape))
