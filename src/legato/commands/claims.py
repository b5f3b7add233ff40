"""`legato claims --data SOURCE`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table
from scipy.special import stdtrit

from legato.commands.application import FLAG, FLAT, application
from legato.commands.options import HERE, Where
from legato.commands.output import say
from legato.data import DataOptions, open_source
from legato.devices import choose
from legato.errors import Mistake
from legato.experiment import Experiment, Protocol, conclude, conduct, stoppable
from legato.report.claims import write_claims_report
from legato.report.conclusions import concluded

app = application("claims")
MINUTES = {True: 0.25, False: 1.5}  # for a model, by --quick: 10 minutes and 90 in all, on two cores
SIDE = 32  # pixels: larger ones leave too few steps in the minutes of a model
SEEDS = 4  # half an interval is 12.7, 4.3, 3.2, 2.8 standard errors with 2, 3, 4, 5 of them: from four on little is gained
STYLE = {"holds": "green", "holds in part": "yellow", "does not hold here": "red", "cannot tell": "dim"}


@app.default
def claims(
    *,
    data: Annotated[
        str, Parameter(help="SOURCE: mnist, a folder of images, .npy, .npz, IDX, Parquet, Feather, CSV, .tar, hub:NAME.")
    ],
    out: Annotated[Path, Parameter(help="A folder for the runs, claims.json and report.html.")] = Path("runs/claims"),
    quick: Annotated[bool, Parameter(help="Six models instead of eleven, fewer images, fewer steps."), FLAG] = False,
    seeds: Annotated[
        int,
        Parameter(
            help="Training seeds of each model. Intervals are by a model's own seeds: fewer than 4 often cannot tell.",
            validator=Number(gte=1, lte=100),
        ),
    ] = SEEDS,
    minutes_per_model: Annotated[
        float | None,
        Parameter(
            help="1.5, with --quick 0.25. A probe turns it into steps, once, the same for all.",
            validator=Number(gt=0, lte=600),
        ),
    ] = None,
    steps_per_model: Annotated[
        int | None,
        Parameter(help="In place of minutes: the same on every machine.", validator=Number(gte=1)),
    ] = None,
    side_by_side: Annotated[
        int, Parameter(help="Models that are trained at once, by default a thread each.", validator=Number(gte=1, lte=64))
    ] = 2,
    ray: Annotated[str | None, Parameter(help="Train by Ray: local, or a cluster's address.")] = None,
    options: Annotated[DataOptions, FLAT] = DataOptions(),  # noqa: B008  (frozen)
    place: Where = HERE,
) -> None:
    """Train a family of autoencoders and VAEs that differ by a word each, measure what is said of them, give 14 verdicts.

    Writes claims.json and report.html. What is finished is kept: a stopped experiment goes on with the same command.
    """
    if steps_per_model is not None and minutes_per_model is not None:
        raise Mistake("--steps-per-model and --minutes-per-model say the same thing twice: give one of them")
    with stoppable(f"stopped, all that is finished is kept in `{out}`: go on with the same command"):
        device = choose(place.device, place.threads)
        minutes = None if steps_per_model is not None else minutes_per_model or MINUTES[quick]
        protocol = Protocol(data, _affordable(data, options), minutes, steps_per_model, device=str(device))
        # One device is not shared: two trainings on a GPU would halve each other's speed, and its memory.
        together = side_by_side if device.type == "cpu" else 1
        _measured(Experiment(protocol, out, quick, seeds, together, place.threads, ray))


def _measured(experiment: Experiment) -> None:
    if warning := _few(experiment.seeds):
        print(warning)  # before the minutes are spent, not after
    conduct(experiment)
    # Evidence is written as it is found, and read again here: a resumed experiment concludes as one that ran through.
    found = conclude(experiment)
    _show(found)
    say(f"wrote {experiment.out / 'claims.json'} and {write_claims_report(experiment, found)}")


def _affordable(source: str, options: DataOptions) -> DataOptions:
    """Pictures that are larger than 32 × 32 are prepared at that size, unless --size was said: minutes are few."""
    shape = open_source(source, options).shape
    if options.size is not None or len(shape) != 3 or min(shape[1:]) <= SIDE:
        return options
    print(f"pictures of {shape[2]} × {shape[1]} are prepared at {SIDE} × {SIDE}, for the sake of time: --size says otherwise")
    return replace(options, size=SIDE)


def _few(seeds: int) -> str | None:
    """The line that says what to expect of so few seeds; None of enough."""
    if seeds >= SEEDS:
        return None
    if seeds == 1:
        return f"one seed has no interval, so every verdict will be “cannot tell”: --seeds {SEEDS} or more tell"
    wide, usual = (float(stdtrit(n - 1, 0.975)) for n in (seeds, SEEDS))
    return (
        f"{seeds} seeds give wide intervals (± {wide:.1f} standard errors, {SEEDS} seeds ± {usual:.1f}): "
        "more verdicts will be “cannot tell”"
    )


def _show(found: dict[str, Any]) -> None:
    table = Table("", "claim", "verdict", "what was found")
    for claim in found["claims"]:
        word = claim["verdict"]
        table.add_row(str(claim["id"]), claim["sentence"], f"[{STYLE[word]}]{word}[/]", concluded(claim))
    Console().print(table)
