"""Models side by side in one figure: the map of each, and below it strips of pictures, the same for all.

Covered: up to three models with equally many strips, a line of words above each strip that spans the figure. Not covered: maps
with named axes (maps.py), sheets of samples (panels.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image

from legato.errors import Mistake
from legato.pictures import GAP, grid
from legato.report import style
from legato.report.maps import LatentMap, draw_map, in_short
from legato.report.panels import place_image
from legato.types import Floats

# inches: a map's side, its numbers' room, the rest; set by hand, so that strips are exactly as wide as maps
BOX, LEFT, RIGHT = 3.25, 0.42, 0.13
TICKS, WORDS = 0.36, 0.36  # inches below a map, and of a line of words


@dataclass(frozen=True)
class Wing:
    """One model: its map, and a strip (T, C, H, W) in [0, 1] for each line of words."""

    map: LatentMap
    strips: Sequence[Floats]


def triptych(wings: Sequence[Wing], words: Sequence[str]) -> Figure:
    """The maps above, then for each of `words` that line and a strip of every model."""
    if not 1 <= len(wings) <= 3 or any(len(wing.strips) != len(words) for wing in wings):
        raise Mistake(f"a figure shows 1 to 3 models, each with {len(words)} strips, got {[len(w.strips) for w in wings]}")
    sheets = [[_strip(images) for images in wing.strips] for wing in wings]
    heights = [max(line[i].height for line in sheets) / style.DPI for i in range(len(words))]
    notes = [in_short(wing.map) for wing in wings]
    top = style.heading_height([wing.map.title for wing in wings], notes, BOX)
    width = len(wings) * (LEFT + BOX + RIGHT)
    height = top + BOX + TICKS + sum(heights) + WORDS * len(words) + 0.1
    with style.styled():
        figure = style.blank(width, height)
        for i, (wing, note) in enumerate(zip(wings, notes, strict=True)):
            left = i * (LEFT + BOX + RIGHT) + LEFT
            axes = figure.add_axes((left / width, 1 - (top + BOX) / height, BOX / width, BOX / height))
            draw_map(axes, wing.map)
            style.heading(axes, wing.map.title, note, BOX)
            _hang(figure, sheets[i], heights, left, top + BOX + TICKS)
        _write(figure, words, heights, top + BOX + TICKS)
    return figure


def _strip(images: Floats) -> Image.Image:
    """The images in a row as wide as a map: enlarged by a whole number, or reduced where it must be."""
    # In whole pixels, as a strip is placed pixel on pixel below its map.
    most = round(BOX * style.DPI)
    natural = grid(images, columns=len(images), gap=0, scale=1)
    sheet = grid(images, columns=len(images), scale=max(1, (most - GAP * (len(images) - 1)) // natural.width))
    if sheet.width <= most:
        return sheet
    return sheet.resize((most, max(1, round(sheet.height * most / sheet.width))), Image.Resampling.LANCZOS)


def _hang(figure: Figure, sheets: Sequence[Image.Image], heights: Sequence[float], left: float, top: float) -> None:
    """A model's strips below each other, each below its line of words."""
    for sheet, tall in zip(sheets, heights, strict=True):
        top += WORDS
        place_image(figure, sheet, (left * style.DPI, top * style.DPI))
        top += tall


def _write(figure: Figure, words: Sequence[str], heights: Sequence[float], top: float) -> None:
    width, height = (float(side) for side in figure.get_size_inches())
    for line, tall in zip(words, heights, strict=True):
        y = 1 - (top + WORDS - 0.1) / height
        figure.text(LEFT / width, y, line, fontsize=style.TEXT, color=style.INK, ha="left", va="baseline")
        top += WORDS + tall
