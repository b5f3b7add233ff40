"""`legato reconstruct RUN`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from legato.commands.application import application
from legato.commands.options import HERE, Heat, Label, Out, RunPath, Seed, Source, Split, Where
from legato.commands.output import chosen_rows, say, write_rows
from legato.errors import Mistake

app = application("reconstruct")


@app.default
def reconstruct(
    run: RunPath,
    *names: str,
    data: Source = None,
    split: Split = None,
    n: Annotated[int, Parameter(name=["--n", "-n"], help="How many, drawn at random, where none are named.")] = 10,
    keep: Annotated[
        int | None,
        Parameter(help="Of a model of levels, so many from the top are the image's own, those below drawn from the prior."),
    ] = None,
    temperature: Heat = "1.0",
    seed: Seed = 0,
    out: Out = None,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """Images above their reconstructions: the decoded means of their codes' means. NAMES: ids or row numbers."""
    space = place.load(run, label=label)
    opened = space.data(data)
    rows = chosen_rows(opened, names, split, n, seed)
    stored = opened.dataset.take(rows)
    labels = space.labels(opened, rows)
    mu, _ = space.encode(stored, rows, labels)
    if keep is None and float(temperature.split(",")[0]) != 1:
        raise Mistake("--temperature is of levels that are drawn anew: say with --keep how many are not")
    if keep is not None:
        mu = space.redrawn(mu, keep, labels, temperature=temperature, seed=seed)
    title = "reconstruction" if keep is None else f"own top {keep}\nof {len(space.model.latent.levels)} levels"
    shown = [(title, space.decode(mu, labels if space.model.needs_class else None))]
    # What the model saw is drawn bits: beside the grey image alone its reconstruction would look unjustly coarse.
    if opened.preparation.binarise:
        shown.insert(0, ("its pixels\ndrawn 0 or 1", opened.rows(rows)))
    shown.insert(0, ("image", opened.preparation.original(stored)))
    written = write_rows(
        shown, out or space.run.own("figures") / "reconstructions", space, [opened.dataset.ids[int(r)] for r in rows]
    )
    say(f"wrote {written}")
