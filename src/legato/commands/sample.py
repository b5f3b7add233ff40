"""`legato sample RUN`."""

from __future__ import annotations

from typing import Annotated, cast, get_args

from cyclopts import Parameter

from legato.commands.application import application
from legato.commands.options import HERE, Heat, Label, Out, RunPath, Seed, Where
from legato.commands.output import in_a_name, say, write_grid
from legato.errors import unknown
from legato.fitted.kept import names
from legato.fitted.matching import Way
from legato.latent_space import LatentSpace, Origin
from legato.moments import FAR, whole
from legato.population import FITTED
from legato.run import Run

app = application("sample")


@app.default
def sample(
    run: RunPath,
    *,
    n: Annotated[int, Parameter(name=["--n", "-n"], help="How many.")] = 64,
    origin: Annotated[
        str,
        Parameter(
            name="--from",
            help="prior: the model's own, N(0, I) for most. codes: a Gaussian fitted to the training codes. mixture: several, "
            "fitted to them now, as many as suit validation codes best. auto: the prior where training charged for leaving it, "
            "else codes. Any other: a prior that `legato refit` put into the RUN, by its name.",
        ),
    ] = "auto",
    temperature: Heat = "1.0",
    guidance: Annotated[
        float,
        Parameter(help="How far beyond its own velocity a --label is followed, of a prior by flow matching; 1: not."),
    ] = 1.0,
    seed: Seed = 0,
    out: Out = None,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """Decoded means of draws from the prior, as one picture (a table's rows as .parquet, of counts as whole numbers)."""
    fitted = names(Run(run).priors)
    if origin not in (known := {*get_args(Origin), *fitted}):
        raise unknown("origin", origin, known)
    own = origin if origin in fitted else None  # a refit's name comes first
    space = place.load(run, label=label, prior=own, way=Way(guidance=guidance))
    of = cast(Origin, origin if own is None else "prior")
    drawn = space.sample(n, seed=seed, origin=of, temperature=temperature)
    # Said before the picture is written: a person looks at the line where samples are bad.
    if told := _drawn_from(space, of) if own is None else f"drawn from `{own}`, which was fitted to the training codes":
        say(told)
    name = "samples" if label is None else f"samples-{in_a_name(label)}"  # another class overwrites none
    written = write_grid(drawn, out or space.run.own("figures") / name, space)
    say(f"wrote {written}")


def _drawn_from(space: LatentSpace, origin: Origin) -> str | None:
    """The line on where codes were drawn; None where the prior is where codes lie."""
    if origin == "mixture":
        return f"drawn from {_gaussians(len(space.mixture.weights))} fitted to the codes of up to {FITTED:,} training images"
    if origin != "auto":
        # Who said --from knows where codes were drawn.
        return None
    if not space.prior_was_trained:
        return "drawn from a Gaussian fitted to the codes, since training did not ask for N(0, I); --from prior draws from that"
    if not space.has_standard_prior:  # a prior that was learnt with the codes lies where they lie; the nats are N(0, I)'s
        return None
    if not space.run.codes.is_file() or (nats := space.moments().nats_from_prior()) < FAR:  # none yet while it is trained
        return None
    closer = ", --from mixture closer still" if whole(space.latent_dim) else ""
    return (
        f"drawn from the prior N(0, I), and the training codes lie elsewhere (KL of {nats:.1f} nats or more): samples may look "
        f"worse than reconstructions; --from codes draws where the codes lie{closer}"
    )


def _gaussians(count: int) -> str:
    return "one Gaussian" if count == 1 else f"a mixture of {count} Gaussians"
