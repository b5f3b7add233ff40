"""The six runs of the demo: three recipes, one network, 2 latents for the pictures and 16 for the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from legato.data import DataOptions
from legato.devices import say_threads, threads_were_said
from legato.latent_space import LatentSpace
from legato.loading import load
from legato.run import Run
from legato.training import Job, TrainingOptions, begin, complete
from legato.training.engine import steady
from legato.training.threads import counted

RECIPES = ("autoencoder", "noisy_autoencoder", "vae")
TITLES = {"autoencoder": "Autoencoder", "noisy_autoencoder": "Noise, no KL", "vae": "VAE"}
SMALL, LARGE = 2, 16  # latents: 2 for the pictures, which then show all there is, and 16 for the numbers
NETWORK = {"net": "mlp", "width": 512, "depth": 2}  # one network for all: what differs is the recipe's word alone


@dataclass(frozen=True)
class Member:
    """One trained run."""

    recipe: str
    latent_dim: int
    space: LatentSpace

    @property
    def title(self) -> str:
        """The recipe's name in plain words."""
        return TITLES[self.recipe]


def train_members(out: Path, minutes: float, seed: int, device: torch.device, overwrite: bool) -> Iterator[Member]:
    """Trains all six with equally many steps and threads, timed once; finished ones are kept, stopped ones are resumed."""
    steps: int | None = None
    for latent_dim in (LARGE, SMALL):  # the large ones first: they decide how many steps fit, and the numbers are theirs
        for recipe in RECIPES:
            run = Run(out / f"{recipe}-{latent_dim}")
            options = TrainingOptions(
                steps=steps,
                minutes=None if steps else minutes / 6,  # the first is timed, and the others get its number of steps
                seed=seed,
                engine=steady(device),
                snapshots=12 if latent_dim == SMALL else 0,  # the maps move with training; the numbers need no history
            )
            steps = _train(run, recipe, latent_dim, options, device, overwrite)
            yield Member(recipe, latent_dim, load(run.path, device=str(device)))


def _train(run: Run, recipe: str, latent_dim: int, options: TrainingOptions, device: torch.device, overwrite: bool) -> int:
    # Asked before training: afterwards every run has its codes.
    kept = run.codes.is_file() and not overwrite

    def anew() -> Job:
        chosen = {"latent_dim": latent_dim, **NETWORK}
        return begin(run, recipe, "mnist", DataOptions(), options, chosen, device, overwrite)

    plan = complete(run, options, anew, device, overwrite)
    if kept:
        print(f"{run.path}: trained already, kept (--overwrite trains anew)")
        return plan.total
    if not threads_were_said():
        say_threads(plan.threads)  # the first run's choice is that of the others, and of what measures them
    threads = counted(plan.threads)
    print(f"{run.path}: {plan.total:,} steps of {plan.batch_size} on {threads}")
    return plan.total
