"""`legato encode RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from legato.codes import told
from legato.commands.application import application
from legato.commands.options import HERE, Label, Rows, RunPath, Source, Where
from legato.commands.output import say
from legato.commands.tables import Column, labels_of, write_table
from legato.devices import choose
from legato.latent_space import LatentSpace
from legato.ranks import joined, shard

app = application("encode")


@app.default
def encode(
    run: RunPath,
    *,
    data: Source = None,
    split: Rows = "all",
    out: Annotated[Path | None, Parameter(help="A .parquet, .csv or .npz file; by default codes.parquet in the run.")] = None,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """id, label, mu and sigma of every image, in order. An autoencoder's sigma is 0: a point has no spread.

    Of a model that infers classes (m2_vae) also the likeliest class and q_y, the probability of each.
    """
    with joined(choose(place.device, place.threads)) as ranks:
        space = place.load(run, label=label)
        with ranks.in_turn():
            opened = space.data(data)
        everyone = opened.split(split).all()
        numbers = everyone[ranks.part(len(everyone))]
        path = shard(out or space.run.path / "codes.parquet")

        # Block by block: codes of a source that is larger than memory are written as they are made.
        def some(rows: np.ndarray) -> dict[str, Column]:
            stored = opened.dataset.take(rows)
            mu, sigma = space.encode(stored, rows, space.labels(opened, rows))
            return {**labels_of(opened, rows), **_inferred(space, stored, rows), "mu": mu, "sigma": sigma}

        write_table(path, numbers, some, (".parquet", ".csv", ".npz"), "encoding", space.latent_dim)
        others = f", and as many files as there are processes ({ranks.world}) beside it" if ranks.world > 1 else ""
        say(f"wrote {path}: {len(numbers):,} codes of {told(space.model.latent.event)}{others}")


def _inferred(space: LatentSpace, stored: np.ndarray, rows: np.ndarray) -> dict[str, Column]:
    """class and q_y (n, classes) of a model that infers classes; nothing of others."""
    if space.model.classifier is None:
        return {}
    found = space.classify(stored, rows)
    return {"class": [space.classes[number] for number in found.argmax(1)], "q_y": found}
