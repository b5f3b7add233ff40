"""Forces on the codes of a latent plane: the KL's arrows beside the reconstruction's, over the same codes.

Covered: 2-D codes, one scale of arrows in all panels, so that a balance of the two is seen as arrows that cancel.
Not covered: the gradients (`legato.measures`), planes in more dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.report import style
from legato.report.labels import classes_of
from legato.report.maps import BOX, RINGS, WIDE, draw_rings, square_frame
from legato.types import Floats

ARROWS = 220  # more of them cross each other
LONGEST = 0.17  # of a panel's side, the length of the longest arrow: longer ones would leave the panel
CUT = 0.95  # quantile of all lengths that this is: a few steep places must not shrink all other arrows to dots
KEY = 0.27  # inches above the panels for the arrow that says how long one is, since arrows of two figures do not compare


@dataclass(frozen=True)
class Pull:
    """One force on the codes: `arrows` (N, 2), where a step downhill leads, −∂loss/∂μ, in nats per latent unit."""

    title: str
    arrows: Floats
    note: str = ""


def kl_field(
    mu: Floats,
    pulls: Sequence[Pull],
    labels: NDArray[Any] | None = None,
    label_names: Sequence[str] | None = None,
    dims: tuple[int, int] = (0, 1),
) -> Figure:
    """A panel for each pull, its arrows starting at the codes `mu` (N, 2), with the prior's rings.

    For the KL the arrows are −μ. All panels share one scale; the longest twentieth of all arrows are cut to the length of the
    others' longest, and the note says how many.
    """
    style.counted(pulls, "pulls")
    for name, values in [("mu", mu), *((pull.title, pull.arrows) for pull in pulls)]:
        if np.shape(values) != (len(mu), 2) or not len(mu) or not np.isfinite(values).all():
            raise Mistake(f"the field needs a finite `{name}` of shape (N, 2) for N codes, got {np.shape(values)}")
    # A seeded draw, and not the first: rows may come by class.
    chosen = np.random.default_rng(0).permutation(len(mu))[:ARROWS]
    # all arrows 0 (a model without a pull): then nothing is divided by 0
    longest = float(np.quantile(np.concatenate([np.linalg.norm(pull.arrows[chosen], axis=1) for pull in pulls]), CUT)) or 1.0
    half = 1.05 * max(float(np.abs(mu).max()), max(RINGS))
    shown = [_shortened(pull.arrows[chosen], longest) * (2 * half * LONGEST) for pull in pulls]
    # wide enough for the arrows' heads too: one that is cut off looks shorter than it is
    half = max(half, 1.02 * max(float(np.abs(mu[chosen] + arrows).max()) for arrows in shown))
    notes = [_note(pull, chosen, longest) for pull in pulls]
    top = style.heading_height([pull.title for pull in pulls], notes, WIDE) + KEY
    inches = BOX * float(np.linalg.norm(shown, axis=-1).max()) / (2 * half)
    colours, _ = classes_of(labels, label_names, len(mu))
    with style.styled():
        figure, places = style.panel_grid(len(pulls), (BOX, BOX), left=0.66, top=top)
        for axes, pull, note, arrows in zip(places, pulls, notes, shown, strict=True):
            square_frame(axes, (0.0, 0.0), half, dims)
            style.heading(axes, pull.title, note, WIDE)
            axes.scatter(mu[:, 0], mu[:, 1], s=6, c=colours, alpha=0.5, linewidths=0, zorder=2)
            draw_rings(axes, mu, np.empty((0, 2)), half)
            _draw_arrows(axes, mu[chosen], arrows)
        _draw_key(figure, longest, inches)
    return figure


def _note(pull: Pull, chosen: NDArray[np.intp], longest: float) -> str:
    lengths = np.linalg.norm(pull.arrows[chosen], axis=1)
    # a hair above, since the longest kept arrow is the quantile itself, up to rounding
    cut = int((lengths > longest * (1 + 1e-9)).sum())
    words = f"median pull {style.plain(float(np.median(lengths)))} nats per unit"
    if cut:
        words += f" · {cut} of {len(chosen)} arrows cut"
    return f"{pull.note}\n{words}" if pull.note else words


def _shortened(arrows: Floats, longest: float) -> Floats:
    """The arrows in units of `longest`, cut to it where they are longer."""
    lengths = np.linalg.norm(arrows, axis=1, keepdims=True)
    shortened: Floats = arrows / np.maximum(lengths, longest)
    return shortened


def _draw_arrows(axes: Axes, start: Floats, arrows: Floats) -> None:
    # In the axes' own units, so that a direction on paper is the direction in latent space.
    look: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1.0, "pivot": "tail"}
    axes.quiver(*start.T, *arrows.T, color=style.INK, width=0.0036, headwidth=3.6, headlength=4.2, zorder=4, **look)


def _draw_key(figure: Figure, longest: float, inches: float) -> None:
    """One arrow of a round length at the top left, and its nats per unit; the longest takes so many inches."""
    width, height = (float(side) for side in figure.get_size_inches())
    length = 10 ** np.floor(np.log10(longest))
    # 1, 2 or 5 of a power of ten: a length that a reader can divide by
    length *= max(step for step in (1, 2, 5) if step * length <= longest * (1 + 1e-9))
    inches *= length / longest
    y = 1 - 0.17 / height
    start, end = (0.66 / width, y), ((0.66 + inches) / width, y)
    look: dict[str, Any] = {"color": style.INK, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 18}
    head = "-|>,head_width=0.16,head_length=0.32"
    figure.add_artist(FancyArrowPatch(start, end, transform=figure.transFigure, arrowstyle=head, **look))
    words = f"{style.plain(float(length))} nats per latent unit, downhill"
    figure.text(end[0] + 0.1 / width, y, words, fontsize=style.NOTE, color=style.FAINT, ha="left", va="center_baseline")
