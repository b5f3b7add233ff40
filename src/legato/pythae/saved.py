"""A folder that Pythae 0.1.2 saved: its configuration and weights, read as data. Nothing in it is executed.

`model.pt` is a pickle. It is the one that Legato reads, by `torch.load(weights_only=True)`, which makes tensors and containers
of it and refuses every other call; before that its size is held to what the configuration needs. Covered: AE, VAE, BetaVAE,
VAMP and VQVAE with Pythae's own nets. Not covered: nets of a person's own, which Pythae keeps as pickled code.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from zipfile import ZIP_STORED, ZipFile

import torch
from torch import Tensor

from legato.errors import Mistake
from legato.files import damaged, opened, read_json
from legato.schema import Within, fault
from legato.types import Shape

HIDDEN = 512  # rectified units of the one hidden layer on either side: Pythae's own, not to be configured
CLASSES = ("AE", "VAE", "BetaVAE", "VAMP", "VQVAE")
CONFIG, WEIGHTS = "model_config.json", "model.pt"
EXPECTED = f"expected a folder that Pythae's `model.save` or its trainer wrote ({CONFIG}, {WEIGHTS})"
AGAIN = "save it again with Pythae 0.1.2"
WIDEST, SPARE = 8, 1 << 20  # bytes of a number at most; of names and of the archive's own
Size = Annotated[int, Within(1, 2**24)]


class Named(TypedDict):
    """The part of model_config.json that every model of Pythae has."""

    name: Annotated[str, Within(1, 100)]
    input_dim: Annotated[list[Size], Within(1, 3)]
    latent_dim: Size
    uses_default_encoder: bool
    uses_default_decoder: bool


class Gaussian(Named):
    """The part that VAE, BetaVAE and VAMP add."""

    reconstruction_loss: Literal["mse", "bce"]
    beta: NotRequired[Annotated[float, Within(0, 1e9)]]
    number_components: NotRequired[Size]


class Quantised(Named):
    """The part that VQVAE adds."""

    num_embeddings: Annotated[int, Within(2, 2**24)]
    use_ema: bool
    commitment_loss_factor: Annotated[float, Within(0, 1e9)]


@dataclass(frozen=True)
class Saved:
    """A model of Pythae: its class, what its configuration says, its weights by Pythae's names, float32."""

    folder: Path
    kind: str
    said: dict[str, Any]
    weights: dict[str, Tensor]

    @property
    def shape(self) -> Shape:
        """The shape of one example."""
        return tuple(self.said["input_dim"])

    def __str__(self) -> str:
        return f"Pythae's {self.kind} of `{self.folder}`"


def read(folder: Path) -> Saved:
    """The model of a folder. Raises `Mistake` for what is none, is of another class or other nets, or does not fit itself."""
    if not (folder / CONFIG).is_file():
        inner = folder / "final_model"
        hint = f"its trainer put the model into `{inner}`" if (inner / CONFIG).is_file() else EXPECTED
        raise Mistake(f"`{folder}` holds no {CONFIG}: {hint}")
    said = read_json(folder / CONFIG, Named, remedy=AGAIN)
    kind = said["name"].removesuffix("Config").removesuffix("_")
    if kind not in CLASSES:
        known = ", ".join(CLASSES)
        raise Mistake(f"`{folder}` is Pythae's {kind}, and {known} are converted: train its recipe anew (docs/pythae.md)")
    if kind != "AE" and (why := fault(Quantised if kind == "VQVAE" else Gaussian, said)):
        raise damaged(f"`{folder / CONFIG}`", why, AGAIN)
    if kind == "VAMP" and "number_components" not in said:
        raise damaged(f"`{folder / CONFIG}`", "it does not say `number_components`", AGAIN)
    _refuse_code(folder, said)
    return Saved(folder, kind, said, _weights(folder / WEIGHTS, shapes(kind, said)))


