"""`legato export RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from legato.commands.application import application
from legato.commands.options import HERE, Label, RunPath, Where
from legato.commands.output import say
from legato.errors import Mistake
from legato.exported import write_diffusers, write_onnx

FORMATS = (
    "onnx: opset 20, run by onnxruntime, also in a browser; diffusers: a folder of an AutoencoderKL, of --net diffusers alone."
)

app = application("export")


@app.default
def export(
    run: RunPath,
    *,
    format: Annotated[Literal["onnx", "diffusers"], Parameter(help=FORMATS)] = "onnx",
    out: Annotated[Path | None, Parameter(help="A folder; by default export/ in the RUN.")] = None,
    half: Annotated[bool, Parameter(negative=(), help="Weights as float16: half the size, at most 1/255 off.")] = False,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """encoder.onnx, decoder.onnx and export.json, which says what goes in and comes out: checked against the model.

    Or config.json and diffusion_pytorch_model.safetensors, which diffusers.AutoencoderKL.from_pretrained loads.
    """
    if format == "diffusers" and half:
        raise Mistake("--half is of ONNX: diffusers loads weights in half precision by torch_dtype=torch.float16")
    space = place.load(run, label=label)
    folder = space.run.own("export") if out is None else out
    if format == "diffusers":
        factor = write_diffusers(space, folder)["scaling_factor"]
        say(f"wrote {folder}, an AutoencoderKL of diffusers' with scaling_factor {factor:.4g} (1/σ of training codes)")
        return
    for name, one in write_onnx(space, folder, half=half).items():
        errors = ", ".join(f"{output} {error:.1e}" for output, error in one.agreement.error.items())
        say(f"wrote {folder / name}.onnx, {len(one.content) / 1e6:.2f} MB; largest difference from the model: {errors}")
    say(f"wrote {folder / 'export.json'}")
