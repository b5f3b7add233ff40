"""`legato convert FOLDER`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from legato.commands.application import FLAG, FLAT, application
from legato.commands.options import HERE, Where
from legato.commands.output import say
from legato.data import DataOptions
from legato.errors import quoted
from legato.pythae import Reading, from_pythae

app = application("convert")


@app.default
def convert(
    folder: Annotated[Path, Parameter(help="A folder that Pythae's `model.save` or its trainer wrote.")],
    *,
    data: Annotated[str, Parameter(help="SOURCE: what the model was trained on, or data like it.")],
    out: Annotated[Path | None, Parameter(help="The RUN: a folder to make; by default the first free runs/RECIPE-n.")] = None,
    overwrite: Annotated[bool, FLAG, Parameter(help="Replace the run at --out.")] = False,
    likelihood: Annotated[
        Reading, Parameter(help="What a cross-entropy is of: pixels that are drawn (bernoulli, auto) or grey ones, a density.")
    ] = "auto",
    options: Annotated[DataOptions, FLAT] = DataOptions(),  # noqa: B008  (frozen)
    place: Where = HERE,
) -> None:
    """A RUN of a model that Pythae 0.1.2 saved: AE, VAE, BetaVAE, VAMP or VQVAE with Pythae's own nets.

    The RUN encodes and decodes as Pythae does, to rounding, and every command works on it. Nothing in the folder is executed.
    """
    said = asdict(options)
    space = from_pythae(
        folder, data, out, likelihood=likelihood, overwrite=overwrite, device=place.device, threads=place.threads, **said
    )
    (line,) = space.kept.read_metrics()
    figures = ", ".join(
        f"{name} {line['validation'][name]:.2f}"
        for name in ("elbo", "distortion", "rate")
        if line["validation"][name] is not None
    )
    say(f"wrote {space.run.path}: {space.definition.sentence()}")
    say(f"validation {figures} nats per example")
    where = quoted(space.run.path)
    say(f"next: legato evaluate {where} · legato sample {where} · legato explore {where}")
