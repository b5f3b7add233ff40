"""A path of images as the bytes of a GIF."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.pictures import save_gif, to_pillow

SIDE = 256  # pixels that small images are enlarged to: a browser shows a GIF of 28 pixels at 28 pixels


def animated(images: NDArray[Any]) -> bytes:
    """Images (n, C, H, W), there and back. Raises `Mistake` for rows of a table, and where one is not finite."""
    if images.ndim != 4:
        raise Mistake("an animation needs images, and this run is of a table")
    frames = to_pillow(images, scale=max(1, SIDE // max(np.shape(images)[-2:])))
    # Through a file, as `save_gif` writes whole files or none: the folder goes with the block.
    with TemporaryDirectory() as folder:
        return save_gif(frames, Path(folder) / "path.gif").read_bytes()
