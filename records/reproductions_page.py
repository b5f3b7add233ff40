"""The page of the reproductions, records/reproductions.md, from what lies in records/reproductions/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

HERE = Path(__file__).parent
PAGE, KEPT = HERE / "reproductions.md", HERE / "reproductions"
BEGIN, END = "<!-- rows: python records/reproductions.py --page -->", "<!-- end of rows -->"
HEADS = ("record", "published", "ours", "Pythae at equal steps", "k", "binarisation", "budget", "seeds", "machine, date")


def write(records: Sequence[Any]) -> None:
    """Writes the table anew; the text around it stays."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    lines = [HEADS, ["---"] * len(HEADS), *(line for record in records for line in rows(record))]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def rows(record: Any) -> list[list[str]]:
    """The lines of one record, a model each; none before it is run."""
    path = KEPT / f"{record.name}.json"
    if not path.is_file():
        return []
    kept = json.loads(path.read_text(encoding="utf-8"))
    return [row(record, kept, number) for number in range(len(record.models))]


def row(record: Any, kept: dict[str, Any], number: int) -> list[str]:
    """The cells of one model."""
    model, settings = record.models[number], kept["settings"]
    of = {who: [one for key, one in kept["found"].items() if key.startswith(f"{number} {who} ")] for who in ("ours", "pythae")}
    many, k = len(record.models) > 1, "" if record.measure != "nll" else f"{settings['k']:,} of {settings['digits']:,} digits"
    name = f"{record.title} ([source]({link(record.source)}))" if link(record.source) else f"{record.title} ({record.source})"
    beside = figure(record.measure, of["pythae"]) if model.peer else model.why
    ran = [*of["ours"], *of["pythae"]]
    about = f"{ran[-1]['machine']}, {ran[-1]['date']}" if ran else ""
    budget = f"{settings['steps']:,} steps of {settings['batch']}"
    drawn = {"drawn": "drawn each step", "fixed": "one fixed draw, ours", "none": "none: grey"}[record.binarisation]
    seeds = ", ".join(key.rsplit(" ", 1)[1] for key in kept["found"] if key.startswith(f"{number} ours "))
    title = f"{name}: `{model.recipe}`" if many else f"{name}, `{model.recipe}`"
    return [title, model.published, figure(record.measure, of["ours"]), beside, k or "none", drawn, budget, seeds, about]


def link(source: str) -> str:
    """The address in a source; "" where there is none."""
    return next((word.rstrip(",") for word in source.split() if word.startswith("https://")), "")


def figure(measure: str, found: Sequence[dict[str, Any]]) -> str:
    """What was measured: means over seeds, and each seed's where there are several."""
    if not found:
        return "not yet"
    figures = [one["figures"] for one in found]
    if measure == "nll":
        one = figures[0]
        return f"{one['nll']:.2f} ± {one['half']:.2f} (bound {-one['elbo']:.2f})"
    if measure == "frechet":
        one = figures[0]
        prior = f"; from the prior {one['prior']:.2f}" if "prior" in one else ""
        return f"{one['mixture']:.2f} ± {one['mixture_half']:.2f}{prior}"
    migs = [one["mig"] for one in figures]
    return f"{mean(migs):.3f} ({', '.join(f'{value:.3f}' for value in migs)})"
