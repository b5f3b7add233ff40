"""Priors fitted to the codes of one run, side by side: what each costs, gains and draws.

    python records/refits.py RUN [--minutes 3] [--threads 2]

The table of docs/sampling.md, of the demo's `vae` with 16 latents: `make demo`, then this of runs/demo/vae-16.
Each is fitted by `legato refit`; gains are of draws z ~ q(z|x) of validation digits, those of flow matching of 1,000. The
last lines: paired, log p(z) by flow matching less that by the mixture, of the same draws; and samples of flow matching at a
temperature, chosen by their distance from validation digits, judged by test digits. Written to records/refits.json.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from trials import processor

import legato
from legato.files import write_json
from legato.fitted.fits import FOLLOWED, log_density
from legato.fitted.kept import read
from legato.measures.estimate import estimate_of, mean_over
from legato.measures.fidelity import frechet
from legato.measures.interval import bracketed
from legato.measures.manifold import manifold
from legato.refits import HELD_OUT, IMAGES, TRAINED, codes_of, refit
from legato.survey.material import material

KINDS = ("gaussian", "mixture", "flow", "flow-matching")
TEMPERATURES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
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
    cold = cooled(space)
    print(*(f"{name}: {bracketed(estimate_of(one)) if 'unit' in one else one}" for name, one in cold.items()), sep="\n")
    about = {"run": chosen.run.name, "minutes": chosen.minutes, "machine": processor(), "date": str(date.today())}
    write_json(KEPT, {**about, "priors": told, "flow matching less the mixture": paired.to_json(), "cooled": cold})


def beside(space: legato.LatentSpace) -> Any:
    """log p(z) by flow matching less that by the mixture, of the same draws of validation codes."""
    held = codes_of(space, "validation", HELD_OUT)
    found = {kind: log_density(read(space.run.priors, kind, space.model), held)[1][:FOLLOWED] for kind in KINDS[1:4:2]}
    return mean_over(found["flow-matching"] - found["mixture"], "nats per example", "paired")


def cooled(space: legato.LatentSpace) -> dict[str, Any]:
    """Samples of flow matching from noise times a temperature: nearer to real digits, and fewer kinds of them."""
    fitted, data = space.under("flow-matching"), space.data()
    of = material(data, TRAINED, IMAGES)
    held = data.split("validation").draw(len(of.test), "cooled")

    def drawn(temperature: float, seed: int) -> Any:
        images = fitted.sample(len(of.test), seed=seed, origin="prior", temperature=temperature)
        return of.reference.features(np.asarray(images, np.float32))

    seen = of.reference.features(data.preparation.original(data.dataset.take(held)))
    tried = {temperature: frechet(seen, drawn(temperature, 1)).value or math.inf for temperature in TEMPERATURES}
    best = min(tried, key=lambda one: tried[one])
    real, samples = of.reference.real, {f"at {temperature:g}": drawn(temperature, 0) for temperature in (1.0, best)}
    samples["reconstructions"] = of.reference.features(space.decode(space.posterior(of.test.x)[0]))
    found: dict[str, Any] = {
        "Fréchet from validation digits, by temperature": {f"{key:g}": value for key, value in tried.items()}
    }
    for name, features in samples.items():
        found[f"Fréchet {name}"] = frechet(real.features, features).to_json()
        found[f"coverage {name}"] = manifold(real.cloud, features).coverage.to_json()
    return found


def row(title: str, told: dict[str, Any], when: str) -> list[str]:
    """The figures of one prior, by the table's columns."""
    own = when == "before"
    shown = [f"frechet {when}", "frechet codes", "frechet reconstructions", f"kid {when}", f"copies {when}"]
    gained = "0" if own else bracketed(estimate_of(told["gained"]))
    return [title, "—" if own else str(told["seconds"]), gained, *(bracketed(estimate_of(told[one])) for one in shown)]


if __name__ == "__main__":
    main()
