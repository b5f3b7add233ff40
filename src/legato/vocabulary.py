"""The shared words made into parts: nets and likelihoods by name, and `flat`, the frame of most sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from legato import nets
from legato.conditional import Conditional, Net
from legato.defaults import NETS
from legato.errors import Mistake, unknown
from legato.families import Bernoulli, ContinuousBernoulli, Discretized, Family, Gaussian, Homoscedastic
from legato.latents import Flat
from legato.model import LatentVariableModel
from legato.priors import Prior, StandardNormal
from legato.setting import DataSpec, LikelihoodName, NetName, Words

GREY, ANY = ("binary", "bytes"), ("binary", "bytes", "reals")

# name -> (the family, for which kinds of values, why not for others)
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
    """One group of `latent_dim` latents; nets and likelihood from `data.words`; q Gaussian and p = N(0, I) unless given."""
    if latent_dim < 1:
        raise Mistake(f"`latent_dim` must be 1 or more, got {latent_dim}")
    words, code = resolve(data), (latent_dim,)
    net: Net = partial(nets.build, words.net, width=words.width, depth=words.depth)
    return LatentVariableModel(
        Flat(Conditional(net, posterior or Gaussian(), data.shape, code), prior or StandardNormal(code)),
        Conditional(net, likelihood(replace(data, words=words)), code, data.shape),
    )


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
    net: Any = nets.suited(data.shape) if words.net == "auto" else words.net
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
