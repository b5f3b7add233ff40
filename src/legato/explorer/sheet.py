"""Many pictures in one, small enough to lie in a file: for the tiles and thumbnails of a report (offline.py).

Covered: the least lossy of a ladder that fits a budget, and how far its pixels are from the originals. Not covered: which
pictures, and where a sheet goes.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from legato.types import Bytes

LEVELS = (1, 3, 5)  # of 255: every n-th level is kept, which is at most n/2 away, and packs better the fewer there are
QUALITIES = (90, 75, 60, 40)  # of a lossy file, from hardly visible down to coarse: the first that fits is taken
AFFORDABLE = 4_000_000  # values of a sheet that is tried without loss: more takes seconds, and would hardly fit


@dataclass(frozen=True, eq=False)
class Sheet:
    """`count` pictures of one size, `columns` in a row, in reading order. `error`: the largest of a pixel, of 255."""

    content: bytes
    kind: str
    columns: int
    width: int
    height: int
    error: int

    @property
    def address(self) -> str:
        """The sheet as a data address."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.content).decode()}"  # base64: a data address is text

    def to_json(self) -> dict[str, Any]:
        """The sheet in JSON, as the page reads it."""
        return {"image": self.address, "columns": self.columns, "width": self.width, "height": self.height}


def sheet(pictures: Bytes, columns: int, budget: int) -> Sheet | None:
    """Pictures (n, h, w, 1 or 3) side by side in at most `budget` bytes; None where no step of the ladder fits."""
    whole = _joined(pictures, columns)
    ladder: list[tuple[Bytes, dict[str, Any]]] = []
    if whole.size <= AFFORDABLE:
        ladder += [(_levels(whole, step), {"lossless": True, "quality": 60, "method": 4}) for step in LEVELS]
    ladder += [(whole, {"quality": quality, "method": 4}) for quality in QUALITIES]
    # From the least lossy on: what fits first is the best that fits.
    for pixels, options in ladder:
        content = _saved(pixels, options)
        if len(content) <= budget:
            h, w = pictures.shape[1:3]
            return Sheet(content, "webp", columns, w, h, _error(content, whole))
    return None


def _joined(pictures: Bytes, columns: int) -> Bytes:
    n, h, w, c = pictures.shape
    rows = -(-n // columns)
    padded = np.zeros((rows * columns, h, w, c), np.uint8)
    padded[:n] = pictures
    return np.ascontiguousarray(padded.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c))


def _levels(pixels: Bytes, step: int) -> Bytes:
    """The nearest multiple of `step`; 255 is one of 1, 3 and 5."""
    # In 16 bits: 255 + 2 would wrap around in a byte.
    return np.asarray((pixels.astype(np.uint16) + step // 2) // step * step, np.uint8)


def _saved(pixels: Bytes, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    # three channels of equal grey: WebP has no grey mode
    Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy()).save(buffer, "webp", **options)
    return buffer.getvalue()


def _error(content: bytes, whole: Bytes) -> int:
    # From the file itself: what a codec does is not to be predicted.
    shown = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int16)
    return int(np.abs(shown - whole).max())
