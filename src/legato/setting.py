"""What a recipe is told: the data's shape and kind, and the words that every recipe shares.

Covered: the typed words (`net`, `width`, `depth`, `likelihood`, `scale`); the command line makes options of them and
`recipe.json` stores them, so that no recipe repeats them. No torch here: `legato train --help` reads this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from legato.types import Shape

Kind = Literal["binary", "bytes", "reals"]  # values in {0, 1} | 8-bit 0 … 255 | real numbers
NetName = Literal["auto", "mlp", "residual", "conv", "strided"]
LikelihoodName = Literal[
    "auto",
    "bernoulli",
    "continuous-bernoulli",
    "discretized-logistic",
    "gaussian",
    "optimal-gaussian",
    "fixed-gaussian",
]


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words that every recipe takes. `auto` and None are resolved from the data when the recipe is built."""

    net: NetName = "auto"
    """The network on both sides: dense layers, dense residual blocks, convolutions, strided ones. auto: what fits."""
    width: int | None = None
    """Hidden units of a dense net; channels of `conv` at full size, of `strided` at half."""
    depth: int | None = None
    """Hidden layers of `mlp`; residual blocks of `residual`, and at each size of `conv` and `strided`."""
    likelihood: LikelihoodName = "auto"
    """p(x|z): gaussian learns its scale, optimal-gaussian solves it in closed form. auto: what fits the data."""
    scale: float | None = None
    """Standard deviation of fixed-gaussian, in units of the prepared data (pixels lie in 0 … 1)."""


@dataclass(frozen=True)
class DataSpec:
    """The data as a recipe sees them: one example's shape, the kind of its values, the likelihood that fits, the words."""

    shape: Shape  # (C, H, W) or (D,)
    kind: Kind
    likelihood: str  # the one that fits
    words: Words = field(default_factory=Words)
