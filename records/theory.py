"""The figures and the numbers of docs/theory.md: thirteen small models trained on MNIST, measured and drawn.

    python records/theory.py [--steps 3000] [--seed 0] [--out runs/theory] [--images docs/images] [NAME...]

Five models have 2 latents, for pictures; eight have 20, six of them VAEs at different β. All share one network and one number
of steps; finished ones are not trained again. 20 s of one core for each model and 40 s for the figures: some 3 minutes on two
idle cores. Prints every number that the page quotes, with the date. Digits are the first ones of the test split and nothing
is picked. One seed: the numbers illustrate, and the page draws no verdict from them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date
from functools import partial
from io import BytesIO
from pathlib import Path

import theory_maps
import theory_steps
import torch
from matplotlib.figure import Figure
from PIL import Image
from theory_models import Models, train

from legato.files import whole_file
from legato.report import style

FIGURES: dict[str, Callable[[Models], Figure]] = {
    "log-sigma": theory_steps.log_sigma,
    "evidence": theory_steps.evidence,
    "forces": theory_steps.forces,
    "draw": theory_steps.draw,
    "maps": partial(theory_maps.map_of, names=("autoencoder-2", "vae-2")),
    "planes": theory_maps.planes,
    "clouds": partial(theory_maps.map_of, names=("noise-2", "mean-only-2", "fixed-noise-2")),
    "interpolation": theory_maps.interpolation,
    "sigma": theory_maps.sigma,
    "samples": theory_maps.samples,
    "continuity": theory_maps.continuity,
    "beta": theory_maps.beta,
}


def save(figure: Figure, path: Path) -> None:
    """As a PNG of 96 colours: a third of the bytes, and no eye sees it."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as image, whole_file(path) as file:
        image.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True)


def main() -> None:
    """Trains, measures, draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)}, holes; by default all")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/theory"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    chosen = parser.parse_args()
    train(chosen.out, chosen.steps, chosen.seed)
    models = Models(chosen.out)
    print(f"{date.today()}, seed {chosen.seed}, {chosen.steps:,} steps, torch {torch.__version__}")
    for name in chosen.names or [*FIGURES, "holes"]:
        print(f"{name}:", flush=True)
        if name == "holes":
            theory_maps.holes(models)
            continue
        with style.styled():
            save(FIGURES[name](models), chosen.images / f"theory-{name}.png")


if __name__ == "__main__":
    main()
