"""Maps of a latent plane: where the codes lie, how wide their posteriors are, and what each place decodes to.

Covered: two latent dimensions at axis scale, every panel with its own limits. A posterior's cloud is drawn as the ellipse of
one standard deviation in the axes' own units, so that overlap on paper is overlap in latent space.
Not covered: choosing a plane in more dimensions, densities, holes (the explorer's).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.pictures import to_bytes
from legato.report import style
from legato.report.labels import classes_of, known, label_medians
from legato.types import Floats

CLOUDS = 400  # posteriors drawn: more hide each other
RINGS = (1, 2, 3)  # standard deviations of the prior, of which the outermost holds 99 % of its draws in the plane
BOX = 3.2  # inches, square: a unit of latent space must be as long on one axis as on the other
WIDE = BOX + 0.1  # inches that a heading may take: a little over the map's edge still belongs to it
AXIS = "z{} (latent units)"


@dataclass(frozen=True)
class LatentMap:
    """One model's codes: `mu` (N, 2), `sigma` (N, 2) or None for points, `labels` (N,) or None; `prior` draws its rings.

    `label_names[k]` names class k; a negative label is no label. `dims` are the dimensions on the axes.
    """

    title: str
    mu: Floats
    sigma: Floats | None = None
    labels: NDArray[Any] | None = None
    label_names: Sequence[str] | None = None
    prior: bool = False
    dims: tuple[int, int] = (0, 1)


@dataclass(frozen=True)
class DecodedPlane:
    """One model's decoded lattice: `images` (rows, columns, C, H, W) in [0, 1], decoded at even steps over `extent`.

    `images[i, j]` is decoded at z0 = x0 + j·(x1 − x0)/(columns − 1), z1 = y0 + i·(y1 − y0)/(rows − 1) for
    `extent` = (x0, x1, y0, y1): the first row is the lowest.
    """

    title: str
    images: Floats
    extent: tuple[float, float, float, float]
    note: str = ""
    dims: tuple[int, int] = (0, 1)


def decoded_plane(
    title: str, decode: Callable[[Floats], Floats], steps: int, codes: Floats | None = None, dims: tuple[int, int] = (0, 1)
) -> DecodedPlane:
    """A plane of two latents decoded at even steps: a square around the middle 98 % of `codes` (N, 2); without them, ±3."""
    x0, x1, y0, y1 = extent = (-3.0, 3.0, -3.0, 3.0) if codes is None else _square_around(codes)
    places = np.stack(np.meshgrid(np.linspace(x0, x1, steps), np.linspace(y0, y1, steps)), -1).reshape(-1, 2)
    images = decode(places.astype(np.float32))
    return DecodedPlane(title, images.reshape(steps, steps, *images.shape[1:]), extent, dims=dims)


def _square_around(codes: Floats) -> tuple[float, float, float, float]:
    low, high = np.quantile(codes, [0.01, 0.99], axis=0)  # quantiles, since one far code would shrink the rest to a spot
    centre, half = (low + high) / 2, float((high - low).max()) / 2 or 1.0
    # all codes in one place: a square of side 0 cannot be drawn
    return (centre[0] - half, centre[0] + half, centre[1] - half, centre[1] + half)


def latent_maps(panels: Sequence[LatentMap]) -> Figure:
    """The maps side by side: all codes as dots, up to CLOUDS posteriors as 1σ ellipses, the prior's rings where it has one."""
    style.counted(panels, "maps")
    drawn = [_clouds(panel) for panel in panels]
    halves = [_limits(panel, chosen) for panel, chosen in zip(panels, drawn, strict=True)]
    notes = [_note(panel, chosen, half) for panel, chosen, (_, half) in zip(panels, drawn, halves, strict=True)]
    top = style.heading_height([panel.title for panel in panels], notes, WIDE)
    with style.styled():
        figure, places = style.panel_grid(len(panels), (BOX, BOX), left=0.66, top=top)
        for axes, panel, chosen, (centre, half), note in zip(places, panels, drawn, halves, notes, strict=True):
            square_frame(axes, centre, half, panel.dims)
            style.heading(axes, panel.title, note, WIDE)
            _draw_map(axes, panel, chosen, half)
    return figure


def draw_map(axes: Axes, panel: LatentMap) -> None:
    """One map on axes of somebody else's figure, without names beside them."""
    chosen = _clouds(panel)
    centre, half = _limits(panel, chosen)
    square_frame(axes, centre, half, panel.dims)
    axes.set(xlabel="", ylabel="")
    _draw_map(axes, panel, chosen, half)


