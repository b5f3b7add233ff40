"""`legato refit RUN`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from legato.commands.application import application
from legato.commands.options import HERE, RunPath, Seed, Where
from legato.commands.output import say
from legato.errors import quoted
from legato.fitted.kept import Kind
from legato.measures.estimate import estimate_of
from legato.measures.interval import bracketed, signed
from legato.refits import MINUTES
from legato.refits import refit as fit

app = application("refit")


@app.default
def refit(
    run: RunPath,
    *,
    prior: Annotated[
        Kind,
        Parameter(
            help="gaussian; mixture: several Gaussians, as many as suit validation codes best; flow: a normalising flow; "
            "flow-matching: noise that is led to codes; autoregressive: each index of a codebook given those before it."
        ),
    ] = "mixture",
    name: Annotated[str | None, Parameter(help="What the RUN is to call it; by default its kind.")] = None,
    minutes: Annotated[float, Parameter(help="Of training, for those that are trained: flow and what follows.")] = MINUTES,
    steps: Annotated[int | None, Parameter(help="So many steps, in the place of --minutes.")] = None,
    seed: Seed = 0,
    place: Where = HERE,
) -> None:
    """Fits a prior to the codes of a trained model and keeps it in the RUN, whose weights stay as they are."""
    space = place.load(run)
    found = fit(space, prior, name=name, minutes=minutes, steps=steps, seed=seed)
    told = found.told
    say(f"fitted to the codes of {told['rows']:,} training examples in {told['seconds']:,.0f} s" + _steps(told))
    if "log_density" in told:
        say(f"log density of validation codes: {bracketed(estimate_of(told['log_density']))} nats")
    if "gained" in told:
        say(f"beside the model's own prior: {signed(estimate_of(told['gained']))} nats per example")
    for reason in ("no_density", "no_distances"):
        if reason in told:
            say(told[reason])
    for what in ("frechet", "kid", "copies"):
        if line := _compared(told, what):
            say(line)
    say(f"next: legato sample {quoted(run)} --from {found.name} · legato evaluate {quoted(run)} --from {found.name}")


TITLES = {
    "frechet": "Fréchet distance of samples from test images",
    "kid": "kernel distance (KID)",
    "copies": "share of samples nearer to a training image than 99 % of test images",
}
SHOWN = {
    "before": "before",
    "after": "after",
    "codes": "draws of training codes, as a perfect prior has them,",
    "reconstructions": "reconstructions",
}


def _compared(told: dict[str, Any], what: str) -> str | None:
    """One figure before and after, with what a perfect prior and reconstructions have of it."""
    parts = [(title, told[f"{what} {name}"]) for name, title in SHOWN.items() if f"{what} {name}" in told]
    each = [f"{title} {bracketed(estimate_of(one))}" for title, one in parts]
    return f"{TITLES[what]}: {', '.join(each)}" if parts else None


def _steps(told: dict[str, Any]) -> str:
    return f", {told['steps']:,} steps" if "steps" in told else ""
