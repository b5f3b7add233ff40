"""Measures by their keys: what each is called in words, its symbol, unit and scale, which way is better, what it needs.

One table, read by whoever names a figure: the scorecard, comparisons, surveys, the claims' scales and every report. A key is
what `survey.json` and `claims.json` call the measure; it never changes. Covered: all of a survey's and a scorecard's figures.
Not covered: how they are computed (each in its own file).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from legato.errors import Mistake

Need = Literal["labels", "noise", "likelihood", "log_px", "pictures", "factors", "standard prior", "classifier"]
# on which seeds are averaged: where another seed moves small and large values alike (experiment/scales)
Kind = Literal["plain", "log", "negative log", "share", "share of real"]
Better = Literal["higher", "lower", "neither"]

HIGHER: Better = "higher"
LOWER: Better = "lower"
NEITHER: Better = "neither"
PLAIN: Kind = "plain"
LOG: Kind = "log"
NEGATIVE: Kind = "negative log"
SHARE: Kind = "share"
REAL: Kind = "share of real"


@dataclass(frozen=True)
class Measure:
    """One measure. `says`: in a sentence, what it is of a model. `unit`: as estimates carry it, "" where they have none.

    `stood_in`: whether images of a control may stand in for a model's, so that both can be compared.
    """

    key: str
    name: str
    symbol: str
    unit: str
    scale: Kind
    better: Better
    needs: tuple[Need, ...]
    says: str
    stood_in: bool = False

    @property
    def titled(self) -> str:
        """The name, and the symbol behind it."""
        return f"{self.name} ({self.symbol})" if self.symbol else self.name

    @property
    def headed(self) -> str:
        """The same as a heading: with a capital, unless it begins with a symbol of its own."""
        return self.titled[:1].upper() + self.titled[1:]


_NOISE: tuple[Need, ...] = ("noise",)
_PRIOR: tuple[Need, ...] = ("standard prior",)
_MODEL: tuple[Need, ...] = ("likelihood", "noise")
_LABELS: tuple[Need, ...] = ("labels",)

_LIKELIHOOD = (
    Measure("distortion", "loss in redrawing", "distortion", "nats", LOG, LOWER, ("log_px",),
            "How badly an example is redrawn from its code: −log p(x|z)."),
    Measure("rate", "cost of the code", "rate", "nats", LOG, NEITHER, ("log_px", "noise", *_PRIOR),
            "How much a code says beyond the prior: KL(q(z|x) ‖ p(z))."),
    Measure("elbo", "evidence bound", "ELBO", "nats", NEGATIVE, HIGHER, ("log_px", "noise", *_PRIOR),
            "A lower bound on the log-probability of an example: minus distortion and rate."),
    Measure("nll", "improbability", "−log p(x), at most", "nats", PLAIN, LOWER, _MODEL,
            "An upper bound on minus the log-probability of an example, by importance weights."),
    Measure("bits_per_dim", "improbability in bits", "bits per dimension", "bits per dimension", PLAIN, LOWER, _MODEL,
            "The same for each 8-bit value: what a compressor that knew the model would need."),
    Measure("effective draws", "effective number of draws", "ESS", "draws", PLAIN, HIGHER, _MODEL,
            "How many of the importance weights count."),
    Measure("untrusted share", "examples whose bound is loose", "Pareto k̂ > 0.7", "share of examples", SHARE, LOWER, _MODEL,
            "How often the importance weights are too uneven for the estimate to be trusted."),
    Measure("elbo of the weighted rows", "evidence bound of the weighted examples", "ELBO", "nats", NEGATIVE, HIGHER, _MODEL,
            "The evidence bound on the examples whose likelihood was weighted."),
    Measure("annealed bound", "log-probability by annealing", "AIS", "nats", PLAIN, HIGHER, _MODEL,
            "A lower bound on log p(x) by annealing from the posterior."),
    Measure("annealed gap", "gap between both annealed bounds", "BDMC", "nats", PLAIN, LOWER, _MODEL,
            "How far annealing can be off, on images that the model drew itself."),
    Measure("active_units", "dimensions that carry something", "Var μ", "dimensions", PLAIN, NEITHER, (),
            "How many dimensions of the code move with the example."),
    Measure("kl_per_dimension", "cost of each dimension", "KL", "nats", PLAIN, NEITHER, ("noise", *_PRIOR),
            "The rate, dimension by dimension: 0 where one carries nothing."),
    Measure("rate_per_level", "cost of each level", "KL", "nats", PLAIN, NEITHER, ("noise",),
            "The rate, level by level from the top: their sum is the rate."),
    Measure("codebook_perplexity", "codes that are in use", "exp H", "codes", PLAIN, HIGHER, (),
            "How many codes, used alike, would be as varied as those that are chosen: 1 where one is, all where none is rare."),
)  # fmt: skip
_WIDTHS = (
    Measure("sigma", "width of the clouds", "σ", "latent units", LOG, NEITHER, _NOISE,
            "How wide the posterior of one example is."),
    Measure("distance of sigma from 1", "how far the clouds' width is from the prior's", "|log σ|", "nats", LOG, NEITHER,
            _NOISE, "0 where σ is 1, as the prior's; 0.7 where it is a half or twice that."),
    Measure("noise ratio", "width of the clouds beside the codes' spread", "σ / Std μ", "ratio", LOG, NEITHER, _NOISE,
            "What a decoder notices of the noise: near 0 the clouds are points."),
    Measure("spread of means", "spread of the codes", "|μ|", "latent units", LOG, NEITHER, _NOISE,
            "How far codes lie from their centre."),
    Measure("force balance", "how well the decoder's sensitivity explains the clouds' width", "R²", "R2", PLAIN, HIGHER, _MODEL,
            "1 where every σ is what the decoder asks for, 0 where it explains nothing."),
    Measure("force balance fitted", "how well it explains their width up to a line in each dimension", "R²", "R2", PLAIN,
            HIGHER, _MODEL, "With a slope and an offset of its own in each dimension."),
)  # fmt: skip
_MECHANICS = (
    Measure("detached gradient", "gradient that passes a code that is cut off", "", "share of the gradient", PLAIN, LOWER,
            _MODEL, "What reconstruction still teaches the encoder where the draw lets no gradient through."),
    Measure("variance ratio", "how much noisier gradients are without the trick", "with baseline", "times the variance", LOG,
            NEITHER, _MODEL, "The variance of the score function's gradient over that of the reparameterised one."),
    Measure("variance ratio without baseline", "how much noisier they are without trick and baseline", "",
            "times the variance", LOG, NEITHER, _MODEL, "The score function as it stands, nothing taken off to steady it."),
    Measure("bias of the score function", "error of the gradient without the trick", "", "squared standard errors", PLAIN,
            NEITHER, _MODEL, "1 where the two gradients agree but for chance."),
    Measure("signal to noise, pathwise", "signal in one draw's gradient, with the trick", "SNR", "signal / noise", PLAIN,
            HIGHER, _MODEL, "The gradient's mean over its standard deviation."),
    Measure("signal to noise, score function", "signal in one draw's gradient, without the trick", "SNR", "signal / noise",
            PLAIN, HIGHER, _MODEL, "The gradient's mean over its standard deviation."),
    Measure("distance to own", "distance of draws from their own cloud", "KS", "probability", SHARE, LOWER, _MODEL,
            "The largest difference between the distribution of draws and N(μ, σ²)."),
    Measure("distance to standard", "distance of draws from the standard normal", "KS", "probability", SHARE, NEITHER, _MODEL,
            "The largest difference between the distribution of one example's draws and N(0, 1)."),
)  # fmt: skip
_RATE_SPENT = (
    Measure("mutual information", "what a code says of which example it is", "I(n; z)", "nats", PLAIN, NEITHER, _NOISE,
            "At most log N: then every cloud lies apart from all others."),
    Measure("marginal KL", "mismatch of all clouds together with the prior", "KL(q̂ ‖ p)", "nats", PLAIN, LOWER,
            ("noise", *_PRIOR), "What remains of the rate beyond the mutual information."),
    Measure("total correlation", "dependence between dimensions", "TC", "nats", PLAIN, LOWER, _NOISE,
            "0 where the dimensions of the code are independent."),
    Measure("dimension-wise KL", "mismatch of single dimensions with the prior", "", "nats", PLAIN, LOWER,
            ("noise", *_PRIOR), "How far each dimension on its own is from N(0, 1), summed."),
    Measure("confusion", "draws that are mistaken for another example's", "", "share of draws", SHARE, NEITHER, _NOISE,
            "How often another example's cloud is denser where a code was drawn."),
    Measure("overlap", "overlap with the nearest other cloud", "Bhattacharyya", "coefficient", SHARE, NEITHER, _NOISE,
            "1 where two clouds are one, 0 where they do not meet."),
)  # fmt: skip
_SPENT_BY_NULL = ("mutual information", "marginal KL", "total correlation", "dimension-wise KL", "confusion")
_POPULATION = (
    Measure("norm distance", "how unlike the prior the codes' distances from 0 are", "KS of ‖z‖²", "probability", SHARE, LOWER,
            _PRIOR, "The largest difference between the distribution of ‖z‖² and χ²; 0: the same."),
    Measure("size of means", "size of the codes", "root mean square of μ", "latent units", LOG, NEITHER, _PRIOR,
            "How far the codes' centres lie from 0."),
    Measure("two-sample accuracy", "how well a classifier tells codes from the prior", "", "share of draws told right", SHARE,
            LOWER, (), "½ where it can only guess, 1 where it always knows."),
)  # fmt: skip
_MEANING = (
    Measure("purity", "nearest codes of the same class", "purity", "share of images", SHARE, HIGHER, _LABELS,
            "Of an example's ten nearest codes, how many have its label."),
    Measure("probe", "labels read from codes by a linear classifier", "probe", "share of images", SHARE, HIGHER, _LABELS,
            "How often a linear classifier of codes is right."),
    Measure("few-label probe", "labels read from codes after ten labels a class", "", "share of images", SHARE, HIGHER, _LABELS,
            "How often it is right when it has seen ten examples of each class."),
    Measure("trustworthiness", "neighbours as codes that are neighbours as images", "", "share", SHARE, HIGHER, (),
            "1 where every nearest code belongs to an image that is near, too."),
    Measure("continuity", "neighbours as images that are neighbours as codes", "", "share", SHARE, HIGHER, (),
            "1 where every image that is near has a near code, too."),
)  # fmt: skip
_PATHS = (
    Measure("straightness", "length of a path beside the distance of its ends", "", "ratio", LOG, LOWER, (),
            "1 where the images go straight from the one to the other."),
    Measure("jumpiness", "largest step of a path beside the mean step", "", "ratio", LOG, LOWER, (),
            "1 where all steps are alike; large where the image jumps."),
    Measure("path length", "energy of a path", "", "squared image distance", LOG, LOWER, (),
            "How fast the image changes along a path, squared."),
)  # fmt: skip
_ROBUSTNESS = (
    Measure("midpoint between ends", "midpoints that lie between their ends", "", "share of paths", SHARE, HIGHER, (),
            "How often the image in the middle is no farther from either end than these are apart."),
    Measure("midpoint norm", "how far midpoints are from the centre, beside codes", "", "ratio", PLAIN, NEITHER, (),
            "0.7 for codes in many dimensions that have nothing in common, 1 where the middle is as far out as they are."),
    Measure("r50", "how far a code can be moved until half the image is lost", "r₅₀", "latent standard deviations", LOG, HIGHER,
            (), "In standard deviations of the codes: small where the decoder bears little noise."),
    Measure("r50 in features", "how far a code can be moved until a classifier sees half the image lost", "r₅₀",
            "latent standard deviations", LOG, HIGHER, (), "As r₅₀, with distances between features of the images."),
    Measure("flip50", "how far a code can be moved until the class is lost", "", "latent standard deviations", LOG, HIGHER,
            ("classifier",), "Until half of the images are another class to a classifier."),
    Measure("moved by a tenth", "how far a step in latent space changes the picture", "C(⅒)", "share", LOG, LOWER, (),
            "A tenth of the way between two codes, as a share of the way between their images."),
    Measure("cycle posterior", "what is lost when an example's code is decoded and encoded again", "", "standard deviations",
            LOG, LOWER, (), "The distance between a code and the code of its image, at codes of examples."),
    Measure("cycle prior", "what is lost when the prior's draw is decoded and encoded again", "", "standard deviations",
            LOG, LOWER, (), "The distance between a code and the code of its image, at draws from the prior."),
)  # fmt: skip
_SCORES = (
    ("MIG", "mutual information gap"),
    ("modularity", "dimensions that follow one factor each"),
    ("DCI disentanglement", "dimensions that tell one factor each"),
    ("DCI completeness", "factors told by one dimension each"),
    ("DCI informativeness", "factors told from the code at all"),
    ("SAP", "gap between the two dimensions that tell a factor best"),
    ("FactorVAE score", "factors recognised by the dimension that holds still"),
    ("explicitness", "factors told by a linear classifier"),
    ("IRS", "dimensions that other factors leave alone"),
)
# besides the model's own: what a score gives for no training, for nothing, and at best
WHOSE = ("untrained encoder", "noise", "true factors")

_TOGETHER = tuple(
    Measure(f"sampling told by {key}", f"how well {words} foretells that a space can be sampled", f"ρ, {key}",
            "rank correlation", PLAIN, HIGHER, needs,
            "Over a family's members: 1 where the ranks are the same, 0 where they are unrelated.")
    for key, words, needs in (
        ("both", "continuity and meaning", _LABELS),
        ("continuity", "continuity", ()),
        ("meaning", "meaning", _LABELS),
    )
)  # fmt: skip

_CROWDS = {
    "reconstruction": "reconstructions",
    "mixture": "samples of a mixture fitted to the codes",
    "gaussian": "samples of a Gaussian fitted to the codes",
    "prior": "samples of the prior",
    "midpoint": "midpoints of paths",
}
_SYMBOLS = {"reconstruction": "x̂", "mixture": "mixture", "gaussian": "Gaussian", "prior": "prior", "midpoint": "½"}


def _of_crowd(crowd: str) -> tuple[Measure, ...]:
    words, mark = _CROWDS[crowd], _SYMBOLS[crowd]
    found = (
        Measure(f"frechet {crowd}", f"distance of {words} from real images", f"Fréchet, {mark}", "squared feature units", LOG,
                LOWER, (), f"How far {words} are from real images as a whole: in kind, and in variety.", True),
        Measure(f"kid {crowd}", f"difference of {words} from real images by a kernel", f"KID, {mark}", "squared MMD", PLAIN,
                LOWER, (), "Another distance between the two sets, without a bias of sample size."),
        Measure(f"confidence {crowd}", f"certainty of a classifier about {words}", "", "probability", SHARE, HIGHER,
                ("classifier",),
                "Its largest class probability: how sure it is, not how real the image is."),
    )  # fmt: skip
    return found + _looked_for(crowd, words, mark)


def _looked_for(crowd: str, words: str, mark: str) -> tuple[Measure, ...]:
    return (
        Measure(f"density {crowd}", f"how densely {words} lie among real images", f"density, {mark}", "real balls / k", PLAIN,
                HIGHER, (), "1 for real images; above it where they crowd where real ones do."),
        Measure(f"coverage {crowd}", f"real images that have one of the {words} near", f"coverage, {mark}", "share of real",
                SHARE, HIGHER, (), "How much of the variety of real images is reached."),
        Measure(f"precision {crowd}", f"{words} that lie among real images", f"precision, {mark}", "share of generated", SHARE,
                HIGHER, (), "How many of them are like some real image."),
        Measure(f"realism {crowd}", f"{words} that lie among real images, real = 1", f"realism, {mark}", "share, real = 1",
                REAL, HIGHER, (), "The same, over the share of real images that do.", True),
    )  # fmt: skip


def _holes() -> tuple[Measure, ...]:
    kinds: tuple[tuple[str, str, str, tuple[Need, ...]], ...] = (
        ("hole", "draws of the prior where no data is", "H", _NOISE),
        ("kernel hole", "draws of the prior where no code is, by a kernel", "kernel H", ()),
        ("kernel hole of means", "draws of the prior where no code's centre is, by a kernel", "kernel H", ()),
    )
    says = (
        "How often the prior draws where codes are rarer than at {level} in 100 held-out codes; {level} % for a perfect match."
    )
    return tuple(
        Measure(f"{key} {level}%", name, f"{symbol} {level} %", "share of prior draws", SHARE, LOWER, needs,
                says.format(level=level))
        for key, name, symbol, needs in kinds for level in (1, 5)
    )  # fmt: skip


def _stretches() -> tuple[Measure, ...]:
    places = {"posterior": "at codes", "prior": "at draws of the prior", "midpoint": "at midpoints"}
    unit, symbol = "image distance per latent unit", "‖J S^½‖"
    kinds: tuple[tuple[str, str, str, str], ...] = (
        ("", "how fast the image changes", unit, "The largest change of the image for a small step, the median over places."),
        (" p99", "how fast it changes at most", unit, "The same at the place in a hundred where it is largest."),
        (" unevenness", "how unevenly it changes", "ratio", "The one over the other: large where the decoder is torn."),
    )
    return tuple(
        Measure(f"stretch {place}{what}", f"{name} {where}", symbol, kind, LOG, NEITHER, (), says)
        for place, where in places.items() for what, name, kind, says in kinds
    )  # fmt: skip


def _paths() -> tuple[Measure, ...]:
    kinds = {"": "", " in features": ", as a classifier sees it"}
    lines = {"": "", " (slerp)": ", on an arc"}
    return tuple(
        replace(one, key=f"{one.key}{kind}{line}", name=f"{one.name}{seen}{bent}")
        for line, bent in lines.items() for kind, seen in kinds.items() for one in _PATHS
    )  # fmt: skip


def _of_null() -> tuple[Measure, ...]:
    """The measures on images that the model drew itself: what they would be if the model were right."""
    return tuple(
        replace(one, key=f"null {one.key}", name=f"{one.name}, of the model's own images", needs=_MODEL, better=NEITHER)
        for one in _RATE_SPENT if one.key in _SPENT_BY_NULL
    )  # fmt: skip


def _of_factors() -> tuple[Measure, ...]:
    says = "1 where single dimensions of the code are the factors that the images were drawn from."
    return tuple(
        Measure(f"{key} ({whose})" if whose else key, f"{name}, {whose}" if whose else name, key, "", SHARE, HIGHER,
                ("factors",), says)
        for key, name in _SCORES for whose in ("", *WHOSE)
    )  # fmt: skip


_GAP = Measure(
    "frechet gap", "what the prior's samples lose beside reconstructions", "Fréchet, prior − x̂", "squared feature units", LOG,
    LOWER, (), "How much farther samples of the prior are from real images than reconstructions are.", True,
)  # fmt: skip

MEASURES: dict[str, Measure] = {
    one.key: one
    for group in (
        *(_LIKELIHOOD, _WIDTHS, _MECHANICS, _RATE_SPENT, _of_null(), _POPULATION, _holes(), _MEANING, _of_factors()),
        *(_of_crowd(crowd) for crowd in _CROWDS),
        *((_GAP,), _paths(), _ROBUSTNESS, _stretches(), _TOGETHER),
    )
    for one in group
}
# as a scorecard's JSON calls them, whose names are older than this table and never change
ALIASES = {"ess": "effective draws", "untrusted_share": "untrusted share"}


def measure_of(key: str) -> Measure:
    """The record of a measure. Raises `Mistake` for a key that is none."""
    found = MEASURES.get(ALIASES.get(key, key))
    if found is None:
        raise Mistake(f"`{key}` is no measure that Legato knows: see `legato.measures.known.MEASURES`")
    return found


def called(key: str) -> str:
    """A measure's name and symbol; of one that this edition does not know, its key."""
    # A file of a newer edition may hold measures that this one does not know: they are shown all the same.
    found = MEASURES.get(ALIASES.get(key, key))
    return key if found is None else found.titled
