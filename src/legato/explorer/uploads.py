"""A picture that a person brings, made into a row of the run's source: decoded safely, cut and resized as its pictures were.

Covered: png, jpeg, gif, bmp, tiff, webp and pnm of at most 64 megapixels and 192 MB, counted before anything is decoded; the
memory is given back. Not covered: runs of tables and of real numbers, for which a picture's bytes mean nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from legato.data.dataset import Dataset
from legato.data.pictures import MODES, PictureForm, Unreadable, decode, weight
from legato.devices import release_memory
from legato.errors import Mistake

MOST = 192_000_000  # bytes when decoded, 64 megapixels of three colours: a file of kilobytes may claim gigabytes
HALF = 128  # a byte from here on is a 1, where the source holds 0 and 1


def as_row(content: bytes, dataset: Dataset) -> NDArray[Any]:
    """The picture as a row of this source, (1, C, H, W). Raises `Mistake` where it cannot be one."""
    shape = dataset.shape
    if len(shape) != 3 or shape[0] not in MODES or dataset.kind == "reals":
        raise Mistake(f"a picture cannot be a row of `{dataset.source}`: it holds {dataset.kind} of shape {shape}")
    channels, height, width = shape
    options = dataset.options
    form = PictureForm(channels, height if height == width else None, options.crop, options.background)
    row = _fitted(_pixels(content, form), height, width)[None]
    return (row >= HALF).astype(np.uint8) if dataset.kind == "binary" else row


def _pixels(content: bytes, form: PictureForm) -> NDArray[np.uint8]:
    try:
        size = weight(content)  # told by its header, before anything is decoded
        if size > MOST:
            raise Mistake(f"this picture takes {size:,} bytes when it is decoded, at most {MOST:,} are: give a smaller one")
        return decode(content, form).pixels
    except Unreadable as error:
        raise Mistake(f"this picture cannot be read: {error}; give a PNG, JPEG, WebP, GIF, BMP or TIFF") from None
    except Warning as warning:  # where warnings are errors: Pillow warns of odd tags and large pictures
        raise Mistake(f"this picture cannot be read: {warning}; give another") from None
    finally:
        release_memory()  # decoding takes several times a picture's size, and the C library would keep it for the next one


def _fitted(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(C, h, w) cut and resized to (C, height, width): squares are that already."""
    if pixels.shape[1:] == (height, width):
        return pixels
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    # LANCZOS, and cut to the middle as the source's own pictures were
    fitted = np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))
    return fitted[None] if fitted.ndim == 2 else fitted.transpose(2, 0, 1)
