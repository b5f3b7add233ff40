"""Tiny runs that tests train: blobs of 8×8 pixels and a table, some forty steps, a second each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import legato
from legato.definition import find
from legato.recipe import RECIPES as NAMED

if TYPE_CHECKING:
    from legato.latent_space import LatentSpace

SMALL: dict[str, Any] = {
    "latent_dim": 3,
    "net": "mlp",
    "width": 24,
    "depth": 1,
    "batch_size": 32,
    "steps": 40,
    "learning_rate": 0.01,
    "device": "cpu",
    "threads": 1,
}
KINDS = ("grey", "binary", "colour", "table", "some")
find("vae")  # fills the registry
OF_PAIRS = ("ada_gvae", "ml_vae")  # which take `factors` alone: tests/test_pairs.py
RECIPES = tuple(name for name in NAMED if name not in ("conditional_vae", "m2_vae", *OF_PAIRS))  # the first two in OF_CLASSES

# The first of each file of recipes, for what is dear and the same for all that are built alike.
OF_EACH_IDEA = tuple({NAMED[name].__module__: name for name in reversed(NAMED)}.values())

# Recipes that refuse vectors, each in its own words: for every table of all recipes.
OF_IMAGES = {
    "ssim_vae": "compares images, and one example has shape",
    "hierarchy_vae": "places of an image, and one example has shape",
    **dict.fromkeys(("tokenizer_kl", "tokenizer_vq", "tokenizer_fsq"), "places of an image, and one example has shape"),
}

# name -> recipe, source, and what differs from SMALL
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    **{name: (name, "grey", {}) for name in RECIPES},
    "topk_autoencoder": ("topk_autoencoder", "grey", {"latent_dim": 16, "k": 4}),
    "lfq_vae": ("lfq_vae", "grey", {"entropy": 10.0}),  # else forty steps leave one word
    "bernoulli": ("vae", "grey", {"likelihood": "bernoulli"}),
    "binary": ("vae", "binary", {}),
    "colour": ("vae", "colour", {"steps": 12}),
    "table": ("vae", "table", {}),
    "shaped": ("vae", "grey", {"latent_shape": (2, 4, 4), "net": "strided", "width": 4, "depth": 0}),
    "grid": ("vq_vae", "grey", {"latent_shape": (3, 4, 4), "codebook_size": 8, "net": "conv", "width": 4, "depth": 0}),
}
# Those that ask which class to look at before anything is decoded: the tests that go through RUNS do not say.
OF_CLASSES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "conditional_vae": ("conditional_vae", "grey", {}),
    "conditional conv": ("conditional_vae", "grey", {"steps": 12, "learnt": True, "net": "conv", "width": 4}),
    "conditional table": ("conditional_vae", "table", {"learnt": True}),
    "m2_vae": ("m2_vae", "some", {}),
}


def blobs(n: int = 310, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, 8, 8) bytes, a bright spot at a random place on dim noise; and the quadrant that it is in, (n,)."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(1, 6, (2, n, 1, 1))
    rows, columns = np.mgrid[:8, :8]
    light = 200 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 3) + rng.uniform(0, 40, (n, 8, 8))
    return light.astype(np.uint8), (2 * (y[:, 0, 0] > 3.5) + (x[:, 0, 0] > 3.5)).astype(np.int64)


def write_sources(folder: Path) -> dict[str, Path]:
    """A file of each kind, 310 rows: so that batches of 32 leave rows over, and blocks of 500 are not full."""
    images, labels = blobs()
    table = np.random.default_rng(5).normal(size=(310, 2)) @ [[1, 2, 0, 3], [0, 1, 1, -2]] + [5, 0, -100, 1]
    files = {kind: folder / f"{kind}.npz" for kind in KINDS}
    np.savez(files["grey"], images=images, labels=labels)
    np.savez(files["some"], images=images, labels=np.where(np.arange(310) % 3, -1, labels))  # two of three labels are missing
    np.savez(files["binary"], images=(images > 90).astype(np.uint8), labels=labels)
    np.savez(files["colour"], images=np.stack([images, images[::-1], 255 - images], -1))
    np.savez(files["table"], x=table, y=labels)
    return files


def train(name: str, sources: dict[str, Path], out: Path, **other: Any) -> LatentSpace:
    recipe, kind, own = (RUNS | OF_CLASSES)[name]
    return legato.train(recipe, str(sources[kind]), out, **small(**{**own, **other}))


def small(**other: Any) -> dict[str, Any]:
    """SMALL, and what differs from it: a shape takes the place of a length."""
    return {name: value for name, value in {**SMALL, **other}.items() if name != "latent_dim" or "latent_shape" not in other}


class Runs(Mapping[str, Path]):
    """Name -> a finished run, trained when it is first asked for."""

    def __init__(self, folder: Path, sources: dict[str, Path]) -> None:
        self.folder, self.sources = folder, sources

    def __getitem__(self, name: str) -> Path:
        out = self.folder / name
        if not out.exists():
            train(name, self.sources, out)
        return out

    def __iter__(self) -> Iterator[str]:
        return iter(RUNS)

    def __len__(self) -> int:
        return len(RUNS)


def arguments(recipe: str, source: Path, out: Path, **other: Any) -> list[str]:
    """The command line of the same."""
    said = {**SMALL, **other}
    return [
        "train", recipe, "--data", str(source), "--out", str(out),
        *(word for option, value in said.items() for word in (f"--{option.replace('_', '-')}", str(value))),
    ]  # fmt: skip


def metrics(run: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what a clock says."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "clock"} for line in lines]
