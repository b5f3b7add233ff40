"""Legato: variational autoencoders that are right, measured and quick to the hand.

The public names, re-exported lazily: importing the package costs no torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Mistake": "legato.errors",
    "Trace": "legato.trace",
    "Rung": "legato.trace",
    "Given": "legato.trace",
    "Family": "legato.families",
    "Conditional": "legato.conditional",
    "Prior": "legato.priors",
    "StandardNormal": "legato.priors",
    "Flat": "legato.latents",
    "Latent": "legato.latents",
    "LatentVariableModel": "legato.model",
    "Term": "legato.objectives",
    "Objective": "legato.objectives",
    "Distortion": "legato.objectives",
    "Rate": "legato.objectives",
    "MeanRate": "legato.objectives",
    "ImportanceWeighted": "legato.objectives",
    "anneal": "legato.objectives",
    "Recipe": "legato.recipes",
    "recipe": "legato.recipes",
    "open_source": "legato.data",
    "DataOptions": "legato.data",
    "train": "legato.training",
    "load": "legato.loading",
    "from_pythae": "legato.pythae",
    "evaluate": "legato.measures",
    "compare": "legato.measures",
    "Estimate": "legato.measures",
    "VAE": "legato.estimator",
    "Autoencoder": "legato.estimator",
    "measure": "legato.measured",
    "refit": "legato.refits",
    "doctor": "legato.doctored",
}

__all__ = ["__version__", *_PUBLIC]


class _Package(ModuleType):
    """The package, in which `legato.recipe` stays the function: importing the file of that name would put the file there."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package  # Python asks a module's class for `__setattr__`, not the module


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module `legato` has no attribute `{name}`")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
