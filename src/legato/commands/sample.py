"""`legato sample RUN`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from legato.commands.application import application
from legato.commands.options import HERE, Out, RunPath, Seed, Where
from legato.commands.output import say, write_grid
from legato.latent_space import Origin

app = application("sample")


@app.default
def sample(
    run: RunPath,
    *,
    n: Annotated[int, Parameter(name=["--n", "-n"], help="How many.")] = 64,
    origin: Annotated[
        Origin,
        Parameter(
            name="--from",
            help="prior: N(0, I). codes: a Gaussian fitted to the training codes. auto: the prior where training charged for "
            "leaving it, else codes.",
        ),
    ] = "auto",
    temperature: Annotated[float, Parameter(help="Multiplies how far draws lie from the mean.")] = 1.0,
    seed: Seed = 0,
    out: Out = None,
    place: Where = HERE,
) -> None:
    """Decoded means of draws from the prior, as one picture (a table's rows as .npy)."""
    space = place.load(run)
    drawn = space.sample(n, seed=seed, origin=origin, temperature=temperature)
    if origin == "auto" and not space.prior_was_trained:
        say("drawn from a Gaussian fitted to the codes, since training did not ask for N(0, I); --from prior draws from that")
    written = write_grid(drawn, out or space.run.own("figures") / "samples", space)
    say(f"wrote {written}")
