"""What the full scorecard of one model costs, chapter by chapter; what of it is matrix products; how it grows with N, d and k.

    python benchmarks/scorecard.py [RUN] [--part chapters|ratio|growth|memory|accuracy] [--threads 2] [--clock wall|cpu]

The model is a `vae` of 32 latents (mlp, width 512, depth 2) on MNIST, trained here for `--steps`, or a RUN with its own data.
All 60,000 training images are referred to, so that sums run over 60,000 posteriors; 10,000 test images are measured.

A chapter pays for what it is the first to need (codes, draws, decoded samples), as in any survey. Ratios are taken within one
run, contestants in turns, the least of `--rounds`. `--clock cpu` counts the process's CPU seconds, over all of its threads: the
clock to use on a machine with other work. Covered: cost and memory; the aggregate's error at small σ. Not covered: whether the
figures are right (tests), a model that is worth measuring (records/).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from aggregate import accuracy, beside_products, least, posteriors
from throughput import processor

from legato.data.prepared import Prepared
from legato.data.splits import Split
from legato.latent_space import LatentSpace
from legato.loading import load
from legato.measures.aggregate import log_aggregate, sample_posteriors
from legato.measures.likelihood import importance_curve
from legato.measures.marginals import log_aggregate_marginals
from legato.survey import FULL, QUICK, Survey, survey
from legato.survey.chapters import CHAPTERS
from legato.survey.material import material
from legato.survey.subject import Trained
from legato.training import train

EFFORTS = {"full": FULL, "quick": QUICK}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
NUMBERS, DIMENSIONS, WEIGHTS = (15_000, 30_000, 60_000), (8, 32, 128), (50, 500, 5000)
NARROW = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
DRAWS, IMAGES, FEW = 2000, 40, 20  # of growth: points, and images whose likelihood is weighted, so many at once
LIMIT = 300  # seconds: what a whole scorecard may take on two cores


@cache
def trained(run: Path, steps: int) -> LatentSpace:
    """A RUN; where there is none, the benchmark's own model."""
    if run.exists():
        return load(run, device="cpu", threads=torch.get_num_threads())
    shape = {"latent_dim": 32, "net": "mlp", "width": 512, "depth": 2}
    return train("vae", "mnist", run, device="cpu", threads=torch.get_num_threads(), steps=steps, **shape)


def all_referred_to(data: Prepared) -> Prepared:
    """With the validation rows among the training rows: nothing is chosen here."""
    splits = data.dataset.splits
    joined = np.sort(np.concatenate([splits["train"].all(), splits["validation"].all()]))
    joint = splits | {"train": Split(joined), "validation": Split(joined[:0])}
    return replace(data, dataset=replace(data.dataset, splits=joint))


def memory() -> float:
    """The most memory that this process has held until now, GB."""
    status = Path("/proc/self/status")  # where there is one: a new process's `ru_maxrss` starts at that of its parent
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    most = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if most is None else most) * 1024 / 1e9


# ------------------------------------------------------------------------------------------------- the chapters


def laps(space: LatentSpace, effort: str) -> tuple[Survey, dict[str, tuple[float, float, float]]]:
    """The survey, and for each chapter its wall seconds, its CPU seconds and the most memory until its end."""
    marks: list[tuple[str, float, float, float]] = []

    def mark(title: str) -> None:
        marks.append((title, time.perf_counter(), time.process_time(), memory()))
        print(f"from {time.process_time():.0f} CPU s: {title}", file=sys.stderr, flush=True)

    mark("rows")
    chosen = EFFORTS[effort]
    shared = material(all_referred_to(space.data()), chosen.train, chosen.test)
    found = survey(Trained(space), shared, chosen, told=mark)
    mark("end")
    pairs = pairwise(marks)
    return found, {a[0]: (b[1] - a[1], b[2] - a[2], b[3]) for a, b in pairs}


def chapters(space: LatentSpace, effort: str) -> Iterator[str]:
    found, times = laps(space, effort)
    yield f"{'chapter':<30} {'wall s':>8} {'CPU s':>8} {'GB until then':>14}  n of its figures"
    counts = {chapter.title: _counts(found, chapter.measures) for chapter in CHAPTERS}
    for title, (wall, cpu, most) in times.items():
        yield f"{title:<30} {wall:8.1f} {cpu:8.1f} {most:14.2f}  {counts.get(title, '')}"
    wall, cpu = (sum(one[i] for one in times.values()) for i in (0, 1))
    yield f"{'all':<30} {wall:8.1f} {cpu:8.1f} {memory():14.2f}  at most {LIMIT} s wall on 2 cores: {wall / LIMIT:.0%} of it"
    yield f"effort: {json.dumps(found.effort.to_json())}"


