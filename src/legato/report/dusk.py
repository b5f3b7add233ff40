"""Figures on a dark page: the same pixels, lightness turned over where lines and words are, pictures left as they are.

A figure is drawn once, dark on white. Over it lies a cover that a browser in dark mode sees it through: white becomes nearly
black, ink nearly white, hues stay. The cover has a hole for each picture, since a digit turned over is another digit.
Covered: where a figure's pictures are, and the cover's outline. Not covered: the cover's look (report.html.j2).
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the figure from its upper left corner
GREYS = "gray"  # the colour map of pictures; any other one stands for numbers, and is turned over like a line


def pictures(figure: Figure) -> list[Box]:
    """Where the figure shows pictures."""
    return [_box(figure, axes) for axes in figure.axes if any(_is_picture(image) for image in axes.images)]


def cover(boxes: Sequence[Box]) -> str:
    """A CSS polygon over all but the boxes; it goes to each from the corner and back, so that no way shows."""
    ways = ["0 0, 100% 0, 100% 100%, 0 100%, 0 0"]
    for left, top, right, bottom in boxes:
        corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
        ways.append(", ".join(f"{100 * x:.3f}% {100 * y:.3f}%" for x, y in corners) + ", 0 0")
    return f"polygon(evenodd, {', '.join(ways)})"


def _is_picture(image: AxesImage) -> bool:
    values = image.get_array()
    return values is not None and (values.ndim == 3 or image.get_cmap().name == GREYS)


def _box(figure: Figure, axes: Axes) -> Box:
    """The axes' own frame: pictures fill it, and are cut off at it. Drawn first, since an equal aspect moves it then."""
    axes.apply_aspect()
    place = axes.get_position()
    return place.x0, 1 - place.y1, place.x1, 1 - place.y0
