"""Whether a change of the house moved a number: the same trainings by two checkouts, compared bit for bit.

    python records/unmoved.py BEFORE [AFTER] [--claims]      # folders with `src/legato`; AFTER is this one by default

Every recipe that both know is trained for 300 steps on MNIST and on factors with every word explicit, in float32 on one thread
of the CPU. Compared are SHA-256 of the weights (each tensor's type, shape and bytes, whatever it is called), of the metrics
without their clocks, of what `evaluate` writes, of the codes that `encode` writes, and of the pixels of `sample`. `--claims`:
also the estimates of `legato claims --quick` with 100 steps for every model.

To get BEFORE: git worktree add BEFORE COMMIT. Covered: that nothing moved. Not covered: that it is right (tests/).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

ROOT = Path(__file__).parent.parent
BETA = {"beta_vae": ["--beta", "4"], "fixed_noise_autoencoder": ["--noise", "0.1"], "warmup_vae": ["--warmup", "100"]}
NET = ["--net", "mlp", "--width", "64", "--depth", "2"]
TRAINING = [
    *("--steps", "300", "--batch-size", "64", "--learning-rate", "0.001", "--warmup-steps", "50", "--weight-decay", "0"),
    *("--clip", "200", "--ema", "0.99", "--precision", "float32", "--snapshots", "3", "--keep", "last"),
]
ONE = ["--seed", "0", "--device", "cpu", "--threads", "1"]
RECIPES = (
    *("autoencoder", "beta_vae", "fixed_noise_autoencoder", "mean_only_vae", "noisy_autoencoder", "pulled_autoencoder"),
    *("sigma_vae", "vae", "warmup_vae"),
)
SOURCES = {"mnist": "bernoulli", "factors": "gaussian"}


class Checkout:
    """A folder with `src/legato`, whose command is run in a place of its own."""

    def __init__(self, tree: Path, place: Path) -> None:
        self.tree, self.place = tree.resolve(), place
        place.mkdir()

    def legato(self, *words: str) -> None:
        """Runs a command. Raises `SystemExit` where it fails."""
        paths = {"PYTHONPATH": str(self.tree / "src"), "LEGATO_CACHE": str(self.place / "store"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "legato", *words]
        done = subprocess.run(command, cwd=self.place, env={**os.environ, **paths}, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{self.tree}: legato {' '.join(words)}: {done.stderr.strip().splitlines()[-1:]}")

    def trained(self, recipe: str, source: str) -> dict[str, str]:
        """What is compared of a recipe on a source, by its name."""
        words = [] if recipe == "sigma_vae" else ["--likelihood", SOURCES[source]]
        run = f"{recipe}-{source}"
        sentence = [*BETA.get(recipe, []), "--latent-dim", "4", *NET, *words]
        self.legato("train", recipe, "--data", source, *sentence, *TRAINING, *ONE, "--out", run)
        self.legato("evaluate", run, "--limit", "200", "--k", "10", "--json", f"{run}.json", *ONE)
        self.legato("encode", run, "--out", f"{run}.npz", *ONE[2:])
        self.legato("sample", run, "--out", f"{run}.png", "--from", "prior", *ONE)
        lines = (self.place / run / "metrics.jsonl").read_text().splitlines()
        return {
            "weights": of_tensors(load_file(self.place / run / "model.safetensors")),
            "metrics": digest([{k: v for k, v in json.loads(line).items() if k != "clock"} for line in lines]),
            "evaluate": digest(json.loads((self.place / f"{run}.json").read_text())),
            "codes": of_tensors(arrays(np.load(self.place / f"{run}.npz"))),
            "samples": of_tensors({"pixels": np.asarray(Image.open(self.place / f"{run}.png"))}),
        }

    def claims(self) -> dict[str, str]:
        """The estimates of the quick claims, by the claim's number."""
        steps = ["--seeds", "2", "--steps-per-model", "100", "--device", "cpu", "--threads", "1"]
        self.legato("claims", "--data", "mnist", "--quick", *steps, "--out", "claims")
        found = json.loads((self.place / "claims" / "claims.json").read_text())["claims"]
        return {f"claim {claim['id']}": digest({k: claim[k] for k in ("primary", "controls", "rule")}) for claim in found}


def arrays(held: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Those that hold numbers."""
    return {name: held[name] for name in held if held[name].dtype.kind in "fiub"}


def of_tensors(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of arrays, whatever they are called and in whatever order they lie."""
    parts = (f"{a.dtype} {a.shape} {hashlib.sha256(np.ascontiguousarray(a)).hexdigest()}" for a in tensors.values())
    return digest(sorted(parts))


def digest(value: Any) -> str:
    """SHA-256 of JSON, its keys sorted."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def main() -> None:
    """Trains, compares, prints a table; exit code 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="?", default=ROOT)
    parser.add_argument("--claims", action="store_true")
    parser.add_argument("--recipes", nargs="*", default=RECIPES)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        both = [Checkout(tree, Path(scratch, name)) for name, tree in (("before", asked.before), ("after", asked.after))]
        rows = {
            f"{recipe}, {source}": [each.trained(recipe, source) for each in both]
            for recipe in asked.recipes
            for source in SOURCES
        }
        if asked.claims:
            rows["quick claims"] = [each.claims() for each in both]
    moved = 0
    for name, (before, after) in rows.items():
        for what in sorted(before.keys() | after.keys()):
            same = before.get(what) == after.get(what)
            moved += not same
            print(f"{name:40} {what:10} {before.get(what, '')[:16]} {after.get(what, '')[:16]} {'equal' if same else 'MOVED'}")
    print(f"{moved} moved")
    raise SystemExit(bool(moved))


if __name__ == "__main__":
    main()
