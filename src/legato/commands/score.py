"""`legato score RUN`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from cyclopts import Parameter
from cyclopts.validators import Number

from legato.batch import Batch
from legato.commands.application import application
from legato.commands.options import HERE, Label, RunPath, Seed, Source, Split, Where
from legato.commands.output import say, write_rows
from legato.commands.tables import Column, labels_of, write_table
from legato.data.preparation import beyond
from legato.data.prepared import Prepared
from legato.latent_space import LatentSpace
from legato.measures.likelihood import score as scores_of
from legato.measures.tails import dominated, trust

app = application("score")
BATCH, NAMED = 100, 5  # examples at a time, with k draws of each in memory; the oddest are named, as many as fit on a line
ANY = Number(gte=0)


@app.default
def score(
    run: RunPath,
    *,
    data: Source = None,
    split: Split = None,
    k: Annotated[int, Parameter(help="Importance draws per example, exactly.")] = 100,
    seed: Seed = 0,
    out: Annotated[Path | None, Parameter(help="A .parquet, .csv or .npz file; by default scores.csv in the run.")] = None,
    oddest: Annotated[
        int,
        Parameter(help="Also a sheet of so many of the oddest pictures beside their reconstructions; 0: none.", validator=ANY),
    ] = 12,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """id, label and log_px of every image: the importance-weighted log p(x), nats. Low ones are outliers; -inf is too far out
    for a number.

    Above 0.7, k_hat (the Pareto shape of the weights; from 21 draws on) says that it is not to be trusted.

    The oddest are named, and drawn on a sheet where they are pictures.

    Where there is no log p(x) (an autoencoder; a model trained for a likeness) there is a column `distortion` instead,
    -log p(x|z) at its code.
    """
    space = place.load(run, label=label)
    opened = space.data(data)
    numbers = opened.split(split or opened.default_split).all()
    path = out or space.run.path / "scores.csv"
    scored = space.recipe.no_likelihood is None

    # Kept beside the file: trust and the oddest are told of all rows, which the file's blocks do not hold.
    k_hat: list[np.ndarray] = []
    ess: list[np.ndarray] = []
    likely: list[np.ndarray] = []

    def some(rows: np.ndarray) -> dict[str, Column]:
        stored = opened.dataset.take(rows)
        if not scored:
            likely.append(-space.distortion(stored, rows, space.labels(opened, rows)))
            return {**labels_of(opened, rows), "distortion": -likely[-1]}
        # A seed of its own for each block of rows, so that the draws of one block do not repeat in the next.
        prepared = space.prepare(stored, rows)
        # Not where a class is inferred: log p(x) is a sum over them.
        labels = space.labels(opened, rows) if space.model.needs_label else None
        some = Batch(torch.from_numpy(prepared), None if labels is None else torch.from_numpy(labels)).to(space.device)
        batches = [some[at : at + BATCH] for at in range(0, len(some), BATCH)]
        found = scores_of(space.model, batches, k, seed + int(rows[0]))
        assert found.log_px is not None
        # Too far from the data for single precision: no number is less likely than that.
        # Only rows beyond single precision: anything else that is not finite is the model's fault, and must not pass as odd.
        lost = beyond(prepared) & ~np.isfinite(found.log_px)
        likely.append(np.where(lost, -np.inf, found.log_px).astype(np.float32))
        ess.extend([] if found.ess is None else [found.ess])
        columns = {**labels_of(opened, rows), "log_px": likely[-1]}
        if found.k_hat is None:
            return columns
        k_hat.append(np.where(lost, np.inf, found.k_hat))  # infinite and not NaN: such a row's weight has no tail to be trusted
        return columns | {"k_hat": k_hat[-1].astype(np.float32)}

    write_table(path, numbers, some, (".parquet", ".csv", ".npz"), "scoring")
    say(f"wrote {path}: {len(numbers):,} rows, {'log_px' if scored else 'distortion'} in nats")
    trusted = trust(np.concatenate(k_hat) if k_hat else None) + dominated(np.concatenate(ess) if ess else None, k)
    say(space.recipe.no_likelihood or trusted)
    if oddest:
        _show_oddest(space, opened, Odd.among(numbers, np.concatenate(likely), oddest), path if out is not None else None)


@dataclass(frozen=True)
class Odd:
    """The rows that a model finds least likely, oddest first, with their log p(x); of an autoencoder −distortion."""

    rows: np.ndarray
    likely: np.ndarray

    @staticmethod
    def among(rows: np.ndarray, likely: np.ndarray, most: int) -> Odd:
        """The `most` least likely ones."""
        order = np.argsort(likely, kind="stable")[:most]  # stable: ties go by row, so that the sheet is the same again
        return Odd(rows[order], likely[order])


def _show_oddest(space: LatentSpace, opened: Prepared, odd: Odd, beside: Path | None) -> None:
    """Names them; draws pictures beside what the model makes of them."""
    scored = space.recipe.no_likelihood is None
    values = [f"{'log p(x)' if scored else 'distortion'} {v if scored else -v:,.1f}".replace("-", "−") for v in odd.likely]
    names = [opened.dataset.ids[int(row)] for row in odd.rows]
    say("the oddest: " + ", ".join(f"{name} ({value})" for name, value in zip(names[:NAMED], values, strict=False)))
    if len(space.shape) == 1:
        return
    # Beside the table where its place was said: the run's own folder may be read-only.
    path = space.run.own("figures") / "oddest.png" if beside is None else beside.with_name(f"{beside.stem}-oddest.png")
    pairs = np.stack([opened.seen(odd.rows), _remade(space, opened, odd.rows)], 1)
    labelled = [(f"{name}\n{value}", pair) for name, value, pair in zip(names, values, pairs, strict=True)]
    written = write_rows(labelled, path, space, shown=True)
    say(f"wrote {written}: the {len(names)} oddest, each with its reconstruction to the right")


def _remade(space: LatentSpace, opened: Prepared, rows: np.ndarray) -> np.ndarray:
    """Reconstructions as they are shown; white of a row too far out for a code."""
    labels = space.labels(opened, rows)
    mu, _ = space.posterior(opened.rows(rows), labels)
    known = np.isfinite(mu).all(1)
    shown = np.ones((len(rows), *space.shape))  # white where there is no code: a picture of NaN cannot be drawn
    if known.any():
        shown[known] = space.seen(mu[known], None if labels is None else labels[known])
    return shown
