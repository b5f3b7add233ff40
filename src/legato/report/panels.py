"""Sheets of images with words beside them: samples, interpolations, reconstructions.

Covered: images of any size and channel count, small ones enlarged by a whole number so that no pixel is blurred, large ones
reduced. Not covered: maps with axes (`maps`), files of images alone (`legato.pictures`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from legato.errors import Mistake
from legato.pictures import grid, near_square, to_pillow
from legato.report import style
from legato.types import Floats

# Pixels, and inches of the words: set by hand, for images must stand pixel on pixel, which no layout of Matplotlib's keeps.
SHEET = 3.4 * style.DPI
LINE = 7.8 * style.DPI
TILE = 0.75 * style.DPI
WORDS = 1.75
PAD = 0.12  # inches around everything: figures are saved as they are, uncropped


@dataclass(frozen=True)
class SamplePanel:
    """A titled grid of images (N, C, H, W) in [0, 1]."""

    title: str
    images: Floats
    note: str = ""


@dataclass(frozen=True)
class ImageRow:
    """A row of images (T, C, H, W) in [0, 1] with words to its left."""

    title: str
    images: Floats
    note: str = ""


def cross_fade(ends: Floats, steps: int) -> ImageRow:
    """The pixels of two images (2, ...) blended in so many even steps: what a path through latent space is seen beside."""
    alphas = np.linspace(0, 1, steps).reshape(-1, *[1] * (ends.ndim - 1))
    return ImageRow("Pixel cross-fade", (1 - alphas) * ends[:1] + alphas * ends[1:])


def sample_panels(panels: Sequence[SamplePanel]) -> Figure:
    """Grids of images side by side, e.g. draws from N(0, I) through each model beside real digits."""
    count = style.counted(panels, "grids")
    sheets = [_sheet(panel.images) for panel in panels]
    box = (max(sheet.width for sheet in sheets) / style.DPI, max(sheet.height for sheet in sheets) / style.DPI)
    box = (max(box[0], 1.6), box[1])  # a heading needs room even where there is one small image
    top = style.heading_height([panel.title for panel in panels], [panel.note for panel in panels], box[0])
    with style.styled():
        figure, places = style.panel_grid(count, box, left=PAD, right=PAD, top=top, bottom=PAD)
        for axes, panel, sheet in zip(places, panels, sheets, strict=True):
            left, y, *_ = axes.get_position().bounds
            corner = (left * figure.bbox.width, (1 - y) * figure.bbox.height - box[1] * style.DPI)
            # The axes only said where: a picture has axes of its own, of exactly its pixels.
            axes.remove()
            shown = place_image(figure, sheet, corner)
            style.heading(shown, panel.title, panel.note, box[0])
    return figure


def interpolation_panel(rows: Sequence[ImageRow], alphas: Sequence[float] | None = None) -> Figure:
    """Paths from α = 0 to 1, one row each, with α below; by custom the last row is the pixel cross-fade."""
    steps = len(rows[0].images) if rows else 0
    if not rows or any(len(row.images) != steps for row in rows):
        raise Mistake(f"rows of an interpolation need equally many images, got {[len(row.images) for row in rows]}")
    values = np.linspace(0, 1, steps) if alphas is None else np.asarray(alphas)
    return _lines(rows, [style.plain(round(float(value), 3)) for value in values], "α, from the one image to the other")


def traversal_panel(rows: Sequence[ImageRow], spans: Floats) -> Figure:
    """Paths that move one dimension each, `spans` standard deviations of the training codes from their mean."""
    if not rows or any(len(row.images) != len(spans) for row in rows):
        raise Mistake(f"a traversal of {len(spans)} steps needs as many images a row, got {[len(row.images) for row in rows]}")
    ticks = [style.plain(round(float(span), 2)) for span in spans]
    return _lines(rows, ticks, "standard deviations of the training codes")


def reconstruction_panel(originals: Floats, rows: Sequence[ImageRow]) -> Figure:
    """The originals above each model's reconstruction of them."""
    if any(row.images.shape[0] != len(originals) for row in rows):
        raise Mistake(f"there are {len(originals)} originals, but {[len(row.images) for row in rows]} reconstructions")
    return _lines([ImageRow("originals", originals), *rows])


