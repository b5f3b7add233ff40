"""`legato interpolate RUN A B …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from legato.codes import path
from legato.commands.application import FLAG, application
from legato.commands.options import HERE, Label, Out, RunPath, Seed, Source, Split, Where
from legato.commands.output import check_animation, chosen_rows, of_one, say, write_path, write_rows
from legato.errors import Mistake
from legato.latent_space import LatentSpace

app = application("interpolate")


@app.default
def interpolate(
    run: RunPath,
    *names: str,
    data: Source = None,
    split: Split = None,
    steps: Annotated[int, Parameter(help="Pictures from one stop to the next, both included.")] = 9,
    spherical: Annotated[bool, Parameter(help="Along the great circle instead of the straight line."), FLAG] = False,
    cross_fade: Annotated[bool, Parameter(help="Add a row that blends the pixels instead of the codes.")] = True,
    gif: Annotated[Path | None, Parameter(help="Also write the path as an animation (24 frames from stop to stop).")] = None,
    seed: Seed = 0,
    out: Out = None,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """A path through latent space. NAMES: two stops or more, ids or row numbers (without any, two drawn at random)."""
    space = place.load(run, label=label)
    # Refused before anything is decoded.
    check_animation(gif, space)
    opened = space.data(data)
    rows = chosen_rows(opened, names, split, 2, seed)
    if len(rows) < 2:
        what = "1 was named" if names else f"the split `{split or opened.default_split}` has 1 row"
        raise Mistake(f"a path needs 2 stops or more, and {what}: name two rows or more, or choose another --split")
    stored = opened.dataset.take(rows)
    labels = space.labels(opened, rows)
    # One class for the whole path: what lies between two codes is decoded under one label.
    stops, space = space.encode(stored, rows, labels)[0], of_one(space, labels)
    images = opened.preparation.original(stored)
    kind = "spherical" if spherical else "linear"
    strips = [(kind, space.decode(space.interpolate(stops, steps=steps, spherical=spherical)))]
    if cross_fade:
        flat = path(images.reshape(len(images), -1), steps, spherical=False).astype(np.float32)
        strips.append(("pixel cross-fade", flat.reshape(-1, *images.shape[1:])))
    strips.insert(0, ("stops", _spread(images, steps, space)))
    say(f"wrote {write_rows(strips, out or space.run.own('figures') / 'interpolation', space)}")
    if gif is not None:
        say(f"wrote {write_path(space.decode(space.interpolate(stops, steps=24, spherical=spherical)), gif, space)}")


def _spread(images: np.ndarray, steps: int, space: LatentSpace) -> np.ndarray:
    """The stops above their own places on the path, white between; no rows of a table."""
    # NaN of a table: such rows are left out when it is written
    blank = np.nan if images.ndim == 2 else space.preparation.screen[1]
    # each stop once: where two legs meet the picture is the same
    spread = np.full(((len(images) - 1) * (steps - 1) + 1, *images.shape[1:]), blank, images.dtype)
    spread[:: steps - 1] = images
    return spread
