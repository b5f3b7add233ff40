"""What the browser is shown: 600 small pictures of three shapes, and three models of them, trained in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import legato
from legato.explorer.tiles import rgba
from legato.latent_space import LatentSpace

N, SIDE = 600, 28
SHAPES = ("disc", "bar", "frame")
COMMON: dict[str, Any] = {
    "likelihood": "bernoulli", "net": "mlp", "width": 64, "depth": 1, "batch_size": 64, "steps": 300, "learning_rate": 0.01,
    "seed": 0, "device": "cpu", "threads": 1,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "vae": ("vae", {"latent_dim": 2}),
    "autoencoder": ("autoencoder", {"latent_dim": 2}),
    "told": ("conditional_vae", {"latent_dim": 2}),
    # So dear a rate that some dimension carries nothing, and so long that this holds in either precision on any chip: after 300
    # steps one was at 0.002 nats in float32 and at 0.05 in bfloat16, after 600 at 0.0003 in both.
    "five": ("vae", {"latent_dim": 5, "beta": 6.0, "steps": 600}),
}


def pictures(n: int = N, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(n, 28, 28) bytes, a disc, a bar or a frame a few pixels off the middle; and which of them, (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(SHAPES), n)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    y, x = 13.5 + rng.uniform(-4, 4, (2, n, 1, 1))
    across, down = np.abs(columns - x), np.abs(rows - y)
    drawn = np.stack([np.hypot(across, down) - 6, np.maximum(across - 9, down - 2), np.abs(np.maximum(across, down) - 6) - 1.5])
    light = 230 / (1 + np.exp(3 * drawn[labels, np.arange(n)]))
    return (light + rng.uniform(0, 20, light.shape)).astype(np.uint8), labels


def write(folder: Path) -> Path:
    """The source as a file."""
    images, labels = pictures()
    np.savez(folder / "shapes.npz", images=images, labels=labels)
    return folder / "shapes.npz"


def train(name: str, source: Path, out: Path) -> Path:
    """A run of one of `MODELS`."""
    recipe, own = MODELS[name]
    legato.train(recipe, str(source), out, **{**COMMON, **own})
    return out


def decoded(space: LatentSpace, z: Any) -> NDArray[np.uint8]:
    """What Python's decoder makes of codes (n, d), as bytes (n, 28, 28, 4)."""
    return rgba(space.decode(np.asarray(z, np.float32)))
