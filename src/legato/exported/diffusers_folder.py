"""A folder that `diffusers.AutoencoderKL.from_pretrained` loads: config.json and diffusion_pytorch_model.safetensors.

Pixels are −1 … 1 there, as diffusers has them, and σ² and mean of the code are those of the model. Covered: models whose net is
`diffusers`, with Gaussian codes. Not covered: anything else, which is refused; other classes of diffusers'.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from legato import __version__
from legato.autoencoder_kl import config_of, state_of
from legato.errors import Mistake
from legato.files import whole_file, write_json
from legato.latent_space import LatentSpace
from legato.moments import Moments

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"


def write_diffusers(space: LatentSpace, folder: str | Path) -> dict[str, Any]:
    """Writes both files into `folder`, each whole or not at all; returns the config.

    `scaling_factor` is 1/σ, σ² the variance of all numbers of training codes together. Raises `Mistake` for a model that
    diffusers has no class for, in one line that says what to train instead.
    """
    if space.preparation.kind not in ("bytes", "binary"):
        raise Mistake(f"diffusers' AutoencoderKL is of pixels, and this model is of {space.preparation.kind}")
    folder, model = Path(folder), space.model
    said = {"scaling_factor": 1 / math.sqrt(spread(space.moments())), "_legato_version": __version__}
    config, state = config_of(model) | said, state_of(model)
    content = save({name: value.cpu().contiguous() for name, value in state.items()}, {"format": "pt"})
    with whole_file(folder / WEIGHTS) as file:
        file.write(content)
    write_json(folder / CONFIG, config)  # last: whoever finds it finds the weights
    return config


def spread(known: Moments) -> float:
    """The variance of all numbers of a code in one heap: of each its own, and that of their means."""
    return float(np.mean(known.variances) + np.var(known.mean))
