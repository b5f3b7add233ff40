"""The shared words made into parts: nets and likelihoods by name, and `flat`, the frame of most sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from torch import Tensor, nn

from legato import nets
from legato.conditional import Conditional, Net
from legato.defaults import NETS
from legato.errors import Mistake, unknown
from legato.families import Bernoulli, ContinuousBernoulli, Discretized, Family, Gaussian, Homoscedastic
from legato.latents import Flat, Ladder
from legato.model import LatentVariableModel
from legato.priors import Prior, StandardNormal
from legato.setting import DataSpec, LikelihoodName, NetName, Words
from legato.types import Shape

FEATURES, INNER = 128, 128  # of a ladder: numbers that are known of x, units of the nets between groups
GREY, ANY = ("binary", "bytes"), ("binary", "bytes", "reals")

# name -> (the family, for which kinds of values, why not for others: whoever chose it is told)
LIKELIHOODS: dict[str, tuple[Callable[[DataSpec], Family], tuple[str, ...], str]] = {
    "bernoulli": (lambda data: Bernoulli(), GREY, "a coin has two sides: use `gaussian` for real numbers"),
    "continuous-bernoulli": (lambda data: ContinuousBernoulli(), ("bytes",), "it is a density on [0, 1] for 8-bit images"),
    "discretized-logistic": (lambda data: Discretized(), ("bytes",), "it gives probabilities to the 256 values of a byte"),
    "gaussian": (lambda data: Homoscedastic("learned", _scales(data)), ANY, ""),
    "optimal-gaussian": (lambda data: Homoscedastic("solved", _scales(data)), ANY, ""),
    "fixed-gaussian": (lambda data: Homoscedastic(_fixed(data.words)), ANY, ""),
}


def flat(
    data: DataSpec, latent_dim: int, *, posterior: Family | None = None, prior: Prior | None = None
) -> LatentVariableModel:
    """One group of latents (`code_of`); nets and likelihood from `data.words`; q Gaussian and p = N(0, I) unless given."""
    code = code_of(data, latent_dim)
    return frame(data, code, posterior or Gaussian(), prior or StandardNormal(code))


def code_of(data: DataSpec, latent_dim: int) -> Shape:
    """The shape of a code: `latent_shape` where that word was said, else (latent_dim,)."""
    code = data.words.latent_shape or (latent_dim,)
    _refuse_empty(code)
    return code


def frame(data: DataSpec, code: Shape, posterior: Family, prior: Prior, classes: int = 0) -> LatentVariableModel:
    """One group of latents of any shape; nets and likelihood from `data.words`. `classes`: q and p(x|z) read a label, too."""
    _refuse_empty(code)
    words = resolve(data)
    net: Net = partial(nets.build, words.net, width=words.width, depth=words.depth)
    return LatentVariableModel(
        Flat(Conditional(net, posterior, data.shape, code, classes), prior),
        Conditional(net, likelihood(replace(data, words=words)), code, data.shape, classes),
    )


def classes_of(data: DataSpec) -> int:
    """The number of the data's classes. Raises `Mistake` where rows come without a label: none is left out in silence."""
    how = "put images in a folder for each class, or name their labels with --labels"
    if not data.classes:
        raise Mistake(f"a class-conditional model needs a label for every row, and these data have none: {how}")
    if data.unlabelled:
        rows = f"{data.unlabelled:,} row{'s have' if data.unlabelled > 1 else ' has'} none"
        raise Mistake(f"a class-conditional model needs a label for every row, and {rows}: label them, or take them out")
    return len(data.classes)


def ladder(data: DataSpec, widths: Sequence[int]) -> LatentVariableModel:
    """Groups of latents, the top first, all Gaussian, the top's prior N(0, I); x is decoded from the lowest group.

    What the net of `data.words` sees of x are `FEATURES` numbers; dense nets (`mlp`) stand between the groups. Raises `Mistake`
    where a `latent_shape` was said.
    """
    if len(data.words.latent_shape or ()) > 1:
        raise Mistake("a ladder's rungs are vectors and have no `latent_shape`: give `latent_dim`")
    _refuse_empty(tuple(widths))
    words = resolve(data)
    net: Net = partial(nets.build, words.net, width=words.width, depth=words.depth)
    inner: Net = partial(nets.mlp, width=INNER, depth=1)
    above = [sum(widths[:rung]) for rung in range(len(widths))]
    rungs = list(zip(above, widths, strict=True))
    return LatentVariableModel(
        Ladder(
            net(data.shape, (FEATURES,)),
            [Conditional(inner, Gaussian(), (higher + FEATURES,), (width,)) for higher, width in rungs],
            StandardNormal((widths[0],)),
            [Conditional(inner, Gaussian(), (higher,), (width,)) for higher, width in rungs[1:]],
        ),
        Conditional(lambda given, out: Lowest(net, widths[-1], out), likelihood(replace(data, words=words)),
                    (sum(widths),), data.shape),
    )  # fmt: skip


class Lowest(nn.Module):
    """A net that reads the last numbers of a code: what lies above them speaks through them alone."""

    def __init__(self, net: Net, width: int, out: Shape) -> None:
        super().__init__()
        self.width, self.net = width, net((width,), out)

    def forward(self, code: Tensor) -> Tensor:
        """(B, d) -> (B, *out)."""
        found: Tensor = self.net(code[:, -self.width :])
        return found


def _refuse_empty(code: Shape) -> None:
    if min(code) < 1:
        raise Mistake(f"`latent_dim` must be 1 or more, got {code[0] if len(code) == 1 else code}")


def likelihood(data: DataSpec) -> Family:
    """The family that `data.words.likelihood` names. Raises `Mistake` where it is no likelihood of such values."""
    name = data.words.likelihood
    if name not in LIKELIHOODS:
        raise unknown("likelihood", name, LIKELIHOODS)
    family, kinds, why = LIKELIHOODS[name]
    if data.kind not in kinds:
        raise Mistake(f"`{name}` is no likelihood of {_KIND[data.kind]}: {why}; `{data.likelihood}` fits")
    if data.words.scale is not None and name != "fixed-gaussian":
        raise Mistake(f"`scale` belongs to `fixed-gaussian`, and the likelihood is `{name}`: leave one of the two out")
    return family(data)


def resolve(data: DataSpec, preferred: str | None = None) -> Words:
    """The words with `auto` and None replaced by what they mean for these data, so that a stored recipe never drifts."""
    words = data.words
    for word, value, known in (("net", words.net, NetName), ("likelihood", words.likelihood, LikelihoodName)):
        if value not in get_args(known):
            raise unknown(word, value, get_args(known))
    net: Any = nets.suited(data.shape, words.latent_shape) if words.net == "auto" else words.net
    row = NETS[net]
    chosen: Any = (preferred or data.likelihood) if words.likelihood == "auto" else words.likelihood
    return replace(
        words,
        net=net,
        width=row.width if words.width is None else words.width,
        depth=row.depth if words.depth is None else words.depth,
        likelihood=chosen,
    )


_KIND = {"binary": "binary values", "bytes": "8-bit values", "reals": "real numbers"}


def _scales(data: DataSpec) -> tuple[int, ...]:
    """A table's columns have scales of their own; an image's pixels share one."""
    return data.shape if len(data.shape) == 1 else ()


def _fixed(words: Words) -> float:
    if words.scale is None:
        raise Mistake("`fixed-gaussian` needs its standard deviation: give `scale` (--scale 0.1)")
    return words.scale
