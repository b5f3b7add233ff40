"""The start of a training at weights that are there: those of a RUN, or of a folder of diffusers' AutoencoderKL.

Read are safetensors and JSON of a limited size, links too, of which a hub's cache is made; no code. What differs in names or
shapes is told in one sentence before anything is trained. Covered: the weights, and their hash, by which a resumed run knows
that they are the same. Not covered: optimisers and averages, which begin anew (--resume goes on with those).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from legato.autoencoder_kl import StoredConfig, begun, unlike
from legato.errors import Mistake
from legato.files import read_json
from legato.model import LatentVariableModel
from legato.run import Run
from legato.tensors import read_plain, read_tensors

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
WHOLE = "give a whole folder of diffusers'"


@dataclass(frozen=True)
class Start:
    """Weights to begin at. `config`: of diffusers', None of a run."""

    path: str
    tensors: dict[str, Tensor]
    config: dict[str, Any] | None = None

    @property
    def digest(self) -> str:
        """A hash of names, shapes and numbers."""
        found = hashlib.blake2b(digest_size=16)
        for name, value in sorted(self.tensors.items()):
            found.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
            found.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())  # bytes: NumPy has no bfloat16
        return found.hexdigest()

    def of(self, model: LatentVariableModel) -> dict[str, Tensor]:
        """The state that the model begins with. Raises `Mistake` where these weights are of another."""
        if self.config is not None:
            return begun(model, self.config, self.tensors, f"`{self.path}`")
        if why := unlike(self.tensors, model.state_dict()):
            raise Mistake(f"`{self.path}` cannot begin this model: {why}; give the recipe and words that it was trained with")
        return self.tensors


def start_of(path: str | None) -> Start | None:
    """The weights at a path; None for None. Raises `Mistake` for what is no RUN, and no folder of an AutoencoderKL."""
    if path is None:
        return None
    folder = Path(path).expanduser()
    if (folder / "recipe.json").is_file():
        return Start(path, read_tensors(Run.existing(folder).model))
    if not (folder / CONFIG).is_file():
        raise Mistake(f"--start `{path}` is no RUN and no folder of diffusers': expected recipe.json in it, or {CONFIG}")
    config = read_json(folder / CONFIG, remedy=WHOLE)
    if config.get("_class_name") != "AutoencoderKL":
        name = config.get("_class_name", "model without a name")
        raise Mistake(f"--start `{path}` holds a {name}: expected an AutoencoderKL")
    config = read_json(folder / CONFIG, StoredConfig, remedy=WHOLE)
    return Start(path, read_plain(folder / WEIGHTS, WHOLE), config)


def placed(path: str | None) -> str | None:
    """The path whatever folder one is in."""
    return None if path is None else os.path.abspath(Path(path).expanduser())


def again(path: str, digest: str | None) -> Start:
    """The weights that a run began at. Raises `Mistake` where they are no longer the same."""
    found = start_of(path)
    assert found is not None
    if found.digest != digest:
        raise Mistake(f"`{path}` no longer holds the weights that this run began at: bring them back, or train anew")
    return found
