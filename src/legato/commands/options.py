"""Options that the commands on a RUN share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from legato.commands.application import FLAT
from legato.latent_space import LatentSpace
from legato.loading import load

RunPath = Annotated[Path, Parameter(help="A RUN: the folder that `legato train` made.")]
Source = Annotated[str | None, Parameter(name="--data", help="SOURCE; by default the run's own data.")]
Split = Annotated[
    str | None,
    Parameter(help="train, validation, test, or all. By default test of the run's own data, and all of other data."),
]
Rows = Annotated[str, Parameter(name="--split", help="train, validation, test, or all.")]
Label = Annotated[
    str | None,
    Parameter(
        help="Of a class-conditional model, the class to look at: what is decoded is of it, and of labelled data its rows."
    ),
]
Out = Annotated[Path | None, Parameter(help="Where to write; by default in the run's figures/.")]
Seed = Annotated[int, Parameter(help="Fixes every draw.", validator=Number(gte=0, lt=2**31))]


Fitted = Annotated[
    str | None,
    Parameter(name="--from", help="The name of a prior that `legato refit` put into the RUN, in the place of the model's own."),
]


def _named(kind: Any, path: Path | None) -> None:
    """Lets `-` through, and no option that stands where a file's name was forgotten."""
    # an option in its place: `--json --limit 5` would write a file named --limit
    if path is not None and str(path).startswith("-") and str(path) != "-":
        raise ValueError("Expected a file, or - for stdout.")


Json = Annotated[
    Path | None,
    Parameter(help="Also write every figure to this file (- for stdout).", allow_leading_hyphen=True, validator=_named),
]


def _numbers(kind: Any, said: str) -> None:
    for part in said.split(","):
        try:
            float(part)
        except ValueError:
            raise ValueError("Expected a number, or one for each level, such as 0.7,1,1.") from None


Heat = Annotated[
    str,
    Parameter(
        name="--temperature",
        help="Multiplies how far draws lie from the mean; of a model of levels also one for each, the top's first: 0.7,1,1.",
        allow_leading_hyphen=True,
        validator=_numbers,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Place:
    """The machine that computes."""

    device: str = "auto"
    """auto (LEGATO_DEVICE, else a GPU by CUDA if there is one), cpu, cuda, cuda:N, or mps (Apple's GPU: float32; untested)."""
    threads: int | None = None
    """Threads on the CPU; by default LEGATO_THREADS, else what torch chooses, and for training the quicker of one and all."""
    module: str | None = None
    """The module of a recipe of your own: names the code that may be imported."""

    def load(self, run: Path, **more: Any) -> LatentSpace:
        """The model of a run, here."""
        return load(run, device=self.device, threads=self.threads, module=self.module, **more)


Where = Annotated[Place, FLAT]
HERE = Place()  # one default for all commands: it is frozen, so that none can change it for the others
