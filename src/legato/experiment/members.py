"""Members of the family: trained with one word changed at a time, and what each is called.

Covered: names, recipes, seeds, the quick and the full family. Not covered: training them (family.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legato.claims import AE, FAMILY, NOISE, PULL, VAE

LARGE, SMALL = 16, 2  # latents: 16 for the figures that decide, 2 for pictures, which show all there is
# the rules read 0.1, 1 and 4; the others show the curve between them
QUICK_BETAS, BETAS = (0.1, 1.0, 4.0), (0.01, 0.1, 0.3, 1.0, 4.0, 10.0)

TITLES = {
    AE: "Autoencoder",
    NOISE: "Noise, no KL",
    PULL: "Pull, no noise",
    "mean-only": "KL on μ only",
    "fixed-noise": "Fixed noise, no KL",
    FAMILY: "All of them",
    "untrained": "Untrained",
    "pca": "PCA",
    "cross-fade": "Cross-fade",
}


@dataclass(frozen=True)
class Member:
    """One model to train: a sentence, its number of latents, its seed."""

    name: str
    recipe: str
    latent_dim: int
    seed: int
    # None where β is no word of the sentence, so that no recipe is told an option that it does not have
    beta: float | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options that the recipe is told."""
        return {"latent_dim": self.latent_dim, **({} if self.beta is None else {"beta": self.beta})}

    @property
    def title(self) -> str:
        """The member's name in plain words."""
        return title_of(self.name)

    def path(self, out: Path) -> Path:
        """The member's RUN below the experiment's folder."""
        return out / "runs" / f"{self.name}-{self.latent_dim}-seed{self.seed}"


def title_of(name: str) -> str:
    """A member's or a control's name in plain words."""
    return TITLES.get(name, f"VAE, β = {name.removeprefix('beta-')}" if name.startswith("beta-") else name.capitalize())


def beta_name(beta: float) -> str:
    """1.0 -> beta-1, 0.01 -> beta-0.01."""
    return f"beta-{beta:g}"


def family(quick: bool, seeds: int) -> list[Member]:
    """Everyone, the large ones first: with `quick` six at 16 latents and four at 2, else eleven and six.

    Those with 2 latents are shown, and decide nothing: they have one seed.
    """
    betas = QUICK_BETAS if quick else BETAS
    sentences: list[tuple[str, str, float | None]] = [
        (AE, "autoencoder", None),
        (NOISE, "noisy_autoencoder", None),
        (PULL, "pulled_autoencoder", None),
    ]
    if not quick:
        sentences += [("mean-only", "mean_only_vae", None), ("fixed-noise", "fixed_noise_autoencoder", None)]
    sentences += [(beta_name(beta), "vae", beta) for beta in betas]
    shown = (AE, NOISE, PULL, VAE) if quick else (AE, NOISE, PULL, "mean-only", VAE, beta_name(max(betas)))
    # seed by seed: an experiment that is stopped early has whole families
    large = [Member(name, recipe, LARGE, seed, beta) for seed in range(seeds) for name, recipe, beta in sentences]
    # one seed each: they are shown, and decide nothing
    return large + [Member(name, recipe, SMALL, 0, beta) for name, recipe, beta in sentences if name in shown]
