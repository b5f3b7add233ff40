"""How a training grows: seconds of a step and peak memory against batch, width, latents, rows and ranks; slopes on log axes.

    python benchmarks/growth.py [--only WORD] [--json FILE]

One thing grows at a time from `MIDDLE`; each point is a process of its own (two, where two ranks share the batch), with one
thread, so that its peak memory is its own. The slope is that of a straight line through the points on logarithmic axes: 1 is
proportional, 0 does not grow.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

import legato
from legato.ranks import joined
from legato.run import Run

MIDDLE = {"batch_size": 128, "width": 512, "latent_dim": 32, "rows": 10_000, "ranks": 1}
GROWN = {
    "batch_size": (32, 128, 512, 2048),
    "width": (128, 256, 512, 1024, 2048),
    "latent_dim": (2, 8, 32, 128, 512),
    "rows": (2_000, 10_000, 50_000, 250_000),
    "ranks": (1, 2),
}
STEPS, PIXELS = 120, 784


@dataclass(frozen=True)
class Point:
    """What one training took: seconds of a step, and the peak memory of its largest process, bytes."""

    value: int
    seconds: float
    memory: int


def one(words: dict[str, int]) -> dict[str, float]:
    """A training of these words in this process, which may be one of several ranks."""
    with tempfile.TemporaryDirectory() as folder, joined(torch.device("cpu")) as ranks:
        folder = ranks.said(folder)
        rows = np.random.default_rng(0).integers(0, 256, (words["rows"], PIXELS), dtype=np.uint8).reshape(-1, 1, 28, 28)
        chosen = {name: words[name] for name in ("batch_size", "width", "latent_dim")}
        how: dict[str, Any] = {"net": "mlp", "depth": 2, "steps": STEPS, "snapshots": 0, "threads": 1, "device": "cpu"}
        legato.train("vae", rows, Path(folder) / "run", precision="float32", **how, **chosen)
        lines = [line for line in Run(Path(folder) / "run").read_metrics() if "train" in line]
        # from the first third on: the first steps lay out memory
        first, last = lines[len(lines) // 3], lines[-1]
        seconds = (last["clock"]["seconds"] - first["clock"]["seconds"]) / (last["step"] - first["step"])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"seconds": seconds, "memory": float(ranks.total(torch.tensor([float(memory)])).item()) / ranks.world}


def point(name: str, value: int) -> Point:
    """The training at this value of one word, in processes of its own."""
    words = {**MIDDLE, name: value}
    count = words["ranks"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)] if count > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = [sys.executable, *launcher, __file__, "--one", json.dumps(words)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return Point(value, found["seconds"], int(found["memory"]))


def slope(points: list[Point], what: str) -> float:
    """Of a straight line through the logarithms."""
    x, y = np.log([[one.value, getattr(one, what)] for one in points]).T
    return float(np.polyfit(x, y, 1)[0])


def rows_of(name: str, points: list[Point]) -> Iterator[str]:
    """Lines of the table."""
    yield f"| {name.replace('_', ' ')} | {' | '.join(['seconds of a step, ms', 'peak memory, MB'])} |"
    yield "|---|---|---|"
    for each in points:
        yield f"| {each.value:,} | {1e3 * each.seconds:.1f} | {each.memory / 1e6:,.0f} |"
    yield f"| slope | {slope(points, 'seconds'):.2f} | {slope(points, 'memory'):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="one of the words")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(one(json.loads(chosen.one))))
        return
    print(f"{date.today()}, {platform.machine()}, torch {torch.__version__}, one thread for each process")
    found = {}
    for name, values in GROWN.items():
        if chosen.only in name:
            found[name] = [point(name, value) for value in values]
            print("\n".join(["", *rows_of(name, found[name])]), flush=True)
    if chosen.json:
        told = {name: [vars(each) for each in points] for name, points in found.items()}
        chosen.json.write_text(json.dumps({"date": str(date.today()), **told}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
