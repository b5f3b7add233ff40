"""The shared words made into parts: nets and likelihoods by name, and `flat`, the frame of most sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args

from torch import Tensor, nn

from legato import nets
from legato.classifier import Classifier
from legato.conditional import Conditional, Net
from legato.counts import Logarithm, Multinomial, NegativeBinomial, Poisson, ZeroInflated
from legato.defaults import NETS
from legato.errors import Mistake, unknown
from legato.families import Bernoulli, ContinuousBernoulli, Discretized, Family, Gaussian, Homoscedastic
from legato.latents import Flat, Hamiltonian, Hierarchy, Ladder
from legato.latents.hierarchy import BottomUp, Drawing, TopDown
from legato.likelihoods import EachValue, Heavy, MixedLogistics
from legato.model import LatentVariableModel
from legato.nets import is_image
from legato.posteriors import PairedGaussian
from legato.priors import GaussianOfEachClass, Prior, StandardNormal
from legato.setting import Condition, DataSpec, LikelihoodName, NetName, Words
from legato.types import Shape

FEATURES, INNER = 128, 128  # of a ladder: numbers that are known of x, units of the nets between groups
DOWNSAMPLINGS = (2, 4, 8, 16)  # pixels between two places of a tokenizer's code
GRID, HALVINGS = 8, 3  # words on the shorter side of a picture that is halved so often or less: 8 × 8 of 32 × 32 and of 64 × 64
GREY, ANY, COUNTS = ("binary", "bytes"), ("binary", "bytes", "reals"), ("counts",)
WHOLE = "it is of whole numbers from 0 on, which --values counts says they are"
BETWEEN = "it is a density of real numbers, which --values reals says they are"
SCALED = ("fixed-gaussian", "squashed-gaussian")  # likelihoods whose σ is said

# name -> (the family, for which kinds of values, why not for others: whoever chose it is told)
LIKELIHOODS: dict[str, tuple[Callable[[DataSpec], Family], tuple[str, ...], str]] = {
    "bernoulli": (lambda data: Bernoulli(), GREY, "a coin has two sides: use `gaussian` for real numbers"),
    "continuous-bernoulli": (lambda data: ContinuousBernoulli(), ("bytes",), "it is a density on [0, 1] for 8-bit images"),
    "discretized-logistic": (lambda data: Discretized(), ("bytes",), "it gives probabilities to the 256 values of a byte"),
    "gaussian": (lambda data: Homoscedastic("learned", _scales(data)), ANY, BETWEEN),
    "optimal-gaussian": (lambda data: Homoscedastic("solved", _scales(data)), ANY, BETWEEN),
    "fixed-gaussian": (lambda data: Homoscedastic(_fixed(data.words)), ANY, BETWEEN),
    "squashed-gaussian": (lambda data: Homoscedastic(_fixed(data.words), squashed=True), GREY, "its mean lies between 0 and 1"),
    "mixed-logistics": (lambda data: MixedLogistics(), ("bytes",), "it gives probabilities to the 256 values of a byte"),
    "each-value": (lambda data: EachValue(), ("bytes",), "it gives probabilities to the 256 values of a byte"),
    "student-t": (lambda data: Heavy(_scales(data)), ANY, BETWEEN),
    "negative-binomial": (lambda data: _dispersed(data), COUNTS, WHOLE),
    "poisson": (lambda data: Poisson(_means(data)), COUNTS, WHOLE),
    "zero-inflated-negative-binomial": (lambda data: ZeroInflated(_dispersed(data)), COUNTS, WHOLE),
    "zero-inflated-poisson": (lambda data: ZeroInflated(Poisson(_means(data))), COUNTS, WHOLE),
    "multinomial": (lambda data: Multinomial(_means(data)), COUNTS, WHOLE),
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


def words_of(data: DataSpec, count: int, numbers: int) -> Shape:
    """The shape of a code of words: `latent_shape` where that word was said, else (count, numbers)."""
    return data.words.latent_shape or (count, numbers)


def row_of(data: DataSpec, count: int, numbers: int) -> Shape:
    """(count, numbers): words in a row alone. Raises `Mistake` where a `latent_shape` was said."""
    if data.words.latent_shape:
        raise Mistake("codebooks in a row have tokens in a vector and take no `latent_shape`: give `latent_dim`, `token_dim`")
    return (count, numbers)


def places_of(data: DataSpec, numbers: int, downsampling: int) -> Shape:
    """The code of an image with `numbers` at each place, (numbers, H/f, W/f), f the `downsampling`.

    Raises `Mistake` for what is no image, for an f that is none of 2, 4, 8 and 16 or divides a side with a rest, and for a
    `latent_shape`, which would say the same again.
    """
    if not is_image(data.shape):
        raise Mistake(f"a tokenizer's code lies at places of an image, and one example has shape {data.shape}: use `vae`")
    if downsampling not in DOWNSAMPLINGS:
        raise Mistake(f"`downsampling` is 2, 4, 8 or 16, got {downsampling}")
    if data.words.latent_shape:
        raise Mistake("a tokenizer's code is said by `latent_dim` and `downsampling`: leave `latent_shape` out")
    height, width = nets.spatial(data.shape)
    if height % downsampling or width % downsampling:
        raise Mistake(
            f"images of {height} × {width} cannot be cut into places of {downsampling} × {downsampling}: choose another "
            f"--downsampling, or prepare the images with --size {max(min(height, width) // downsampling, 1) * downsampling}"
        )
    return (numbers, height // downsampling, width // downsampling)


def grid_of(data: DataSpec, numbers: int) -> Shape | None:
    """The code of words that a large picture has: (numbers, h, w), its sides halved to 8 or so, three times at most.

    None where the net is not one of convolutions, for which neighbours are what they are in the picture.
    """
    if data.words.net not in ("auto", "conv", "strided", "diffusers") or nets.suited(data.shape) != "strided":
        return None
    every = nets.halvings(nets.spatial(data.shape))
    level = next((at for at, size in enumerate(every) if min(size) <= GRID), len(every) - 1)
    return (numbers, *every[min(level, HALVINGS)])


def frame(
    data: DataSpec,
    code: Shape,
    posterior: Family,
    prior: Prior,
    classes: int = 0,
    read: Callable[[Tensor], Tensor] | None = None,
) -> LatentVariableModel:
    """One group of latents of any shape; nets and likelihood from `data.words`. `classes`: q and p(x|z) read a label, too.

    `read`: what the decoder's net is given of a code, where that is not the code itself.
    """
    _refuse_empty(code)
    words, (classes, prior) = resolve(data), conditioned(data, prior, classes)
    net = net_of(words)
    return LatentVariableModel(
        Flat(Conditional(reading(data, net), posterior, data.shape, code, classes), prior),
        Conditional(net, likelihood(replace(data, words=words)), code, data.shape, classes, read),
    )


def net_of(words: Words) -> Net:
    """The net that resolved words name: (shapes of what it reads and gives) -> a module."""
    return partial(nets.build, words.net, width=words.width, depth=words.depth)


def reading(data: DataSpec, net: Net) -> Net:
    """The net where it reads x: of counts, which span decades, their logarithms; the likelihood has x itself."""
    return net if data.kind != "counts" else lambda given, out: nn.Sequential(Logarithm(), net(given, out))


def conditioned(data: DataSpec, prior: Prior, classes: int = 0) -> tuple[int, Prior]:
    """How many classes nets read, and the prior, as the word `condition` has it.

    Raises `Mistake` for data without classes, and for a prior of a recipe's own where the word asks for one of each class.
    """
    word = data.words.condition
    if word not in get_args(Condition):
        raise unknown("condition", word, get_args(Condition))
    if word == "nothing":
        return classes, prior
    found = classes_of(data)
    if prior.mixes_posteriors:
        raise Mistake("the prior of this recipe is a mixture of posteriors of examples without a class: leave `condition` out")
    if word in ("prior", "both"):
        if not prior.standard:
            raise Mistake("`condition` would put a Gaussian for each class in the place of a prior of its own: use `nets`")
        prior = GaussianOfEachClass(prior.event, found)
    return (classes if word == "prior" else found), prior


def inferring(data: DataSpec, latent_dim: int) -> LatentVariableModel:
    """One group of latents whose nets read a class, and a net of the same kind that infers it for rows without a label.

    Raises `Mistake` for data without any label, and for the word `condition`.
    """
    if data.words.condition != "nothing":
        raise Mistake("this recipe tells its nets the class, or infers it: leave `condition` out")
    code, classes, words = code_of(data, latent_dim), classes_of(data, inferred=True), resolve(data)
    told = frame(data, code, Gaussian(), StandardNormal(code), classes)
    net = net_of(words)
    return LatentVariableModel(told.latent, told.likelihood, Classifier(net, data.shape, classes))


def paired(data: DataSpec, latent_dim: int, shared: Literal["mean", "product"], differ: int) -> LatentVariableModel:
    """`flat` with a `PairedGaussian` for q(z|x). Raises `Mistake` for data whose factors are not known."""
    if not data.factors:
        raise Mistake(
            "this recipe learns from pairs of images that share factors, and only `factors` knows any: --data factors"
        )
    return flat(data, latent_dim, posterior=PairedGaussian(shared, differ))


def classes_of(data: DataSpec, inferred: bool = False) -> int:
    """The number of the data's classes. Raises `Mistake` where rows come without a label: none is left out in silence.

    `inferred`: the class of rows without one is inferred, and some rows with one are enough.
    """
    how = "put images in a folder for each class, or name their labels with --labels"
    if not data.classes or not data.labelled:
        every = "some rows" if inferred else "every row"
        raise Mistake(f"a class-conditional model needs a label for {every}, and these data have none: {how}")
    if data.unlabelled and not inferred:
        rows = f"{data.unlabelled:,} row{'s have' if data.unlabelled > 1 else ' has'} none"
        raise Mistake(
            f"a class-conditional model needs a label for every row, and {rows}: label them, take them out, or use `m2_vae`"
        )
    return len(data.classes)


def led(plain: LatentVariableModel, leaps: int) -> LatentVariableModel:
    """The model whose draws are led by `leaps` leapfrog steps. Raises `Mistake` where it has another latent than one group."""
    if not isinstance(plain.latent, Flat):
        raise Mistake("draws of one group of latents can be led, and this model has others: build it by `flat`")
    return LatentVariableModel(Hamiltonian(plain.latent.q, plain.latent.p, plain.likelihood, leaps), plain.likelihood)


def ladder(data: DataSpec, widths: Sequence[int], top: Prior | None = None) -> LatentVariableModel:
    """Groups of latents, the top first, all Gaussian, the top's prior N(0, I) or `top`; x is decoded from the lowest group.

    What the net of `data.words` sees of x are `FEATURES` numbers; dense nets (`mlp`) stand between the groups. Raises `Mistake`
    where a `latent_shape` was said.
    """
    if len(data.words.latent_shape or ()) > 1:
        raise Mistake("a ladder's rungs are vectors and have no `latent_shape`: give `latent_dim`")
    _refuse_empty(tuple(widths))
    words = resolve(data)
    net = net_of(words)
    inner: Net = partial(nets.mlp, width=INNER, depth=1)
    classes, first = conditioned(data, top or StandardNormal((widths[0],)))
    above = [sum(widths[:rung]) for rung in range(len(widths))]
    rungs = list(zip(above, widths, strict=True))
    return LatentVariableModel(
        Ladder(
            reading(data, net)(data.shape, (FEATURES,)),
            [Conditional(inner, Gaussian(), (higher + FEATURES,), (width,), classes) for higher, width in rungs],
            first,
            [Conditional(inner, Gaussian(), (higher,), (width,), classes) for higher, width in rungs[1:]],
        ),
        # with the class behind the code, where it is told
        Conditional(lambda given, out: Lowest(net, widths[-1] + classes, out), likelihood(replace(data, words=words)),
                    (sum(widths),), data.shape, classes),
    )  # fmt: skip


def hierarchy(data: DataSpec, k: int) -> LatentVariableModel:
    """Levels of k latents at each place, from 4 × 4 places or so to half of the image's sides; `depth` + 1 at each size.

    `width` are the channels of both passes. Raises `Mistake` for what is no image, and for words that mean nothing here.
    """
    words = resolve(data)
    if not is_image(data.shape):
        raise Mistake(f"a hierarchy has levels of fewer and more places of an image, and one example has shape {data.shape}")
    if words.latent_shape or words.condition != "nothing":
        raise Mistake("a hierarchy has its levels in one vector and takes no `latent_shape` nor `condition`: give `latent_dim`")
    _refuse_empty((k,))
    width, blocks = words.width or 1, (words.depth or 0) + 1
    down = TopDown(data.shape, width, k, blocks)
    latent = Hierarchy(BottomUp(data.shape, width, blocks), down)
    family = likelihood(replace(data, words=words))
    return LatentVariableModel(
        latent, Conditional(lambda given, out: Drawing(down, width, out), family, latent.event, data.shape)
    )


def rungs(latent_dim: int, top: float) -> tuple[int, int]:
    """The latents of two rungs, of which a share `top` lies above. Raises `Mistake` for none or all."""
    if not 0 < top < 1 or latent_dim < 2:
        raise Mistake(f"a ladder of two rungs has 2 latents or more and a share of them on top; got {latent_dim} and {top}")
    # one on each rung at least, which a share of few latents may round away
    above = min(max(round(top * latent_dim), 1), latent_dim - 1)
    return above, latent_dim - above


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
        # not the one that a recipe is about, where that is the very one that does not fit
        fitting = [name for name, (_, kinds, _) in LIKELIHOODS.items() if data.kind in kinds]
        fits = data.likelihood if data.likelihood in fitting else fitting[0]
        raise Mistake(f"`{name}` is no likelihood of {_KIND[data.kind]}: {why}; `{fits}` fits")
    if data.words.scale is not None and name not in SCALED:
        raise Mistake(
            f"`scale` belongs to `{'` and `'.join(SCALED)}`, and the likelihood is `{name}`: leave one of the two out"
        )
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


_KIND = {"binary": "binary values", "bytes": "8-bit values", "reals": "real numbers", "counts": "counts"}


def _scales(data: DataSpec) -> tuple[int, ...]:
    """A table's columns have scales of their own; an image's pixels share one."""
    return data.shape if len(data.shape) == 1 else ()


def _means(data: DataSpec) -> tuple[float, ...]:
    return data.means or (1.0,)


def _dispersed(data: DataSpec) -> NegativeBinomial:
    return NegativeBinomial(_means(data), data.shape)


def _fixed(words: Words) -> float:
    if words.scale is None:
        raise Mistake(f"`{words.likelihood}` needs its standard deviation: give `scale` (--scale 0.1)")
    return words.scale
