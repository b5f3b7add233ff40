"""`legato evaluate RUN`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from legato.commands.application import application
from legato.commands.options import HERE, Fitted, Json, Label, RunPath, Seed, Source, Split, Where
from legato.commands.output import say, write_figures
from legato.devices import choose
from legato.measures import evaluate as evaluate_run
from legato.measures.known import measure_of
from legato.moments import whole
from legato.ranks import joined

app = application("evaluate")
SINGLE = ("elbo", "rate", "distortion", "nll", "untrusted_share", "bits_per_dim", "ess")
SHOWN = 64  # dimensions whose KL is printed: more than a screen of numbers says less than their sum
DRAWS = "Importance draws per example, exactly; auto: as many as each needs, and annealing where none would do."


@app.default
def evaluate(
    run: RunPath,
    *,
    data: Source = None,
    split: Split = None,
    k: Annotated[int | Literal["auto"], Parameter(help=DRAWS)] = 1000,
    limit: Annotated[int | None, Parameter(help="A random sample of so many examples of the split.")] = None,
    seed: Seed = 0,
    json: Json = None,
    label: Label = None,
    prior: Fitted = None,
    place: Where = HERE,
) -> None:
    """ELBO, rate, distortion, importance-weighted log-likelihood and more, each with its 95 % interval over the examples."""
    with joined(choose(place.device, place.threads)) as ranks:
        found = evaluate_run(place.load(run, label=label, prior=prior), data, split=split, k=k, limit=limit, seed=seed)
        if not ranks.first:
            return
        if json is not None:
            write_figures(found, json)
        if json is None or str(json) != "-":  # with `--json -` stdout is JSON alone
            _show(found)


def _show(found: dict[str, Any]) -> None:
    about = found["data"]
    table = Table("figure", "value", "95 % interval", "unit")
    absent: dict[str, list[str]] = {}  # reasons first: five figures that are missing for one reason are told in one line
    rows = {name.replace("_", " "): found[name] for name in SINGLE}
    rows |= {f"active units > {threshold}": one for threshold, one in found["active_units"].items()}
    if found["codebook_perplexity"]["value"] is not None:  # that others have no codebook goes without saying
        rows["codebook perplexity"] = found["codebook_perplexity"]
    for name, one in rows.items():
        if one["value"] is None:
            absent.setdefault(one["why"], []).append(name)
        else:
            table.add_row(name, f"{one['value']:.3f}", _interval(one), one["unit"])
    run = found["run"]
    say(f"{run['recipe']} at {run['path']}, {about['n']:,} examples of {about['source']} ({about['split']}), k = {run['k']}")
    if about["checksum"]:
        say(f"pixels drawn once from Bernoulli(x/255), seed {about['binarisation']}, checksum {about['checksum']}")
    if "label" in run:
        say(f"the model is told the class ({run['label']}): every log p(x) is log p(x|class)")
    if "classes" in run:
        say(f"the model infers the class: log p(x) is the sum over all {run['classes']}, and no label is read")
    if run["likelihood_scale"] is not None:
        # Part of every figure: nats of two scales do not compare.
        say(f"scale of the Gaussian likelihood: {run['likelihood_scale']}")
    Console().print(table)
    said = [f"{name.replace('_', ' ')}, {measure_of(name).name}" for name in (*SINGLE, "active_units") if _known(found, name)]
    say(f"in words: {'; '.join(said)}")
    if found["nll"]["value"] is not None:
        print(_trusted(found))
    for why, names in absent.items():
        say(f"no {', '.join(names)}: {why}")
    if isinstance(found["rate_per_level"], list):
        levels = zip(found["rate_per_level"], run["levels"], strict=True)
        each = [f"{one['value']:.2f} ({name})" for one, name in levels]
        say(f"rate per level, the top first, nats: {', '.join(each)}")
    # of a large code there are sums of channels, and of levels in a row but one: the rate
    if isinstance(found["kl_per_dimension"], list) and len(found["kl_per_dimension"]) > ("levels" in run):
        kl = sorted((one["value"] for one in found["kl_per_dimension"]), reverse=True)
        what = "dimension" if whole(run.get("latent_dim", 0)) else "channel"
        rest = f" … ({len(kl) - SHOWN:,} more, {sum(kl[SHOWN:]):.2f} in all)" if len(kl) > SHOWN else ""
        say(f"KL per {what}, sorted, nats: {' '.join(f'{value:.2f}' for value in kl[:SHOWN])}{rest}")


def _known(found: dict[str, Any], name: str) -> bool:
    figures = found[name].values() if name == "active_units" else [found[name]]
    return any(one["value"] is not None for one in figures)


def _trusted(found: dict[str, Any]) -> str:
    """The sentence that says whether the nll can be trusted, and what to do; of `--k auto` also how it was estimated."""
    if found["run"]["k"] == "auto":
        return f"{found['trust']}\nnll: {found['nll']['method']}"
    return f"{found['trust']}{' (--k auto does both)' if found['untrusted_share']['value'] else ''}"


def _interval(one: dict[str, Any]) -> str:
    return "" if one["low"] is None else f"{one['low']:.3f} … {one['high']:.3f}"
