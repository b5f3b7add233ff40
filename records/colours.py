"""A hierarchy and a codebook beside the flat `vae` on a folder of colour pictures, each trained for the same time.

    python records/colours.py FOLDER --group '^([0-9a-f]+)' [--minutes 30] [--size 64] [--threads 2] [--out runs/colours]

Each is trained by `legato train` at its defaults and keeps the weights of its best validation; `legato evaluate` then says its
bits per dimension of the test split. `--group` keeps variants of one picture in one split. Sheets of test pictures above their
reconstructions and of samples lie beside the runs. A further call goes on with what is missing; a run that was stopped has the
steps that were found at its start. The table is printed, and written to records/colours.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from board import legato, trained
from trials import processor

from legato.files import write_json
from legato.run import Run

RECIPES = ("vae", "vq_vae", "hierarchy_vae")
KEPT = Path(__file__).with_suffix(".json")
HEADS = ("recipe", "bits per dimension", "rate, nats", "steps", "passes", "minutes")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--group", required=True, help="a regular expression: pictures with the same match stay together")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/colours"))
    chosen = parser.parse_args(arguments)
    rows = [trial(recipe, chosen) for recipe in RECIPES]
    about = {"minutes": chosen.minutes, "size": chosen.size, "machine": processor(), "date": str(date.today())}
    write_json(KEPT if chosen.minutes >= 30 else chosen.out / KEPT.name, {**about, "rows": rows})
    print(table(rows))


def trial(recipe: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Trains one recipe, or goes on with it, and gives its row of the table."""
    run, threads = chosen.out / recipe, ["--threads", str(chosen.threads)]
    figures = run / "figures.json"
    data = ["--data", str(chosen.folder), "--size", str(chosen.size), "--group", chosen.group]
    length = ["--minutes", str(chosen.minutes), "--max-passes", "1000000", "--keep", "best"]
    trained(run, [recipe, *data, *length], chosen.threads)
    if not figures.is_file():
        legato("reconstruct", str(run), "--n", "16", "--out", str(chosen.out / f"{recipe}-reconstructions.png"), *threads)
        legato("sample", str(run), "--n", "64", "--out", str(chosen.out / f"{recipe}-samples.png"), *threads)
        legato("evaluate", str(run), "--k", "1", "--json", str(figures), *threads)
    return row(recipe, json.loads(figures.read_text(encoding="utf-8")), Run(run))


def row(recipe: str, figures: dict[str, Any], run: Run) -> dict[str, Any]:
    """The figures of one recipe, by the names of the table's columns."""
    plan, bits = run.stored("training"), figures["bits_per_dim"]
    seconds = [line["clock"]["seconds"] for line in run.read_metrics()][-1]
    return {
        "recipe": f"`{recipe}`",
        "bits per dimension": f"{bits['value']:.3f} [{bits['low']:.3f}, {bits['high']:.3f}]",
        "rate, nats": f"{figures['rate']['value']:.0f}",
        "steps": f"{plan['total']:,} of {plan['batch_size']}",
        "passes": f"{plan['total'] * plan['batch_size'] / run.stored('data')['splits']['train']:.0f}",
        "minutes": f"{seconds / 60:.1f}",
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [HEADS, ["---"] * len(HEADS), *([str(one[head]) for head in HEADS] for one in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
