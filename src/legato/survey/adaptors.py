"""Models of other libraries as subjects, recognised by their type: none of these libraries is imported or needed.

Covered: RUNs of Legato, pairs of functions, pairs of ONNX files (onnx_files.py), Pythae's models with a Gaussian or no
posterior, diffusers' AutoencoderKL, AutoencoderTiny and VQModel, and any object with `encode` and `decode`. Not covered:
Pythae's models whose posterior is no diagonal Gaussian; they are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from legato.errors import Mistake
from legato.latent_space import LatentSpace
from legato.loading import load
from legato.survey.functions import Functions, Prior
from legato.survey.onnx_files import OnnxDecoder, OnnxEncoder
from legato.survey.subject import Subject, Trained
from legato.types import Floats

EXPECTED = (
    "a RUN, a pair of functions or torch modules, a pair of .onnx files, a Pythae model, a diffusers AutoencoderKL, "
    "AutoencoderTiny or VQModel, or an object with `encode` and `decode`"
)
# Pythae's whose encoder gives the start of a posterior, or another family: read as (μ, σ) it would be wrong, silently.
OTHER_POSTERIORS = ("HVAE", "RHVAE", "VAE_IAF", "VAE_LinNF", "VQVAE", "HRQVAE", "SVAE", "PoincareVAE")


def subject_of(
    model: object, example: Floats, *, prior: Prior | None = None, log_px: Any = None, steady: bool = True
) -> Subject:
    """The subject that `model` is; `example`: a few images as it sees them. Raises `Mistake` for what is no model.

    `steady`: whether an encoder that draws is refused.
    """
    if isinstance(model, Subject):
        return model
    if (space := space_of(model)) is not None:
        if prior is not None or log_px is not None:
            raise Mistake("a RUN has a prior and a likelihood of its own: leave out `prior` and `log_px`")
        return Trained(space)
    encode, decode = pair_of(model)
    # Its prior is made of pseudo-inputs: measured beside N(0, I) it would have holes that are not its own.
    if _pythae(model) and type(model).__name__ == "VAMP" and prior is None:
        raise Mistake("the prior of Pythae's VAMP is not N(0, I): give `prior`, (n, seed) -> draws of z")
    return Functions(encode, decode, example, prior=prior, log_px=log_px, steady=steady)


def space_of(model: object) -> LatentSpace | None:
    """The latent space that `model` is, or that the RUN at this path holds; None for any other model."""
    if isinstance(model, str | Path):
        return load(model)
    return model if isinstance(model, LatentSpace) else None


def pair_of(model: object) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A model's encoder and decoder, images in [0, 1] on both sides. Raises `Mistake`."""
    if isinstance(model, tuple | list) and len(model) == 2:
        if all(isinstance(side, str | Path) for side in model):
            return OnnxEncoder(Path(model[0])), OnnxDecoder(Path(model[1]))
        return model[0], model[1]
    if _pythae(model):
        return PythaeEncoder(model), PythaeDecoder(model)
    for name, encoder in DIFFUSERS.items():
        if _made_by(model, "diffusers", name):
            return encoder(model), DiffusersDecoder(model)
    if callable(getattr(model, "encode", None)) and callable(getattr(model, "decode", None)):
        return model.encode, model.decode  # type: ignore[attr-defined]
    raise Mistake(f"a {type(model).__name__} is no model that Legato knows: expected {EXPECTED}")


class _Side(nn.Module):
    """One half of `model`, which stays whole: its device, precision and mode are seen through it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


class PythaeEncoder(_Side):
    """x -> (μ, σ), or μ of a plain autoencoder. Pythae's `log_covariance` is log σ², whatever its name says."""

    def __init__(self, model: Any) -> None:
        if type(model).__name__ in OTHER_POSTERIORS:
            name = type(model).__name__
            raise Mistake(f"the posterior of Pythae's {name} is no diagonal Gaussian: give `encode` and `decode`, functions")
        super().__init__(model)

    def forward(self, x: Tensor) -> Any:
        """The answer of its encoder."""
        found = self.model.encoder(x)
        log_variance = getattr(found, "log_covariance", None)
        # half, for the root of a variance
        return found.embedding if log_variance is None else (found.embedding, (0.5 * log_variance).exp())


class PythaeDecoder(_Side):
    """z -> its reconstruction, in the shape of its input."""

    def forward(self, z: Tensor) -> Tensor:
        """The answer of its decoder."""
        found: Tensor = self.model.decoder(z).reconstruction
        return found


class _DiffusersSide(_Side):
    @property
    def scale(self) -> float | None:
        """The `scaling_factor` of its configuration, by which diffusion multiplies codes."""
        found = getattr(getattr(self.model, "config", None), "scaling_factor", None)
        return None if found is None else float(found)


class DiffusersEncoder(_DiffusersSide):
    """x in [0, 1] -> the distribution of its latents (C, h, w), without the `scaling_factor` that diffusion multiplies by.

    Rombach et al. 2022, https://arxiv.org/abs/2112.10752. Its images lie in [−1, 1].
    """

    def forward(self, x: Tensor) -> Any:
        """2x − 1, encoded."""
        return self.model.encode(2 * x - 1).latent_dist  # images in [0, 1] go to the [−1, 1] that the model was trained on


class DiffusersPoints(_DiffusersSide):
    """x in [0, 1] -> the latents of an AutoencoderTiny, points. https://github.com/madebyollin/taesd."""

    def forward(self, x: Tensor) -> Tensor:
        """2x − 1, encoded."""
        found: Tensor = self.model.encode(2 * x - 1).latents
        return found


class DiffusersQuantised(DiffusersPoints):
    """x in [0, 1] -> the rows of a VQModel's codebook that its latents lie nearest to."""

    @property
    def size(self) -> int:
        """Rows of the codebook."""
        return int(self.model.config.num_vq_embeddings)

    def forward(self, x: Tensor) -> Tensor:
        """The rows, as grids."""
        found: Tensor = self.model.quantize(super().forward(x))[0]
        return found

    def choices(self, x: Tensor) -> Tensor:
        """The rows' numbers, (n, tokens)."""
        found: Tensor = self.model.quantize(super().forward(x))[2][2]
        return found.reshape(len(x), -1)


DIFFUSERS: dict[str, type[_Side]] = {
    "AutoencoderKL": DiffusersEncoder,
    "AutoencoderTiny": DiffusersPoints,
    "VQModel": DiffusersQuantised,
}


class DiffusersDecoder(_Side):
    """z -> (y + 1)/2, not cut off at 0 and 1: a cut would hide what the decoder does there, and its derivative."""

    def forward(self, z: Tensor) -> Tensor:
        """Decoded, in [0, 1] but for overshoots."""
        found: Tensor = (self.model.decode(z).sample + 1) / 2
        return found


def _pythae(model: object) -> bool:
    return _made_by(model, "pythae") and hasattr(model, "encoder") and hasattr(model, "decoder")


def _made_by(model: object, library: str, name: str | None = None) -> bool:
    """True where its type, or one that this extends, is of `library` (and is called `name`)."""
    # By name and not by import: a model of a library that is not installed cannot be here, and none need be loaded to tell.
    kinds = [kind for kind in type(model).__mro__ if kind.__module__.split(".")[0] == library]
    return any(name in (None, kind.__name__) for kind in kinds)
