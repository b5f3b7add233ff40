"""`legato export RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from legato.commands.application import application
from legato.commands.options import HERE, Label, RunPath, Where
from legato.commands.output import say
from legato.exported import write_onnx

app = application("export")


@app.default
def export(
    run: RunPath,
    *,
    format: Annotated[Literal["onnx"], Parameter(help="ONNX, opset 20: run by onnxruntime, also in a browser.")] = "onnx",
    out: Annotated[Path | None, Parameter(help="A folder; by default export/ in the RUN.")] = None,
    half: Annotated[bool, Parameter(negative=(), help="Weights as float16: half the size, at most 1/255 off.")] = False,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """encoder.onnx, decoder.onnx and export.json, which says what goes in and comes out: checked against the model."""
    space = place.load(run, label=label)
    folder = space.run.own("export") if out is None else out
    for name, one in write_onnx(space, folder, half=half).items():
        errors = ", ".join(f"{output} {error:.1e}" for output, error in one.agreement.error.items())
        say(f"wrote {folder / name}.onnx, {len(one.content) / 1e6:.2f} MB; largest difference from the model: {errors}")
    say(f"wrote {folder / 'export.json'}")
