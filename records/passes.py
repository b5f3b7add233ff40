"""How the cap on passes over small sources was chosen: validation ELBO after so many steps, schedules fitted to each number.

    python records/passes.py [--steps 120 250 500 1000] [--out FOLDER] [SOURCE...]

The default `vae` on real tables that scikit-learn carries, and on few of MNIST's training digits as bytes, one thread, seed 0:
what `legato train vae --data SOURCE --steps N --threads 1` makes. The last column is the best validation of the longest run.
The test split is never read. Finished runs are not trained again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

import legato
from legato.data import DataOptions, open_source
from legato.run import Run
from legato.training.best import Course, course

STEPS = (120, 250, 500, 1000)


def digits(count: int) -> np.ndarray:
    """So many training digits of MNIST, (count, 28, 28) bytes."""
    mnist = open_source("mnist", DataOptions())
    return np.asarray(mnist.rows[np.sort(mnist.splits["train"].draw(count, "few digits"))])


SOURCES: dict[str, Callable[[], Any]] = {
    "wine": lambda: datasets.load_wine().data,
    "breast cancer": lambda: datasets.load_breast_cancer().data,
    "600 MNIST digits": lambda: digits(600),
    "digits as a table": lambda: datasets.load_digits().data + 0.3 * np.random.default_rng(0).normal(size=(1797, 64)),
    "2,500 MNIST digits": lambda: digits(2500),
}


def main() -> None:
    """Trains what is asked for, and prints a row as each source is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="SOURCE", help=f"of {', '.join(SOURCES)}; by default all")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--out", type=Path, default=Path("runs/passes"))
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in SOURCES]:
        parser.error(f"no source is named {', '.join(unknown)}")
    print(f"| source | rows, steps a pass | {' | '.join(f'{n:,} steps' for n in chosen.steps)} | best of the longest |")
    print(f"|{'---|' * (len(chosen.steps) + 3)}", flush=True)
    for name in chosen.names or SOURCES:
        print(row(name, chosen.steps, chosen.out), flush=True)


def row(name: str, steps: list[int], out: Path) -> str:
    """One source's row of the table."""
    found = [trained(name, count, out / f"{name.replace(' ', '-').replace(',', '')}-{count}") for count in steps]
    run, longest = found[-1]
    rows, size = run.stored("data")["splits"]["train"], run.stored("training")["batch_size"]
    best = f"{longest.best.score:.1f} at {longest.best.step:,}"
    return f"| {name} | {rows:,}, {rows // size} | {' | '.join(f'{one.last.score:.1f}' for _, one in found)} | {best} |"


def trained(name: str, steps: int, out: Path) -> tuple[Run, Course]:
    """A run and what its validations come to."""
    run = Run(out)
    if not run.codes.is_file():
        legato.train("vae", SOURCES[name](), out, steps=steps, threads=1, snapshots=0, overwrite=True)
    judged = course(run.read_metrics())
    assert judged is not None
    return run, judged


if __name__ == "__main__":
    main()
