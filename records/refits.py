"""Priors fitted to the codes of one run, side by side: what each costs, gains and draws.

    python records/refits.py RUN [--minutes 3] [--threads 2]

The table of docs/sampling.md, of the demo's `vae` with 16 latents: `make demo`, then this of runs/demo/vae-16.
Each is fitted by `legato refit`; gains are of draws z ~ q(z|x) of validation digits, those of flow matching of 1,000. The
last line is paired: log p(z) by flow matching less that by the mixture, of the same draws. Written to records/refits.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from trials import processor

import legato
from legato.files import write_json
from legato.fitted.fits import FOLLOWED, log_density
from legato.fitted.kept import read
from legato.measures.estimate import mean_over
from legato.measures.interval import bracketed
from legato.refits import HELD_OUT, codes_of, refit
from legato.report.trained.numbers import estimate_of

KINDS = ("gaussian", "mixture", "flow", "flow-matching")
HEADS = ("prior", "fitted in, s", "gained, nats", "Fréchet", "of codes", "of reconstructions", "KID", "copies")
KEPT = Path(__file__).with_suffix(".json")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    space = legato.load(chosen.run, threads=chosen.threads)
    told = {kind: refit(space, kind, minutes=chosen.minutes).told for kind in KINDS}
    paired = beside(space)
    rows = [row("N(0, I), its own", told["gaussian"], "before"), *(row(kind, told[kind], "after") for kind in KINDS)]
    print("\n".join(f"| {' | '.join(line)} |" for line in (HEADS, ["---"] * len(HEADS), *rows)))
    print(f"flow matching less the mixture, paired: {bracketed(paired)} nats")
    about = {"run": chosen.run.name, "minutes": chosen.minutes, "machine": processor(), "date": str(date.today())}
    write_json(KEPT, {**about, "priors": told, "flow matching less the mixture": paired.to_json()})


def beside(space: legato.LatentSpace) -> Any:
    """log p(z) by flow matching less that by the mixture, of the same draws of validation codes."""
    held = codes_of(space, "validation", HELD_OUT)
    found = {kind: log_density(read(space.run.priors, kind, space.model), held)[1][:FOLLOWED] for kind in KINDS[1:4:2]}
    return mean_over(found["flow-matching"] - found["mixture"], "nats per example", "paired")


def row(title: str, told: dict[str, Any], when: str) -> list[str]:
    """The figures of one prior, by the table's columns."""
    own = when == "before"
    shown = [f"frechet {when}", "frechet codes", "frechet reconstructions", f"kid {when}", f"copies {when}"]
    gained = "0" if own else bracketed(estimate_of(told["gained"]))
    return [title, "—" if own else str(told["seconds"]), gained, *(bracketed(estimate_of(told[one])) for one in shown)]


if __name__ == "__main__":
    main()
