"""`legato compare RUN RUN…`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from legato.commands.application import application
from legato.commands.options import HERE, Json, Label, Seed, Source, Split, Where
from legato.commands.output import say, write_figures
from legato.measures.comparison import compare as compare_runs
from legato.measures.estimate import estimate_of
from legato.measures.interval import signed
from legato.terminal import one_line

app = application("compare")
DRAWS = "Importance draws per example, exactly, the same for all; auto is refused."
LESS = (
    "The ELBO is better higher, distortion and nll lower. Untrusted: the share of examples whose nll is a loose bound (Pareto "
    "k-hat above 0.7). Each interval is a 95 % one of its own, over the examples."
)


@app.default
def compare(
    *runs: Annotated[Path, Parameter(help="Two RUNs or more; the first is the reference.")],
    data: Source = None,
    split: Split = None,
    k: Annotated[int | Literal["auto"], Parameter(help=DRAWS)] = 100,
    limit: Annotated[int | None, Parameter(help="A random sample of so many examples, the same for every run.")] = None,
    seed: Seed = 0,
    json: Json = None,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """Paired differences between runs, with 95 % intervals, on the same images and the same binarisation."""
    found = compare_runs([place.load(run, label=label) for run in runs], data, split=split, k=k, limit=limit, seed=seed)
    if json is not None:
        write_figures(found, json)
    if json is None or str(json) != "-":  # with `--json -` stdout is JSON alone, or no program could read it
        _show(found)


def _show(found: dict[str, Any]) -> None:
    about = found["data"]
    reference, *others = found["runs"]
    of = f"{about['n']:,} examples of {about['source']} ({about['split']})"
    say(f"nats per example, {of}, k = {found['k']}; reference: {reference['recipe']} at {reference['path']}")
    for run in others:
        Console().print(_table(reference, run))
    if found["budgets"] is not None:
        say(f"Budgets: {found['budgets']}.")
    say(f"{LESS} The interval over training seeds is {found['seeds']}.")


def _table(reference: dict[str, Any], run: dict[str, Any]) -> Table:
    table = Table(
        "figure", "reference", "this run", "difference [95 %]", title=Text(one_line(f"{run['recipe']} at {run['path']}"))
    )
    for name, difference in run["differences"].items():
        figures = [_short(one["figures"][name]) for one in (reference, run)]
        table.add_row(name, *figures, signed(estimate_of(difference)))
        if name == "nll" and difference["value"] is not None:
            table.add_row(
                "  untrusted", *[_share(one["untrusted_share"]) for one in (reference, run)], _followed(reference, run)
            )
    return table


def _share(figure: dict[str, Any]) -> str:
    """The share of examples whose nll is not to be trusted."""
    return "not known" if figure["value"] is None else f"{figure['value']:.0%}"


def _followed(*runs: dict[str, Any]) -> str:
    """The meaning that the shares give the difference above."""
    shares = [run["untrusted_share"]["value"] for run in runs]
    # A difference of two bounds may come of the one being looser, where weights have heavy tails.
    # Below 21 draws no tail can be fitted, and whether the bounds are tight is not known.
    if None in shares:
        return "k is too small to say whether"
    return "of bounds, not of likelihoods" if max(shares) > 0 else "Pareto k-hat below 0.7 for all"


def _short(figure: dict[str, Any]) -> str:
    return "–" if figure["value"] is None else f"{figure['value']:.2f}".replace("-", "−")