def in_short(panel: LatentMap) -> str:
    """The kind of codes on this map, and how far they reach."""
    _, half = _limits(panel, _clouds(panel))
    across = f"{style.plain(2 * half)} units across"
    if panel.sigma is None:
        return f"every code a point, {across}"
    return f"clouds smaller than a dot, {across}" if _invisible(panel.sigma, half) else f"every code a cloud, {across}"


def decoded_planes(panels: Sequence[DecodedPlane]) -> Figure:
    """The planes side by side, each decoded image standing where it was decoded, with ticks in latent units."""
    style.counted(panels, "planes")
    top = style.heading_height([panel.title for panel in panels], [panel.note for panel in panels], WIDE)
    with style.styled():
        figure, places = style.panel_grid(len(panels), (BOX, BOX), left=0.66, top=top)
        for axes, panel in zip(places, panels, strict=True):
            sheet, edges = _lattice(panel)
            axes.imshow(sheet, extent=edges, cmap="gray", vmin=0, vmax=255, aspect="equal")
            name_axes(axes, panel.dims)
            style.heading(axes, panel.title, panel.note, WIDE)
    return figure


def _clouds(panel: LatentMap) -> NDArray[np.intp]:
    """The rows of the posteriors that are drawn: a seeded draw, the same whenever the panel is drawn."""
    for name, values in (("mu", panel.mu), ("sigma", panel.sigma)):
        if values is not None and (values.shape != (len(panel.mu), 2) or not len(values) or not np.isfinite(values).all()):
            raise Mistake(f"the map of `{panel.title}` needs a finite `{name}` of shape (N, 2), got {values.shape}")
    if panel.sigma is None:
        return np.empty(0, np.intp)
    return np.random.default_rng(0).permutation(len(panel.mu))[:CLOUDS]


def _limits(panel: LatentMap, chosen: NDArray[np.intp]) -> tuple[tuple[float, float], float]:
    """The centre and half the side of the smallest square around all that is drawn, with a margin."""
    corners = [panel.mu]
    if panel.sigma is not None:
        # the clouds' edges too: one that is cut off would look narrower than it is
        corners += [panel.mu[chosen] - panel.sigma[chosen], panel.mu[chosen] + panel.sigma[chosen]]
    if panel.prior:
        corners.append(np.array([[-1.0, -1.0], [1.0, 1.0]]) * max(RINGS))
    low, high = np.min([c.min(0) for c in corners], 0), np.max([c.max(0) for c in corners], 0)
    half = float((high - low).max()) / 2
    return (float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2), (half or 1.0) * 1.05


def _note(panel: LatentMap, chosen: NDArray[np.intp], half: float) -> str:
    """The panel's note: counts, the scale, and where clouds are too small to be seen, how small."""
    words = f"{len(panel.mu):,} codes · {style.plain(2 * half)} units across"
    if panel.labels is not None and (rest := style.class_colours(panel.labels[known(panel.labels)])[1]):
        words += f" · {rest} classes grey"
    if panel.sigma is None:
        return f"{words}\ncodes are points: there are no clouds"
    width = f"σ = {style.plain(_width(panel.sigma))} (geometric mean)"
    if _invisible(panel.sigma, half):
        return f"{words}\n{width}: clouds smaller than a dot"
    return f"{words}\n{len(chosen)} clouds of 1σ, {width}"


def _width(sigma: Floats) -> float:
    """The one average of σ that reports use, over images and dimensions."""
    # in double precision: logarithms of 10⁵ numbers are summed
    return float(np.exp(np.log(np.asarray(sigma, np.float64)).mean()))


def _dot(n: int, clouds: bool) -> float:
    """A dot's diameter in points: smaller where there are many, and where it must not hide its own cloud."""
    return float(np.interp(np.log10(n), [2, 3, 4], [4.5, 3.0, 1.9])) * (0.6 if clouds else 1.0)


def _invisible(sigma: Floats, half: float) -> bool:
    # In points on paper, as a dot is: what is smaller than a dot cannot be seen beside it.
    return _width(sigma) / half * BOX * 72 < _dot(len(sigma), clouds=True)


def square_frame(axes: Axes, centre: tuple[float, float], half: float, dims: tuple[int, int] = (0, 1)) -> None:
    """A square of latent space, with a faint grid behind all that is drawn."""
    axes.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half), aspect="equal")
    axes.set_axisbelow(True)
    axes.grid(color="#eeeeee", linewidth=0.6)
    name_axes(axes, dims)


