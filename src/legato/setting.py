"""The setting of a recipe: the data's shape and kind, and the words that every recipe shares.

Covered: the typed words (`net`, `width`, `depth`, `latent_shape`, `likelihood`, `scale`); the command line makes options of
them and `recipe.json` stores them, so that no recipe repeats them. No torch here: `legato train --help` reads this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from legato.errors import Mistake
from legato.types import Shape

# values in {0, 1} | 8-bit 0 … 255 | real numbers | whole numbers from 0 on: by this a likelihood fits or does not
Kind = Literal["binary", "bytes", "reals", "counts"]
NetName = Literal["auto", "mlp", "residual", "conv", "strided", "diffusers"]
Condition = Literal["nothing", "nets", "prior", "both"]
LikelihoodName = Literal[
    "auto",
    "bernoulli",
    "continuous-bernoulli",
    "discretized-logistic",
    "gaussian",
    "optimal-gaussian",
    "fixed-gaussian",
    "squashed-gaussian",
    "mixed-logistics",
    "each-value",
    "student-t",
    "negative-binomial",
    "poisson",
    "zero-inflated-negative-binomial",
    "zero-inflated-poisson",
    "multinomial",
]


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words that every recipe takes. `auto` and None are resolved from the data when the recipe is built."""

    net: NetName = "auto"
    """The network on both sides: dense layers, dense residual blocks, convolutions, strided ones; those of
    diffusers' AutoencoderKL. auto: what fits."""
    width: int | None = None
    """Hidden units of a dense net; channels of `conv` and `diffusers` at full size, of `strided` at half."""
    depth: int | None = None
    """Hidden layers of `mlp`; residual blocks of `residual`, and at each size of the others."""
    latent_shape: Shape | None = None
    """A code of channels, height and width, 4,8,8 (or of a vector's length), in the place of --latent-dim."""
    likelihood: LikelihoodName = "auto"
    """p(x|z): gaussian learns its scale, optimal-gaussian solves it in closed form; negative-binomial and what follows are of
    counts (--values counts). auto: what fits the data."""
    scale: float | None = None
    """Standard deviation of fixed-gaussian and squashed-gaussian, in units of the prepared data (pixels lie in 0 … 1)."""
    condition: Condition = "nothing"
    """What is told each example's class: nets, q(z|x, y) and p(x|z, y); the prior, a Gaussian for each class; both."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "latent_shape", shape_of(self.latent_shape))


def shape_of(said: Any) -> Shape | None:
    """A code's shape, (C, h, w) or (d,), of a tuple, of a list (JSON has no tuples), or of "4,8,8". Raises `Mistake`."""
    if said is None:
        return None
    parts = str(said).split(",") if isinstance(said, str | int) else said
    try:
        found = tuple(int(part) for part in parts if float(part).is_integer())
    except (TypeError, ValueError, OverflowError):
        found = ()
    if len(found) not in (1, 3) or len(found) != len(parts) or min(found) < 1:
        raise Mistake(
            f"`latent_shape` must be channels, height, width, such as 4,8,8, or a length: whole numbers from 1; got {said}"
        )
    return found


@dataclass(frozen=True)
class DataSpec:
    """The data as a recipe sees them: one example's shape, (C, H, W) or (D,), the kind of its values, the likelihood that fits,
    the words; how many training examples there are, and their labels' classes. Made in one place, `data.prepared.spec_of`.
    """

    shape: Shape
    kind: Kind
    likelihood: str
    words: Words = field(default_factory=Words)
    count: int = 0
    classes: tuple[str, ...] = ()
    unlabelled: int = 0  # rows without a label where others have one: a class-conditional model refuses them, or infers theirs
    means: tuple[float, ...] = ()  # of counts: each column's mean over the training rows, at which their families begin
    rows: int = 0  # of all splits; 0: not known
    factors: bool = False  # whether the factors of each picture are known, so that pairs which share some can be had

    @property
    def labelled(self) -> float:
        """The share of all rows that have a label, 0 … 1."""
        return 1 - self.unlabelled / self.rows if self.rows else 1.0
