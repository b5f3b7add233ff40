"""Holes of a latent plane: log q̂(z) behind the codes, and the contour below which a place counts as one.

Covered: two latent dimensions, a density given on a lattice. Not covered: the density and its threshold (`legato.measures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from legato.errors import Mistake
from legato.report import style
from legato.report.maps import BOX, WIDE, draw_rings, name_axes
from legato.types import Floats

HOLE, HATCH = "#D55E00", "#e9a983"
DEPTH = 12.0  # nats below t_a at which the ground is white: what lies deeper is as good as never drawn
# One hue, dark where codes are likely: lightness alone carries the order, for every kind of eye and on grey paper.
GROUND = LinearSegmentedColormap.from_list("ground", ["#ffffff", "#dbe9f4", "#8fbfe0", "#3d84b8", "#0b4a7d"])
KEY = 0.3  # inches above the panels for what the line and the hatching mean
BAR = 0.62  # inches to the right of every panel for its scale: each panel has one of its own


@dataclass(frozen=True)
class HolesPanel:
    """One model: `log_q` (rows, columns), log q̂(z) in nats on even steps over `extent` = (x0, x1, y0, y1), first row lowest.

    `threshold` t_a is the a-quantile of log q̂ at draws from q(z|x) of held-out x; `codes` (N, 2) are drawn as dots, `prior`
    draws its rings. `note` says the share of the prior's draws that fall into holes.
    """

    title: str
    log_q: Floats
    extent: tuple[float, float, float, float]
    threshold: float
    codes: Floats
    prior: bool = True
    note: str = ""
    dims: tuple[int, int] = (0, 1)


def holes_map(panels: Sequence[HolesPanel]) -> Figure:
    """The panels side by side, each with its own scale of log q̂: densities in different latent units do not compare."""
    style.counted(panels, "maps")
    for panel in panels:
        _check(panel)
    top = style.heading_height([panel.title for panel in panels], [panel.note for panel in panels], WIDE) + KEY
    with style.styled():
        figure, places = style.panel_grid(len(panels), (BOX, BOX), left=0.66, right=BAR + 0.2, top=top)
        for axes, panel in zip(places, panels, strict=True):
            _draw(axes, panel)
            style.heading(axes, panel.title, panel.note, WIDE)
        _draw_key(figure)
    return figure


def _check(panel: HolesPanel) -> None:
    if panel.log_q.ndim != 2 or min(panel.log_q.shape) < 2 or np.isnan(panel.log_q).any():
        raise Mistake(f"the holes of `{panel.title}` need log q̂ on a lattice of 2 × 2 or more, got {panel.log_q.shape}")
    if panel.codes.ndim != 2 or panel.codes.shape[1] != 2 or not np.isfinite(panel.codes).all():
        raise Mistake(f"the holes of `{panel.title}` need finite `codes` of shape (N, 2), got {panel.codes.shape}")
    if not np.isfinite(panel.threshold):
        raise Mistake(f"the holes of `{panel.title}` need a finite threshold, got {panel.threshold}")


def _draw(axes: Axes, panel: HolesPanel) -> None:
    x0, x1, y0, y1 = panel.extent
    rows, columns = panel.log_q.shape
    # a pixel is centred on where it was measured, so that the sheet reaches half a step farther
    half_x, half_y = (x1 - x0) / (columns - 1) / 2, (y1 - y0) / (rows - 1) / 2
    edges = (x0 - half_x, x1 + half_x, y0 - half_y, y1 + half_y)
    low, high = panel.threshold - DEPTH, max(float(panel.log_q.max()), panel.threshold + 1)
    shown = np.clip(panel.log_q, low, high)  # clipped: a few very low places would take the whole scale
    look: dict[str, Any] = {"origin": "lower", "cmap": GROUND, "interpolation": "bilinear", "zorder": 1}
    image = axes.imshow(shown, extent=edges, vmin=low, vmax=high, **look)
    _draw_holes(axes, panel, np.linspace(x0, x1, columns), np.linspace(y0, y1, rows))
    inside = (panel.codes[:, 0] >= x0) & (panel.codes[:, 0] <= x1) & (panel.codes[:, 1] >= y0) & (panel.codes[:, 1] <= y1)
    dots = panel.codes[inside]
    axes.scatter(dots[:, 0], dots[:, 1], s=1.6, c=style.INK, alpha=0.35, linewidths=0, zorder=3)
    axes.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal")
    name_axes(axes, panel.dims)
    if panel.prior:
        draw_rings(axes, dots, np.empty((0, 2)), (x1 - x0) / 2)
    _draw_bar(axes, image, panel.threshold, low, high)


def _draw_holes(axes: Axes, panel: HolesPanel, x: Floats, y: Floats) -> None:
    """Hatching below the threshold, and the line at it. −∞ has no contour: it is drawn as very low."""
    # −∞ has no contour; ten times the shown depth is as low as can matter
    shown = np.maximum(panel.log_q, panel.threshold - 10 * DEPTH)
    low, high = float(shown.min()), float(shown.max())
    if low < panel.threshold:
        with rc_context({"hatch.linewidth": 0.5, "hatch.color": HATCH}):
            axes.contourf(x, y, shown, levels=[low - 1, panel.threshold], colors="none", hatches=["////"], zorder=2)
    # else the plane is all hole, or has none, and Matplotlib warns of a contour without a line
    if low < panel.threshold < high:
        axes.contour(x, y, shown, levels=[panel.threshold], colors=HOLE, linestyles="solid", linewidths=1.4, zorder=4)


def _draw_bar(axes: Axes, image: Any, threshold: float, low: float, high: float) -> None:
    """The scale at the panel's right, the threshold marked on it."""
    bar = axes.inset_axes((1.03, 0.0, 0.035, 1.0))
    axes.figure.get_figure(root=True).colorbar(image, cax=bar)
    bar.axhline(threshold, color=HOLE, linewidth=1.6)
    ticks = [tick for tick in MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)).tick_values(low, high) if low <= tick <= high]
    bar.set_yticks(ticks, [style.plain(tick) for tick in ticks])
    bar.tick_params(labelsize=style.NOTE, length=2)
    bar.set_title("log q̂ (nats)", fontsize=style.NOTE, color=style.FAINT, loc="right", pad=5)
    bar.spines["outline"].set_visible(False)


def _draw_key(figure: Figure) -> None:
    handles = [
        Patch(facecolor="white", edgecolor=HATCH, hatch="////", linewidth=0),
        Line2D([], [], color=HOLE, linewidth=1.6),
        Line2D([], [], color=style.INK, marker=".", linestyle="none", markersize=4),
    ]
    names = ["hole: log q̂ < tₐ", "tₐ", "codes"]
    width, height = (float(side) for side in figure.get_size_inches())
    figure.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(0.58 / width, 1 - 0.04 / height),
        ncols=3,
        frameon=False,
        fontsize=style.NOTE,
        columnspacing=1.4,
        borderpad=0.3,
    )
