"""A pair of ONNX files as functions of arrays, run by onnxruntime (https://onnxruntime.ai), which is imported only here.

Covered: an encoder with one output, μ, or two, of which the second's name says what it is; a fixed or a free batch size.
Not covered: several inputs, derivatives (differences are taken).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.types import Floats

# The second output by its name: σ, log σ or log σ². A guess between them would be wrong by a square, and silent.
WIDTHS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    **dict.fromkeys(("sigma", "std", "stddev", "scale"), lambda value: value),
    **dict.fromkeys(("log_sigma", "log_std", "logstd"), np.exp),
    **dict.fromkeys(("log_var", "logvar", "log_variance", "log_covariance"), lambda value: np.exp(0.5 * value)),
}
TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


class OnnxFile:
    """One file with one input; calls with more or fewer rows than a fixed batch size are cut and filled up."""

    def __init__(self, path: Path) -> None:
        self._session = _session(path)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in TYPES:
            told = ", ".join(f"{one.name} {one.type}" for one in inputs)
            raise Mistake(f"`{path}` takes {told}: expected one input of real numbers")
        self._name, self._dtype = inputs[0].name, TYPES[inputs[0].type]
        self._fixed = inputs[0].shape[0] if inputs[0].shape and isinstance(inputs[0].shape[0], int) else None
        self.outputs: list[str] = [one.name for one in self._session.get_outputs()]

    def run(self, values: Floats) -> list[NDArray[Any]]:
        """Each output, (n, …)."""
        size = self._fixed or len(values)
        pieces = [values[at : at + size] for at in range(0, len(values), size)]
        # A model with a fixed batch size takes no other: the last piece is filled up, and what was added is cut off below.
        found = [self._session.run(None, {self._name: _filled(piece, size).astype(self._dtype)}) for piece in pieces]
        return [np.concatenate(parts)[: len(values)] for parts in zip(*found, strict=True)]


class OnnxEncoder(OnnxFile):
    """x -> μ or (μ, σ)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if len(self.outputs) > 2 or (len(self.outputs) == 2 and self.outputs[1].lower() not in WIDTHS):
            names = ", ".join(WIDTHS)
            raise Mistake(f"`{path}` gives {', '.join(self.outputs)}: expected μ, or μ and one output named {names}")

    def __call__(self, x: Floats) -> Any:
        """The answer of the file."""
        mu, *widths = self.run(x)
        return (mu, WIDTHS[self.outputs[1].lower()](widths[0])) if widths else mu


class OnnxDecoder(OnnxFile):
    """z -> images: the first output."""

    def __call__(self, z: Floats) -> NDArray[Any]:
        """The answer of the file."""
        return self.run(z)[0]


def _session(path: Path) -> Any:
    if not path.is_file():
        # Asked first: else a missing file would be told of as one that is no ONNX model.
        raise Mistake(f"there is no file `{path}`: expected a model in the ONNX format")
    try:
        runtime = import_module("onnxruntime")
    except ImportError:
        raise Mistake("ONNX files need onnxruntime, which is not installed: pip install onnxruntime") from None
    try:
        # on the CPU, so that figures do not depend on which providers were installed
        return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base but this
        raise Mistake(f"`{path}` is no ONNX model that onnxruntime reads: {str(error).splitlines()[0][:200]}") from error


def _filled(piece: Floats, size: int) -> Floats:
    """A piece filled up to `size` rows, by repeating the last."""
    # The last row again and not zeros: whatever it is, the model has just shown that it takes it.
    return np.concatenate([piece, np.repeat(piece[-1:], size - len(piece), 0)])
