"""The thirteen small models of docs/theory.md, trained and opened."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

import legato
from legato.latent_space import LatentSpace

NETWORK = ["--net", "mlp", "--width", "256", "--depth", "2", "--batch-size", "128", "--precision", "float32", "--threads", "1"]
BETAS = (0.1, 0.3, 1.0, 3.0, 10.0, 39.2)  # the last is what a loss averaged over 784 pixels and 20 latents hides
MEMBERS = {
    "vae-2": ["vae"],
    "noise-2": ["noisy_autoencoder"],
    "autoencoder-2": ["autoencoder"],
    "mean-only-2": ["mean_only_vae"],
    "fixed-noise-2": ["fixed_noise_autoencoder"],
    "autoencoder-20": ["autoencoder"],
    "noise-20": ["noisy_autoencoder"],
    **{f"beta-{beta:g}-20": ["vae", "--beta", f"{beta:g}"] for beta in BETAS},
}
TITLES = {
    "autoencoder": "Autoencoder",
    "noise": "Noise, no KL",
    "mean-only": "KL on μ alone",
    "fixed-noise": "Noise fixed at 1, no KL",
    "vae": "VAE",
    "beta-1": "VAE",
}
FIVE = [name for name in MEMBERS if name.endswith("-2")]


def title(name: str) -> str:
    """In plain words."""
    return TITLES[name.rsplit("-", 1)[0]]


def train(out: Path, steps: int, seed: int) -> None:
    """Trains what is missing, two at a time on one thread each."""

    def one(name: str) -> None:
        run = out / name
        if (run / "codes.safetensors").is_file():
            return
        fixed = ["--data", "mnist", "--latent-dim", name.rsplit("-", 1)[1], "--steps", str(steps), "--seed", str(seed)]
        fixed += ["--threads", "1"]
        command = [str(Path(sys.executable).with_name("legato")), "train", *MEMBERS[name], *fixed, *NETWORK]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, "--out", str(run), "--overwrite"], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stderr)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, MEMBERS))


class Models:
    """The trained spaces by name, opened when first asked for, and the test digits that all are shown."""

    def __init__(self, out: Path) -> None:
        self.out, self._open = out, dict[str, LatentSpace]()
        self.data = self["vae-2"].data()
        self.test = self.data.split("test").draw(10_000, "shown")

    def __getitem__(self, name: str) -> LatentSpace:
        if name not in self._open:
            self._open[name] = legato.load(self.out / name, device="cpu")
        return self._open[name]

    def stored(self, rows: Any) -> Any:
        """Digits as bytes."""
        return np.asarray(self.data.dataset.rows)[rows]

    def digits(self, n: int) -> torch.Tensor:
        """n test digits as a model sees them, (n, 1, 28, 28)."""
        return torch.from_numpy(self["vae-2"].prepare(self.stored(self.test[:n]), self.test[:n]))

    def codes(self, name: str, n: int) -> tuple[Any, Any]:
        """μ and σ of the same test digits."""
        mu, sigma = self[name].encode(self.stored(self.test[:n]), self.test[:n])
        return mu, sigma

    @torch.no_grad()
    def costs(self, name: str, n: int = 2000) -> tuple[float, float]:
        """Distortion and rate, nats per digit: means over n test digits of one draw each."""
        torch.manual_seed(0)
        trace = self[name].model(self.digits(n))
        rate = trace.kl.mean().item() if self[name].has_density else float("nan")
        return -trace.log_px.mean().item(), rate