def _sheet(images: Floats) -> Image.Image:
    """A near-square grid at most SHEET across: enlarged by a whole number, or reduced where it must be."""
    columns = near_square(len(images))
    natural = grid(images, columns=columns, gap=0, scale=1)
    # A whole number: enlarged by 2.7 some pixels would be wider than others.
    sheet = grid(images, columns=columns, scale=max(1, int((SHEET - 2 * columns) // natural.width)))
    return sheet if sheet.width <= 1.2 * SHEET else sheet.resize(_within(sheet, SHEET), Image.Resampling.LANCZOS)


def _within(image: Image.Image, width: float) -> tuple[int, int]:
    return round(width), max(1, round(image.height * width / image.width))


def _tiles(rows: Sequence[ImageRow]) -> list[list[Image.Image]]:
    """Every row's images, all enlarged or reduced to one width."""
    one = [to_pillow(row.images) for row in rows]
    native = max(line[0].width for line in one)
    most = min(TILE, LINE / max(len(line) for line in one))
    scale = max(1, int(most // native))
    if native <= 1.2 * most:
        return [to_pillow(row.images, scale=scale) for row in rows]
    return [[tile.resize(_within(tile, most), Image.Resampling.LANCZOS) for tile in line] for line in one]


def _lines(rows: Sequence[ImageRow], ticks: Sequence[str] = (), axis: str = "") -> Figure:
    """Rows of images flush with each other, words on their left, ticks centred below the last row's images."""
    if empty := [row.title for row in rows if len(row.images) == 0]:
        raise Mistake(f"the row `{empty[0]}` holds no images")
    tiles, gap, dpi = _tiles(rows), 4, style.DPI
    words = [(style.wrapped(row.title, WORDS, style.TEXT), style.wrapped(row.note, WORDS, style.NOTE)) for row in rows]
    left = _column(words) + 2.5 * PAD
    line = [
        max(row[0].height / dpi, (len(title) + (len(note) if any(note) else 0)) * 0.185)
        for row, (title, note) in zip(tiles, words, strict=True)
    ]
    bottom = 0.48 if ticks else PAD
    width = left + max(len(row) * (row[0].width + gap) - gap for row in tiles) / dpi + PAD
    height = PAD + sum(line) + gap / dpi * (len(line) - 1) + bottom
    with style.styled():
        # rounded up to whole pixels, or every image would stand between two of them
        figure = style.blank(math.ceil(width * dpi) / dpi, math.ceil(height * dpi) / dpi)
        top = PAD
        for row, (title, note), tall in zip(tiles, words, line, strict=True):
            _write(figure, title, note, top + tall / 2)
            for i, tile in enumerate(row):
                place_image(figure, tile, (round(left * dpi) + i * (tile.width + gap), round(top * dpi)))
            top += tall + gap / dpi
        if ticks:
            _write_ticks(figure, ticks, axis, left, (tiles[-1][0].width + gap) / dpi, top)
    return figure


def _column(words: Sequence[tuple[list[str], list[str]]]) -> float:
    """Inches that the widest line of the words takes."""
    sizes = (style.TEXT, style.NOTE)
    return max(
        style.text_width(line, size) for pair in words for lines, size in zip(pair, sizes, strict=True) for line in lines
    )


def _write(figure: Figure, title: list[str], note: list[str], middle: float) -> None:
    """Title and note in the left column, together centred on `middle`, in inches from the top."""
    lines = [(text, style.TEXT, style.INK) for text in title]
    lines += [(text, style.NOTE, style.FAINT) for text in note if text]
    width, height = figure.get_size_inches()
    for i, (text, size, colour) in enumerate(lines):
        y = 1 - (middle + (i - (len(lines) - 1) / 2) * 0.175) / height
        figure.text(PAD / width, y, text, fontsize=size, color=colour, va="center_baseline", ha="left")


def _write_ticks(figure: Figure, ticks: Sequence[str], axis: str, left: float, step: float, top: float) -> None:
    """The ticks below their images (every other one where they would touch), and what they say."""
    width, height = figure.get_size_inches()
    widest = max(style.text_width(tick, style.NOTE) for tick in ticks)
    every = max(1, math.ceil((widest + 0.08) / step))  # every other tick, or every third: numbers that touch are read as one
    for i, tick in enumerate(ticks):
        if i % every == 0:
            x, y = (left + (i + 0.5) * step) / width, 1 - (top + 0.1) / height
            figure.text(x, y, tick, fontsize=style.NOTE, color=style.FAINT, ha="center", va="center_baseline")
    x, y = (left + len(ticks) * step / 2) / width, 1 - (top + 0.29) / height
    figure.text(x, y, axis, fontsize=style.NOTE, ha="center", va="center_baseline")


def place_image(figure: Figure, image: Image.Image, corner: tuple[float, float]) -> Any:
    """The image at that corner (pixels from the left and from the top), pixel on pixel: nothing is resampled."""
    width, height = figure.bbox.width, figure.bbox.height
    left, top = round(corner[0]), round(corner[1])
    axes = figure.add_axes((left / width, 1 - (top + image.height) / height, image.width / width, image.height / height))
    axes.imshow(np.asarray(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    return axes
