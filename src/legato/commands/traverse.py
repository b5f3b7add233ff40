"""`legato traverse RUN`."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from cyclopts import Parameter
from cyclopts.validators import Number

from legato.codes import name_of, number_of
from legato.commands.application import application
from legato.commands.options import HERE, Label, Out, RunPath, Source, Where
from legato.commands.output import of_one, say, write_rows

app = application("traverse")


@app.default
def traverse(
    run: RunPath,
    name: str | None = None,
    *,
    data: Source = None,
    dims: Annotated[
        list[str] | None, Parameter(help="Dimensions to show (z0 z5); by default the most informative.", consume_multiple=True)
    ] = None,
    most: Annotated[int, Parameter(help="At most so many rows where no dimensions are named.", validator=Number(gte=1))] = 16,
    steps: Annotated[int, Parameter(help="Pictures in a row.")] = 11,
    span: Annotated[float, Parameter(help="How far to each side, in standard deviations of the training codes.")] = 3.0,
    out: Out = None,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """One row for each latent dimension, most informative first. NAME: the image to start from (default: the mean code)."""
    space = place.load(run, label=label)
    anchor = None
    if name is not None:
        opened = space.data(data)
        row = opened.dataset.find(name)
        labels = space.labels(opened, np.array([row]))
        anchor = space.encode(opened.dataset.take(np.array([row])), np.array([row]), labels)[0][0]
        space = of_one(space, labels)  # the class of the row that the lines start from
    # before anything is decoded: a name that is none is told at once
    named = [number_of(dim) for dim in dims] if dims else space.ranking()[:most]
    chosen, codes = space.traverse(anchor, dims=named, steps=steps, span=span)
    rows = [(name_of(dim), space.decode(line)) for dim, line in zip(chosen, codes, strict=True)]
    say(f"wrote {write_rows(rows, out or space.run.own('figures') / 'traversals', space)}")
