"""`legato demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from legato.commands.application import FLAG, application
from legato.commands.options import HERE, Seed, Where
from legato.demo import demo as run_demo
from legato.devices import choose

app = application("demo")


@app.default
def demo(
    *,
    out: Annotated[Path, Parameter(help="A folder for six runs, figures/ and report.html.")] = Path("runs/demo"),
    minutes: Annotated[float, Parameter(help="How long it may take in all.")] = 4.2,
    seed: Seed = 0,
    overwrite: Annotated[bool, Parameter(help="Train anew what is there already."), FLAG] = False,
    place: Where = HERE,
) -> None:
    """Train an autoencoder, one with noise, and a VAE on MNIST, with 2 and with 16 latents; measure them; write a report."""
    run_demo(out, minutes, seed, choose(place.device, place.threads), overwrite)
