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
MARGIN = 2  # pixels that the cover reaches beyond the figure: a bright line would be left at its edge otherwise
GREYS = "gray"  # the colour map of pictures; any other one stands for numbers, and is turned over like a line


def pictures(figure: Figure) -> list[Box]:
    """The boxes in which the figure shows pictures."""
    return [_box(figure, axes) for axes in figure.axes if any(_is_picture(image) for image in axes.images)]


def cover(boxes: Sequence[Box]) -> str:
    """A CSS polygon over all but the boxes; it goes to each from the corner and back, so that no way shows.

    The cover reaches 2 pixels beyond the figure on every side, and the figure's frame cuts it off there: browsers put a
    picture's edge on whole pixels, and a cover's on others, so that a bright line would be left.
    """
    # The outline ends where it began, and `evenodd` makes holes of the boxes.
    ways = ["0 0, 100% 0, 100% 100%, 0 100%, 0 0"]
    for left, top, right, bottom in boxes:
        corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
        ways.append(", ".join(f"{_along(x)} {_along(y)}" for x, y in corners) + ", 0 0")
    return f"polygon(evenodd, {', '.join(ways)})"


def _along(share: float) -> str:
    """A place of the figure as one of the cover, which is wider by both margins."""
    return f"calc({100 * share:.3f}% + {MARGIN * (1 - 2 * share):.3f}px)"


def _is_picture(image: AxesImage) -> bool:
    values = image.get_array()
    return values is not None and (values.ndim == 3 or image.get_cmap().name == GREYS)


def _box(figure: Figure, axes: Axes) -> Box:
    """The axes' own frame: pictures fill it, and are cut off at it. Drawn first, since an equal aspect moves it then."""
    axes.apply_aspect()
    place = axes.get_position()
    return place.x0, 1 - place.y1, place.x1, 1 - place.y0
