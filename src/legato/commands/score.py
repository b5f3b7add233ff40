"""`legato score RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from cyclopts import Parameter

from legato.commands.application import application
from legato.commands.options import HERE, RunPath, Seed, Source, Split, Where
from legato.commands.output import say
from legato.commands.tables import Column, labels_of, write_table
from legato.data.preparation import beyond
from legato.measures.likelihood import score as scores_of
from legato.measures.tails import trust

app = application("score")
BATCH = 100


@app.default
def score(
    run: RunPath,
    *,
    data: Source = None,
    split: Split = None,
    k: Annotated[int, Parameter(help="Importance draws per example, exactly.")] = 100,
    seed: Seed = 0,
    out: Annotated[Path | None, Parameter(help="A .parquet, .csv or .npz file; by default scores.csv in the run.")] = None,
    place: Where = HERE,
) -> None:
    """id, label and log_px of every image: the importance-weighted log p(x), nats. Low ones are outliers; -inf is too far out
    for a number.

    Above 0.7, k_hat (the Pareto shape of the weights; from 21 draws on) says that it is not to be trusted.

    An autoencoder has no p(x): it gets a column `distortion` instead, -log p(x|z) at its code.
    """
    space = place.load(run)
    opened = space.data(data)
    numbers = opened.split(split or opened.default_split).all()
    path = out or space.run.path / "scores.csv"

    k_hat: list[np.ndarray] = []

    def some(rows: np.ndarray) -> dict[str, Column]:
        stored = opened.dataset.rows[rows]
        if not space.has_density:
            return {**labels_of(opened, rows), "distortion": space.distortion(stored, rows)}
        # A seed of its own for each block of rows, so that the draws of one block do not repeat in the next.
        prepared = space.prepare(stored, rows)
        batches = torch.split(torch.from_numpy(prepared).to(space.device), BATCH)
        found = scores_of(space.model, batches, k, seed + int(rows[0]))
        assert found.log_px is not None
        # Too far from the data for single precision: no number is less likely than that.
        lost = beyond(prepared) & ~np.isfinite(found.log_px)
        columns = {**labels_of(opened, rows), "log_px": np.where(lost, -np.inf, found.log_px).astype(np.float32)}
        if found.k_hat is None:
            return columns
        k_hat.append(np.where(lost, np.inf, found.k_hat))
        return columns | {"k_hat": k_hat[-1].astype(np.float32)}

    write_table(path, numbers, some, (".parquet", ".csv", ".npz"), "scoring")
    say(f"wrote {path}: {len(numbers):,} rows, {'log_px' if space.has_density else 'distortion'} in nats")
    if space.has_density:
        say(trust(np.concatenate(k_hat) if k_hat else None))