def _refuse_code(folder: Path, said: dict[str, Any]) -> None:
    for side in ("encoder", "decoder"):
        if os.path.lexists(folder / f"{side}.pkl") or not said[f"uses_default_{side}"]:
            raise Mistake(
                f"the {side} of `{folder}` is a net of one's own, which Pythae keeps as pickled code ({side}.pkl), and no code "
                "is unpickled: models with Pythae's own nets are converted; `legato.measure(model, images)` measures any"
            )


def shapes(kind: str, said: dict[str, Any]) -> dict[str, Shape]:
    """The weights of such a model by Pythae's names."""
    values, d = prod(said["input_dim"]), said["latent_dim"]
    maps = {"encoder.layers.0.0": (HIDDEN, values), "encoder.embedding": (d, HIDDEN)}
    maps |= {} if kind in ("AE", "VQVAE") else {"encoder.log_var": (d, HIDDEN)}
    maps |= {"decoder.layers.0.0": (HIDDEN, d), "decoder.layers.1.0": (values, HIDDEN)}
    maps |= {"pseudo_inputs.0": (values, said["number_components"])} if kind == "VAMP" else {}
    found: dict[str, Shape] = {}
    for name, shape in maps.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    if kind == "VQVAE":
        k = said["num_embeddings"]  # rows of one number: each number of a dense encoder's code is a token by itself
        averaged = {"quantizer.embeddings": (k, 1), "quantizer.cluster_size": (k,), "quantizer.ema_embed": (k, 1)}
        found |= averaged if said["use_ema"] else {"quantizer.embeddings.weight": (k, 1)}
    return found


def _weights(path: Path, like: dict[str, Shape]) -> dict[str, Tensor]:
    if not path.is_file():
        raise Mistake(f"`{path}` is missing: {EXPECTED}")
    found = _loaded(path, sum(map(prod, like.values())) * WIDEST + SPARE)
    for name in sorted(like.keys() ^ found.keys()):
        raise _unfit(path, f"`{name}` is {'not in it' if name in like else 'no part of such a model'}")
    for name, shape in like.items():
        tensor = found[name]
        if not (isinstance(tensor, Tensor) and tensor.layout == torch.strided and tensor.device.type == "cpu"):
            raise _unfit(path, f"`{name}` is no plain tensor")
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise _unfit(path, f"`{name}` is {tensor.dtype} of shape {tuple(tensor.shape)}, expected real numbers of {shape}")
        if not tensor.isfinite().all():
            raise Mistake(f"`{name}` in `{path}` holds NaN or infinite values: its training diverged, train it anew")
    return {name: found[name].detach().float().contiguous() for name in like}


def _unfit(path: Path, why: str) -> Mistake:
    return Mistake(f"`{path}` does not fit the {CONFIG} that lies beside it: {why}; {AGAIN}")


def _loaded(path: Path, most: int) -> dict[str, Any]:
    """The state dict of a whole archive of at most so many bytes, in which nothing is packed."""
    with opened(path) as file:
        try:
            if why := _unreadable(ZipFile(file), os.fstat(file.fileno()).st_size, most):
                raise _none(path, why)
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Mistake:
            raise
        except Exception as error:  # of a crafted file, which may make either reader raise anything
            raise _none(path, " ".join(str(error).split())[:120] or type(error).__name__) from None
    state = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise _none(path, "it holds no `model_state_dict`")
    return state


def _unreadable(archive: ZipFile, size: int, most: int) -> str | None:
    """The reason why an archive is not handed on to torch's reader; None where there is none."""
    parts = archive.infolist()
    if any(part.compress_type != ZIP_STORED for part in parts):
        return "its parts are compressed"
    # of the parts, too: what they claim to be may be anything
    if (largest := max(size, sum(part.file_size for part in parts))) > most:
        return f"{largest:,} bytes, where its configuration needs {most:,} at most"
    broken = archive.testzip()  # by the archive's checksums, at which torch's reader does not look
    return None if broken is None else f"`{broken}` in it is not what was written"


def _none(path: Path, why: str) -> Mistake:
    return Mistake(f"`{path}` holds no weights as Pythae saves them ({why}): nothing in it was run; {AGAIN}")
