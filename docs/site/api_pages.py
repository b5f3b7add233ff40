"""The pages of the API, made of the package's public names: mkdocstrings reads each where it is written."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import legato

# Heading -> the names below it; every other public name stands under the last.
CHAPTERS = {
    "Train, load, use": ("train", "load", "from_pythae", "LatentSpace"),
    "Estimators": ("VAE", "Autoencoder"),
    "Measure": ("measure", "evaluate", "compare", "Estimate"),
    "Data": ("open_source", "DataOptions"),
    "The grammar": (),
}
WITH_BASE = ("Estimators",)  # whose methods stand in a base that has no public name
WHOLE = "\n    options: {inherited_members: true}"
BESIDE = {"LatentSpace": "legato.latent_space"}  # what public functions give, and no public name is


def page() -> str:
    """Every public name under its heading."""
    chapters = "\n\n".join(_chapter(title, names) for title, names in grouped().items())
    return f"""# API

What `import legato` gives. Names are imported when they are first used, so that the package itself costs no torch.

{chapters}
"""


def grouped() -> dict[str, list[str]]:
    """Heading -> names."""
    told = {name for names in CHAPTERS.values() for name in names}
    rest = [name for name in legato.__all__ if name not in told and name != "__version__"]
    return {title: list(names) or rest for title, names in CHAPTERS.items()}


def place(name: str) -> str:
    """Where a public name is written: `legato.training.api.train`."""
    found: Any = getattr(import_module(BESIDE[name]), name) if name in BESIDE else getattr(legato, name)
    return f"{found.__module__}.{found.__qualname__}"


def _chapter(title: str, names: list[str]) -> str:
    return f"## {title}\n\n" + "\n\n".join(f"::: {place(name)}{WHOLE * (title in WITH_BASE)}" for name in names)