def name_axes(axes: Axes, dims: tuple[int, int] = (0, 1)) -> None:
    """The dimensions' numbers and units, and few ticks."""
    axes.set(xlabel=AXIS.format(dims[0]), ylabel=AXIS.format(dims[1]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(7, steps=(1, 2, 5, 10)))
        axis.set_major_formatter(FuncFormatter(style.plain))


def draw_rings(axes: Axes, mu: Floats, names: Floats, half: float) -> None:
    """The prior's rings, each named where it crosses a ray on which it hides neither codes `mu` nor classes' `names`."""
    angle = _quiet_angle(mu, names, half)
    halo = [withStroke(linewidth=2.5, foreground="white")]
    for ring in RINGS:
        axes.add_patch(Circle((0, 0), ring, fill=False, linestyle=(0, (4, 2.5)), linewidth=0.9, edgecolor=style.INK, zorder=4))
        words = f"prior {ring}σ" if ring == max(RINGS) else f"{ring}σ"
        place = (ring * np.cos(angle), ring * np.sin(angle))
        axes.annotate(words, place, fontsize=style.NOTE, ha="center", va="center", path_effects=halo, zorder=5)


def _draw_map(axes: Axes, panel: LatentMap, chosen: NDArray[np.intp], half: float) -> None:
    colours, classes = classes_of(panel.labels, panel.label_names, len(panel.mu))
    clouds = panel.sigma is not None and not _invisible(panel.sigma, half)
    # In a shuffled order, since the class drawn last would otherwise seem to lie over all others.
    order = np.random.default_rng(1).permutation(len(panel.mu))
    alpha = float(np.interp(np.log10(len(order)), [2, 4, 5], [0.9, 0.45, 0.15]))
    dots = panel.mu[order]
    axes.scatter(dots[:, 0], dots[:, 1], s=_dot(len(order), clouds) ** 2, c=colours[order], alpha=alpha, linewidths=0, zorder=2)
    if clouds and panel.sigma is not None:
        _draw_clouds(axes, panel.mu[chosen], panel.sigma[chosen], colours[chosen, :3])
    names = label_medians(axes, panel.mu, panel.labels, classes)
    if panel.prior:
        draw_rings(axes, panel.mu, names, half)


def _draw_clouds(axes: Axes, mu: Floats, sigma: Floats, colours: Floats) -> None:
    """One standard deviation to either side: an ellipse is 2σ wide, in the data's units."""
    # How many clouds lie over a typical place: where many do, each is fainter, or they would merge into one blot.
    spread = np.sqrt(mu.var(0) + (sigma**2).mean(0))
    depth = max(1.0, float(sigma.prod(1).sum() / (4 * spread.prod() + 1e-12)))  # a plane without any width would divide by 0
    axes.add_collection(
        EllipseCollection(
            2 * sigma[:, 0],
            2 * sigma[:, 1],
            np.zeros(len(mu)),
            units="xy",
            offsets=mu,
            # in the data's units and not in points: overlap on paper is then overlap in latent space
            offset_transform=axes.transData,
            facecolors=[(*colour, 0.22 / depth**0.6) for colour in colours],
            edgecolors=[(*colour, 0.9 / depth**0.4) for colour in colours * 0.62],
            linewidths=0.5,
            zorder=3,
        ),
        autolim=False,
    )


def _quiet_angle(mu: Floats, names: Floats, half: float) -> float:
    """The direction in which the rings' names cover no class's name and the fewest codes.

    Near the diagonals only, where the square has room for them.
    """
    # The corners, where a square has room beyond the rings; the turns let a name step aside.
    angles = np.deg2rad([quarter + turn for quarter in (45, 315, 135, 225) for turn in (0, -12, 12)])
    places = np.stack([np.cos(angles), np.sin(angles)], -1)[:, None] * np.array(RINGS)[:, None]

    def covered(points: Floats, width: float, height: float) -> NDArray[np.intp]:
        near = np.abs(points - places[:, :, None]) < (width * half, height * half)
        return np.asarray(near.all(-1).sum(axis=(1, 2)), np.intp)

    # a name covered is worse than all codes covered
    return float(angles[np.argmin(covered(mu, 0.11, 0.06) + len(mu) * covered(names, 0.22, 0.1))])


def _lattice(panel: DecodedPlane) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """The images as one sheet, the first row lowest, and its edges: half a step beyond the outermost codes."""
    rows, columns = panel.images.shape[:2]
    tiles = to_bytes(panel.images.reshape(-1, *panel.images.shape[2:]))
    # Turned over, since an image's first row is its highest.
    height, width, channels = tiles.shape[1:]
    sheet = tiles.reshape(rows, columns, height, width, channels)[::-1].transpose(0, 2, 1, 3, 4)
    sheet = sheet.reshape(rows * height, columns * width, channels)
    x0, x1, y0, y1 = panel.extent
    half_x, half_y = (x1 - x0) / max(columns - 1, 1) / 2, (y1 - y0) / max(rows - 1, 1) / 2
    edges = (x0 - half_x, x1 + half_x, y0 - half_y, y1 + half_y)
    return sheet[..., 0] if channels == 1 else sheet, edges
