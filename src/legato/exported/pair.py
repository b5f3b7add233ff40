"""The pair of files and what is said of them: encoder.onnx, decoder.onnx, export.json.

Both are made and checked before anything is written. Not covered: how a network becomes a file (graph.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from legato import __version__
from legato.data.preparation import Preparation
from legato.errors import Mistake
from legato.exported.check import EXACT, HALF, Agreement, checked, rows_to_ask
from legato.exported.graph import EXAMPLE, OPSET, graph_of, halved
from legato.exported.parts import NOT_PORTABLE, Part, parts
from legato.files import whole_file, write_json
from legato.latent_space import LatentSpace
from legato.types import Floats


@dataclass(frozen=True)
class Exported:
    """One half as the bytes of an ONNX file: names and shapes of what goes in and comes out, and how well it agrees."""

    content: bytes
    inputs: dict[str, list[str | int]]
    outputs: dict[str, list[str | int]]
    agreement: Agreement

    def to_json(self, file: str) -> dict[str, Any]:
        """The half as export.json tells of it."""
        return {
            "file": file,
            "bytes": len(self.content),
            "inputs": self.inputs,
            "outputs": self.outputs,
            "max_abs_error": self.agreement.error,
            "max_abs_value": self.agreement.largest,
        }


def encoder_bytes(space: LatentSpace, *, half: bool = False) -> bytes:
    """encoder.onnx, checked: x (batch, *shape), prepared -> mu, sigma, (batch, latent_dim); of an autoencoder mu alone."""
    _refuse_led(space)
    return _exported(parts(space)[0], rows_to_ask(space)[0], half).content


def decoder_bytes(space: LatentSpace, *, half: bool = True) -> bytes:
    """decoder.onnx, checked: z (batch, latent_dim) -> x_mean (batch, *shape), in prepared units (pixels in [0, 1]).

    `half`: weights stored as float16, arithmetic in float32, at most 1/255 from the model. Raises `Mistake`.
    """
    return _exported(parts(space)[1], rows_to_ask(space)[1], half).content


def write_onnx(space: LatentSpace, folder: str | Path, *, half: bool = False) -> dict[str, Exported]:
    """Writes encoder.onnx, decoder.onnx and export.json into `folder`, each whole or not at all; returns both halves.

    Raises `Mistake` where ONNX is not installed, has no word for a part of the model, or disagrees with it: by more than
    10⁻⁵ (`half`: 1/255), in units of the output's largest absolute value where that is above 1. Then nothing is written.
    """
    _refuse_led(space)
    (encoder, decoder), (x, z), folder = parts(space), rows_to_ask(space), Path(folder)
    # Both are made and checked before either is written: half a pair is of no use to anyone.
    pair = {"encoder": _exported(encoder, x, half), "decoder": _exported(decoder, z, half)}
    for name, one in pair.items():
        with whole_file(folder / f"{name}.onnx") as file:
            file.write(one.content)
    write_json(folder / "export.json", _said(space, pair, half))  # last: whoever finds it finds both files whole
    return pair


def _refuse_led(space: LatentSpace) -> None:
    if not space.model.latent.portable:
        raise Mistake(NOT_PORTABLE)


def _exported(part: Part, given: Floats, half: bool) -> Exported:
    proto = graph_of(part, torch.from_numpy(given[:EXAMPLE]))
    # deterministic: the same model gives the same bytes, and so the same hash
    content = (halved(proto) if half else proto).SerializeToString(deterministic=True)
    # checked with what is written, and not with the model before it was halved
    found = checked(content, part, given, HALF if half else EXACT)
    return Exported(content, _shapes(proto.graph.input), _shapes(proto.graph.output), found)


def _shapes(ends: Any) -> dict[str, list[str | int]]:
    """Name -> axes, a free one by its name."""
    return {one.name: [axis.dim_param or axis.dim_value for axis in one.type.tensor_type.shape.dim] for one in ends}


def _said(space: LatentSpace, pair: dict[str, Exported], half: bool) -> dict[str, Any]:
    return {
        "format": "onnx",
        "opset": OPSET,
        "legato": __version__,
        "weights": "float16, cast to float32" if half else "float32",
        "bound": HALF if half else EXACT,
        "preparation": space.preparation.to_json(),
        "units": units(space.preparation),
        **({} if space.one is None else {"label": space.classes[space.one]}),
        **{name: one.to_json(f"{name}.onnx") for name, one in pair.items()},
    }


def units(preparation: Preparation) -> dict[str, str]:
    """The way from a stored row to the encoder's x, and from the decoder's mean to what a person sees, in words."""
    if preparation.kind == "reals":
        return {"x": "x = (value - shift) / scale", "z": "as mu", "x_mean": "value = x_mean * scale + shift"}
    if preparation.kind == "counts":
        return {"x": "x is a count", "z": "as mu", "x_mean": "a count, as a mean"}
    if preparation.binarise:
        given = "x is 0 or 1: one coin per pixel that shows 1 with probability byte / 255"
    else:
        given = "x = byte / 255" if preparation.kind == "bytes" else "x is 0 or 1"
    return {"x": given, "z": "as mu", "x_mean": "0 is black and 1 is white; clip what a Gaussian's mean has beyond"}
