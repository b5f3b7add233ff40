"""Nearest neighbours by code: an image, and beside it each model's nearest ones, those of another class framed.

Covered: a sheet for each model, a row for each image. Not covered: the share that agrees (measures/semantics.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from legato.pictures import grid
from legato.report import style
from legato.report.panels import PAD, place_image
from legato.types import Floats

OTHER = "#D55E00"  # the frame of a neighbour of another class, in a hue that every kind of eye sees (Okabe and Ito)
FRAME = 2  # pixels of an image, two of them: one would vanish where the sheet is reduced
TALL = 0.42 * style.DPI  # pixels of one image, at most
GAP = 0.22  # inches between sheets, so that neighbours of two models do not run into each other


@dataclass(frozen=True)
class Neighbours:
    """`images` (n, k, C, H, W) in [0, 1]: of each of n images the k nearest; `other` (n, k): which are of another class."""

    title: str
    images: Floats
    other: NDArray[np.bool_]
    note: str = ""


def nearest(codes: NDArray[Any], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k other codes nearest to each of `rows`, (n, k), nearest first; Euclidean, codes (N, d)."""
    flat = np.asarray(codes, np.float64).reshape(len(codes), -1)
    apart = ((flat[rows, None] - flat[None]) ** 2).sum(-1)
    apart[np.arange(len(rows)), rows] = np.inf  # no image is its own neighbour
    return np.argsort(apart, 1, kind="stable")[:, :k]  # stable: ties go by row, so that a figure repeats


def neighbour_figure(title: str, images: Floats, sheets: Sequence[Neighbours]) -> Figure:
    """The images (n, C, H, W) in a column under `title`, then each model's sheet."""
    columns = [_sheet(images[:, None], np.zeros((len(images), 1), bool)), *(_sheet(s.images, s.other) for s in sheets)]
    # a column of one small image is still as wide as its heading
    widths = [max(column.width / style.DPI, 0.62) for column in columns]
    titles, notes = [title, *(sheet.title for sheet in sheets)], ["", *(sheet.note for sheet in sheets)]
    top = max(style.heading_height([t], [n], w) for t, n, w in zip(titles, notes, widths, strict=True))
    width, height = sum(widths) + GAP * len(sheets) + 2 * PAD, top + columns[0].height / style.DPI + PAD
    with style.styled():
        figure = style.blank(width, height)
        left = PAD
        for column, words, note, wide in zip(columns, titles, notes, widths, strict=True):
            style.heading(place_image(figure, column, (left * style.DPI, top * style.DPI)), words, note, wide)
            left += wide + GAP
    return figure


def _sheet(images: Floats, other: NDArray[np.bool_]) -> Image.Image:
    """A row for each image, those of another class in their frame."""
    n, k, *shape = images.shape
    tiles = _framed(images.reshape(n * k, *shape), other.reshape(-1))
    scale = max(1, int(TALL // tiles.shape[-2]))
    sheet = grid(tiles, columns=k, scale=scale)
    tall = n * TALL
    if sheet.height <= 1.2 * tall:  # a little over is left as it is, pixel on pixel; beyond that it is reduced
        return sheet
    return sheet.resize((max(1, round(sheet.width * tall / sheet.height)), round(tall)), Image.Resampling.LANCZOS)


def _framed(images: Floats, other: NDArray[np.bool_]) -> Floats:
    """The images in colour, with room for a frame, which is drawn round those of another class alone."""
    colour = np.repeat(images, 3, 1) if images.shape[1] == 1 else images[:, :3]
    wide = np.pad(colour, ((0, 0), (0, 0), (FRAME, FRAME), (FRAME, FRAME)), constant_values=1.0)
    inner = np.zeros(wide.shape[-2:], bool)
    inner[FRAME:-FRAME, FRAME:-FRAME] = True
    wide[other] = np.where(inner, wide[other], np.array(to_rgb(OTHER)).reshape(1, 3, 1, 1))
    return wide
