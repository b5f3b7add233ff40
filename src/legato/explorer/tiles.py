"""Decoded examples as bytes: RGBA as `pictures` draws them, or a table's rows of numbers.

Covered: one example for the socket, many for `POST ./decode`; examples that are not finite, which are told and never drawn.
Not covered: decoding (session.py).
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from legato.explorer.frames import RGBA, VALUES, Picture
from legato.pictures import to_pillow
from legato.types import Floats

HEADER = struct.Struct("<IHHBBH")  # n, w, h, c, fmt, 0: 12 bytes, so that the f32 behind the flags are aligned
NOT_FINITE = "the decoder gives no finite number here"


def rgba(images: Floats) -> NDArray[np.uint8]:
    """Images (n, C, H, W) in [0, 1] as bytes (n, H', W', 4): grey repeated, transparency on white, other channels a mosaic."""
    return np.stack([np.asarray(tile.convert("RGBA")) for tile in to_pillow(images)])


def drawn(decoded: Floats) -> Picture:
    """One decoded example (1, *shape) as a picture, an error where it is not finite."""
    if not np.isfinite(decoded).all():
        return Picture.error(NOT_FINITE)
    if decoded.ndim == 2:
        return Picture(VALUES, 1, decoded.shape[1], 1, decoded.astype("<f4").tobytes())
    pixels = rgba(decoded)[0]
    return Picture(RGBA, 4, pixels.shape[1], pixels.shape[0], pixels.tobytes())


def thumbnails(images: Floats, most: int) -> bytes:
    """Pictures (n, C, H, W) in [0, 1] as `packed` tells them, none larger than `most` pixels to a side."""
    # A picture that is not finite is drawn black rather than not: the others keep their places.
    whole = np.where(np.isfinite(images), images, np.float32(0))
    pictures = [tile.convert("RGBA") for tile in to_pillow(whole)]
    share = min(1.0, most / max(pictures[0].size))
    # at least a pixel: a strip may be a hundred times as long as it is high
    w, h = (max(1, round(side * share)) for side in pictures[0].size)
    pixels = [np.asarray(one if share == 1 else one.resize((w, h), Image.Resampling.BOX)).tobytes() for one in pictures]
    # flags of 0 and padding to 4 bytes, as of `packed`, which the page reads by the same code
    return HEADER.pack(len(pictures), w, h, 4, RGBA, 0) + bytes(len(pictures) + -len(pictures) % 4) + b"".join(pixels)


def packed(decoded: Floats) -> bytes:
    """Decoded examples (n, *shape): header, a flag for each (1: not finite, then zero), padded to 4 bytes, payload."""
    failed = ~np.isfinite(decoded.reshape(len(decoded), -1)).all(1)
    # Zeros in its place: a NaN would be cast to whatever byte the platform makes of it.
    whole = np.where(failed.reshape(-1, *[1] * (decoded.ndim - 1)), np.float32(0), decoded)
    flags = failed.astype(np.uint8).tobytes() + bytes(-len(decoded) % 4)
    if decoded.ndim == 2:
        return HEADER.pack(len(decoded), decoded.shape[1], 1, 1, VALUES, 0) + flags + whole.astype("<f4").tobytes()
    pixels = rgba(whole)
    pixels[failed] = 0  # and transparent: RGBA of 0 shows nothing
    return HEADER.pack(len(pixels), pixels.shape[2], pixels.shape[1], 4, RGBA, 0) + flags + pixels.tobytes()
