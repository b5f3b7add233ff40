"""`legato sweep SPEC.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table

from legato.commands.application import application
from legato.commands.output import say
from legato.errors import quoted
from legato.files import whole_file
from legato.pools import Pool
from legato.sweep import read_spec
from legato.sweep import sweep as run_sweep
from legato.sweep.run import Row
from legato.sweep.table import picture, table, write_csv
from legato.workers import stoppable

app = application("sweep")
SHOWN = 30  # rows on the terminal: the best


@app.default
def sweep(
    spec: Annotated[Path, Parameter(help="A TOML file: words of `legato train`, and under [grid] those that differ.")],
    *,
    out: Annotated[
        Path | None, Parameter(help="A folder for the runs and their table; by default runs/ and SPEC's name.")
    ] = None,
    side_by_side: Annotated[int, Parameter(help="Runs that are trained at once.", validator=Number(gte=1, lte=1024))] = 2,
    threads: Annotated[int, Parameter(help="Threads of each.", validator=Number(gte=1, lte=1024))] = 1,
    ray: Annotated[str | None, Parameter(help="Train by Ray: local, or a cluster's address.")] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda, cuda:N, or mps.")] = "auto",
) -> None:
    """Train many runs that differ by a few words, side by side; a table, best first, and a picture at the end.

    What is finished is kept: a stopped sweep goes on with the same command, and one whose grid has grown trains what is new.
    """
    where = out or Path("runs", spec.stem)
    with stoppable(f"stopped, all that is finished is kept in `{where}`: go on with the same command"):
        rows = run_sweep(read_spec(spec), Pool(side_by_side, where, threads, ray), device)
    _show(rows)
    write_csv(rows, where / "sweep.csv")
    figure = picture(rows)
    with whole_file(where / "sweep.png") as file:
        figure.savefig(file, format="png")
    say(f"wrote {where / 'sweep.csv'} and {where / 'sweep.png'}; next: legato report {quoted(where / 'runs')}/…")


def _show(rows: list[Row]) -> None:
    heads, cells = table(rows)
    shown = Table(*heads)
    for line in cells[:SHOWN]:
        shown.add_row(*map(_cell, line))
    Console().print(shown)
    if len(cells) > SHOWN:
        say(f"the best {SHOWN} of {len(cells):,} runs; sweep.csv holds all")


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return "—" if value is None else f"{value:,}" if type(value) is int else str(value)
    return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
