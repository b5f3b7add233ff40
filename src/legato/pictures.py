"""Images as files and as sheets of images: bytes, grids, labelled strips, PNG, GIF.

Covered: arrays of images in [0, 1] made into pictures that a person would like to look at, written whole or not at all.
Not covered: figures with axes (`report/`), reading pictures (`data/`), and deciding which images to show.
"""

from __future__ import annotations

import importlib.util
import math
import textwrap
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from legato.errors import Mistake
from legato.files import whole_file
from legato.types import Bytes, Floats

GAP = 2  # pixels between tiles: a hairline
TILE, SHEET = 96, 1280  # the sizes that small images are enlarged to, at most: one tile's side, the whole sheet's
LABEL_WIDTH = 30  # characters, after which a label is wrapped: a long name must not push the pictures off the screen
MARGIN = 10  # pixels to the left and right of a label, which touches neither the edge nor the pictures
PAPER, INK, FAINT = 255, 34, 110  # grey levels; FAINT on PAPER has a contrast of 5 : 1
END_HOLD = 8  # a pendulum rests this many frames' time at either end, so that the two images can be seen
FASTEST = 20  # milliseconds: browsers show a GIF that asks for less at 100 ms a frame


def to_bytes(images: Floats) -> Bytes:
    """Images (N, C, H, W) in [0, 1] as bytes (N, H, W, C'), clipped and rounded to the nearest of 256 levels.

    C' is C where a picture file has such channels: 1 (grey), 3 (RGB), 4 (RGBA). Any other number has no colour of its own,
    and any choice of three would hide the rest: such an image becomes a near-square mosaic of its channels in grey, in
    reading order, C' = 1.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not np.issubdtype(images.dtype, np.floating) or 0 in images.shape[1:]:
        raise Mistake(f"`images` must be floats of shape (N, C, H, W) in [0, 1], got {images.dtype} {images.shape}")
    if broken := int((~np.isfinite(images).all(axis=(1, 2, 3))).sum()):
        raise Mistake(f"{broken} of {len(images)} images hold values that are not finite: the model that made them diverged")
    if images.shape[1] not in (1, 3, 4):
        images = _mosaic(images)
    scaled = np.rint(np.clip(images, 0.0, 1.0) * 255.0)  # a cast alone would cut, and darken by half a level
    return np.ascontiguousarray(scaled.astype(np.uint8).transpose(0, 2, 3, 1))


def to_pillow(images: Floats, *, scale: int = 1) -> list[Image.Image]:
    """Each image as a Pillow image ("L" or "RGB", transparency on white), enlarged `scale` times by nearest neighbour."""
    tiles = _on_paper(to_bytes(images)).repeat(scale, axis=1).repeat(scale, axis=2)
    return [Image.fromarray(tile[..., 0] if tile.shape[-1] == 1 else tile) for tile in tiles]


def grid(images: Floats, *, columns: int | None = None, gap: int = GAP, scale: int | None = None) -> Image.Image:
    """Images (N, C, H, W) in reading order on white; near-square, and enlarged by a whole number, unless told otherwise.

    The tile in row r and column c has its corner at ((W·scale + gap)·c, (H·scale + gap)·r).
    """
    if len(images) == 0:
        raise Mistake("there are no images to draw: `images` is empty")
    columns = columns or near_square(len(images))
    tiles = to_pillow(images, scale=scale or enlargement(images, columns))
    width, height = (side + gap for side in tiles[0].size)
    rows = -(-len(tiles) // columns)
    sheet = Image.new(tiles[0].mode, (width * min(columns, len(tiles)) - gap, height * rows - gap), "white")
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (width * (i % columns), height * (i // columns)))
    return sheet


def strips(rows: Sequence[tuple[str, Floats]], *, gap: int = GAP, scale: int | None = None) -> Image.Image:
    """One row of images per (label, images), the label to the left; further lines of a label are printed fainter.

    All images have one shape; rows may differ in length.
    """
    shapes = {np.shape(images)[1:] for _, images in rows}
    if len(shapes) != 1 or not all(len(images) for _, images in rows):
        raise Mistake(f"strips need at least one row, no empty row and images of one shape, got {sorted(shapes)}")
    scale = scale or enlargement(rows[0][1], max(len(images) for _, images in rows))
    lines = [grid(images, columns=len(images), gap=gap, scale=scale) for _, images in rows]
    labels = [_label(text) for text, _ in rows]
    left = max(label.width for label in labels) + 2 * MARGIN
    heights = [max(label.height, line.height) for label, line in zip(labels, lines, strict=True)]
    mode = "RGB" if any(line.mode == "RGB" for line in lines) else "L"
    sheet = Image.new(mode, (left + max(line.width for line in lines), sum(heights) + gap * (len(lines) - 1)), "white")
    top = 0
    for label, line, height in zip(labels, lines, heights, strict=True):
        sheet.paste(label, (MARGIN, top + (height - label.height) // 2))
        sheet.paste(line, (left, top + (height - line.height) // 2))
        top += height + gap
    return sheet


def near_square(count: int) -> int:
    """The columns of a near-square sheet of `count` tiles: ⌈√count⌉, so that it is never taller than wide."""
    return math.isqrt(max(count - 1, 0)) + 1  # in whole numbers: a root in floats may miss a square


def enlargement(images: Floats, columns: int) -> int:
    """The whole number, 1 or more, that brings a tile near TILE pixels while `columns` of them stay within SHEET."""
    channels, height, width = (int(side) for side in np.shape(images)[1:])
    if channels not in (1, 3, 4):
        across = near_square(channels)
        height, width = height * -(-channels // across), width * across
    return max(1, min(TILE // max(height, width), SHEET // (width * columns)))


def save_png(image: Image.Image, path: str | Path) -> Path:
    """Writes the image as PNG, whole or not at all; makes the folders above it."""
    path = _named(path, ".png")
    with whole_file(path) as file:
        image.save(file, "PNG", optimize=True)
    return path


def png_of(image: Image.Image) -> bytes:
    """The image as the bytes of a PNG."""
    with BytesIO() as file:
        image.save(file, "PNG", optimize=True)
        return file.getvalue()


def save_gif(frames: Sequence[Image.Image], path: str | Path, *, milliseconds: int = 60, pendulum: bool = True) -> Path:
    """Writes an endless animation, whole or not at all; a pendulum goes there and back (0 … n−1 … 1) and rests at both ends."""
    path = _named(path, ".gif")
    if not frames:
        raise Mistake("there are no frames to animate: `frames` is empty")
    if milliseconds < FASTEST:
        raise Mistake(f"`milliseconds` must be at least {FASTEST}, which is as fast as browsers play a GIF, got {milliseconds}")
    order = list(range(len(frames)))
    durations = [milliseconds] * len(frames)
    if pendulum and len(frames) > 1:
        durations[0] = durations[-1] = END_HOLD * milliseconds
        order += order[-2:0:-1]
    first, *rest = [frames[i] for i in order]
    with whole_file(path) as file:
        first.save(file, "GIF", save_all=True, append_images=rest, duration=[durations[i] for i in order], loop=0)
    return path


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans, which has the Greek letters that Pillow's own font lacks; that one where DejaVu is nowhere to be found."""
    # Matplotlib, a dependency of ours, carries it; `find_spec` finds the folder without importing the package.
    spec = importlib.util.find_spec("matplotlib")
    folder = Path(spec.origin).parent / "mpl-data/fonts/ttf" if spec and spec.origin else Path()
    for candidate in (folder / "DejaVuSans.ttf", Path("DejaVuSans.ttf")):
        try:
            return ImageFont.truetype(str(candidate), size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _named(path: str | Path, suffix: str) -> Path:
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise Mistake(f"`{path}` must end in `{suffix}`, the format that is written")
    return path


def _mosaic(images: Floats) -> Floats:
    """(N, C, H, W) → (N, 1, rows·H, columns·W): the channels as tiles, empty places white."""
    n, channels, height, width = images.shape
    columns = near_square(channels)
    rows = -(-channels // columns)
    cells = np.ones((n, rows * columns, height, width), images.dtype)
    cells[:, :channels] = images
    cells = cells.reshape(n, rows, columns, height, width).transpose(0, 1, 3, 2, 4)
    return cells.reshape(n, 1, rows * height, columns * width)


def _on_paper(tiles: Bytes) -> Bytes:
    """RGBA tiles over white; others as they are."""
    if tiles.shape[-1] != 4:
        return tiles
    colour, alpha = tiles[..., :3].astype(np.float32), tiles[..., 3:].astype(np.float32) / 255
    return np.rint(colour * alpha + PAPER * (1 - alpha)).astype(np.uint8)


def _label(text: str) -> Image.Image:
    """The text as a small grey image: first line in ink, further lines fainter, each wrapped."""
    lines = [textwrap.wrap(line, LABEL_WIDTH) for line in text.split("\n")]
    written = [(part, INK if i == 0 else FAINT) for i, line in enumerate(lines) for part in line]
    face, height = font(15), 19
    width = max((math.ceil(face.getlength(part)) for part, _ in written), default=0)
    label = Image.new("L", (width + 2, height * len(written) + 2 or 1), PAPER)
    pen = ImageDraw.Draw(label)
    for i, (part, grey) in enumerate(written):
        pen.text((0, height * i), part, fill=grey, font=face)
    return label
