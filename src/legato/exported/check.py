"""The check of an ONNX file against the model: onnxruntime and torch are asked on the same rows.

Covered: one row and many, the largest difference of each output, the refusal. Not covered: other runtimes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from legato.errors import Mistake
from legato.exported.needs import need
from legato.exported.parts import Part
from legato.latent_space import LatentSpace
from legato.types import Floats

EXACT = 1e-5  # of the output: sums in another order leave some 10⁻⁷ (docs/export.md), a wrong graph far more
HALF = 1 / 255  # one grey level of 8 bits: what a page draws is then the same picture
# of each kind of code; asked together and the first alone, since an exporter may take a number of rows for a constant
ROWS = 32


@dataclass(frozen=True)
class Agreement:
    """The largest |ONNX − torch| of each output over the rows asked, `largest` the output's largest absolute value there.

    σ is compared by its logarithm: as a share of itself, for an error of 10⁻⁵ would be no small one of a σ of 10⁻⁶.
    """

    error: dict[str, float]
    largest: dict[str, float]

    def within(self, bound: float) -> bool:
        """Every error ≤ bound · max(1, largest): in units of a value that is larger than 1, whose float32 is coarser too."""
        return all(error <= bound * max(1.0, self.largest[name]) for name, error in self.error.items())


def rows_to_ask(space: LatentSpace) -> tuple[Floats, Floats]:
    """x (2·ROWS, *shape), prepared, and z (2·ROWS, latent_dim): codes like the data's and like the prior's; x ~ p(x|z)."""
    # codes like the data's and like the prior's: a file may be right about one and wrong about the other
    z = np.concatenate([space.draw(ROWS, seed=0, origin="codes"), space.draw(ROWS, seed=0, origin="prior")])
    return space.draw_prepared(z), z


def agreement(content: bytes, part: Part, given: Floats) -> Agreement:
    """`part` in torch beside the same in ONNX: `given` at once, and its first row alone."""
    runtime = need("onnxruntime")
    # the CPU, whose float32 is that of the model it is held against
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    error: dict[str, float] = {}
    # The largest that was seen, over both calls: an error is judged in its units.
    largest: dict[str, float] = {}
    for some in (given, given[:1]):
        with torch.no_grad():
            expected = _compared(part, [value.numpy() for value in part(torch.from_numpy(some))])
        answers = _compared(part, session.run(list(part.found), {part.given: some}))
        for name, value in expected.items():
            error[name] = max(error.get(name, 0.0), _apart(answers[name], value))
            largest[name] = max(largest.get(name, 0.0), float(np.abs(value).max()))
    return Agreement(error, largest)


def checked(content: bytes, part: Part, given: Floats, bound: float) -> Agreement:
    """The agreement. Raises `Mistake` where it is not within `bound`."""
    found = agreement(content, part, given)
    if not found.within(bound):
        told = ", ".join(f"{name} by {error:.2g} of {found.largest[name]:.2g}" for name, error in found.error.items())
        raise Mistake(f"the ONNX file does not say what the model does, {told}: expected {bound:.2g}; nothing was written")
    return found


def _compared(part: Part, values: list[Floats]) -> dict[str, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):  # a σ of 0 or below is told as a difference
        return {
            f"log {n}" if n == "sigma" else n: np.log(v) if n == "sigma" else v for n, v in zip(part.found, values, strict=True)
        }


def _apart(answer: Floats, value: Floats) -> float:
    """The largest difference; infinite where shapes differ or a number is none."""
    if answer.shape != value.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        apart = float(np.abs(answer - value).max())
    return apart if np.isfinite(apart) else float("inf")  # a NaN is no small difference: `max` of it would pass every bound