def _counts(found: Survey, measures: tuple[str, ...]) -> str:
    figures = [found.figures[name] for name in measures if name in found.figures]
    counts = ", ".join(f"{n:,}" for n in sorted({one.n for one in figures if one.value is not None}))
    missing = sum(one.value is None for one in figures)
    return counts + (f" ({missing} of {len(figures)} absent)" if missing else "")


# ------------------------------------------------------------------------------------------------- ratios


def ratio(clock: str, rounds: int) -> Iterator[str]:
    yield f"the aggregate beside its own matrix products, {FULL.train:,} posteriors, {FULL.outer:,} draws"
    yield f"{'d':>5} {'products':>9} {'joint':>8} {'ratio':>6} {'marginals':>10}  {clock} seconds"
    for d in DIMENSIONS:
        bare, ours = beside_products(FULL.train, d, FULL.outer, rounds, CLOCKS[clock])
        yield f"{d:5} {bare:9.2f} {ours['joint']:8.2f} {ours['joint'] / bare:6.2f} {ours['marginals']:10.2f}"


def growth(space: LatentSpace, clock: str, rounds: int) -> Iterator[str]:
    yield f"{'growth':<34} {clock + ' seconds':>24}   times the one before"
    by_n = {n: _aggregate(n, 32) for n in NUMBERS}
    by_d = {d: _aggregate(60_000, d) for d in DIMENSIONS}
    for name, sizes, part in (("joint", by_n, 0), ("marginals", by_n, 1), ("joint", by_d, 0), ("marginals", by_d, 1)):
        of = "N, d = 32" if sizes is by_n else "d, N = 60,000"
        yield _grown(f"{name}, {of}", {str(at): one[part] for at, one in sizes.items()}, clock, rounds)
    weights = {str(k): partial(_weighted, space, k) for k in WEIGHTS}
    yield _grown(f"importance weights, k, {IMAGES} images", weights, clock, rounds)


def _grown(what: str, contestants: dict[str, Callable[[], object]], clock: str, rounds: int) -> str:
    found = least(contestants, rounds, CLOCKS[clock])
    seconds = list(found.values())
    times = ", ".join(f"{at}: {one:.2f}" for at, one in found.items())
    return f"{what:<34} {times}   {', '.join(f'{b / a:.2f}' for a, b in pairwise(seconds))}"


def _aggregate(n: int, d: int) -> tuple[Callable[[], object], Callable[[], object]]:
    mu, sigma = posteriors(n, d)
    z, _ = sample_posteriors(mu, sigma, DRAWS)
    return partial(log_aggregate, z, mu, sigma), partial(log_aggregate_marginals, z, mu, sigma)


def _weighted(space: LatentSpace, k: int) -> object:
    data = space.data()
    x = torch.from_numpy(data.rows(data.split("test").draw(IMAGES, "measured")))
    return importance_curve(space.model, torch.split(x, FEW), [k])


# ------------------------------------------------------------------------------------------------- memory


def held() -> Iterator[str]:
    """In a process of its own: a peak never falls again."""
    yield "memory of the joint density, d = 32, each in a process of its own: GB at most, and how much of it came with the call"
    for n, draws in ((15_000, FULL.outer), (60_000, FULL.outer), (60_000, 4 * FULL.outer)):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            before, after = pool.apply(_joint_alone, (n, draws, torch.get_num_threads()))
        yield f"{n:7,} posteriors, {draws:6,} draws: {after:.2f}, {after - before:.2f}"


def _joint_alone(n: int, draws: int, threads: int) -> tuple[float, float]:
    torch.set_num_threads(threads)
    mu, sigma = posteriors(n, 32)
    z, _ = sample_posteriors(mu, sigma, draws)
    before = memory()
    log_aggregate(z, mu, sigma)
    return before, memory()


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--effort", choices=EFFORTS, default="full")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    return parser.parse_args()


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "chapters": lambda chosen: chapters(trained(chosen.run, chosen.steps), chosen.effort),
    "ratio": lambda chosen: ratio(chosen.clock, chosen.rounds),
    "growth": lambda chosen: growth(trained(chosen.run, chosen.steps), chosen.clock, chosen.rounds),
    "memory": lambda _: held(),
    "accuracy": lambda _: accuracy(NARROW),
}


def main() -> None:
    chosen = options()
    torch.set_num_threads(chosen.threads)
    model = str(chosen.run) if chosen.run else f"vae, 32 latents, mlp 512 x 2, {chosen.steps} steps on MNIST"
    print(f"{date.today()}, {processor()}, {chosen.threads} threads, torch {torch.__version__}; {model}")
    with tempfile.TemporaryDirectory() as folder:
        chosen.run = chosen.run or Path(folder) / "run"
        for part in chosen.part:
            print(f"\n{part}")
            for line in PARTS[part](chosen):
                print(line, flush=True)


if __name__ == "__main__":
    main()
