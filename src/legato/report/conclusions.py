"""Conclusions of each claim in one or two plain sentences: chosen by the verdicts, filled with the estimates.

Covered: every claim, every verdict, figures that are missing. Not covered: deciding (legato.claims): a sentence here only says
in words what a row's word already says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from legato.claims import Verdict

SMALL = ((1e-6, "less than a millionth"), (1e-3, "less than a thousandth"))  # shares that would be rows of zeros


@dataclass(frozen=True)
class Said:
    """A sentence for each word that row number `rule` may have; `{0}` is the figure of row 0, told as `shown` says.

    `whether`: what cannot be told, where it cannot.
    """

    rule: int
    holds: str
    part: str
    fails: str
    whether: str

    def sentence(self, word: str, figures: Sequence[str], why: str | None) -> str:
        """The sentence for the row's word."""
        if Verdict(word) is Verdict.CANNOT_TELL:
            # `why` stands in it before figures are filled in, and may hold no braces
            return f"Whether {self.whether} cannot be told{f': {why}' if why else ''}.".format(*figures)
        told = {Verdict.HOLDS: self.holds, Verdict.IN_PART: self.part, Verdict.FAILS: self.fails}
        return told[Verdict(word)].format(*figures)


@dataclass(frozen=True)
class Conclusion:
    """`shown`: of each row's figure, a letter for how it is told: p per cent, t times, i times of its inverse, n a number."""

    shown: str
    said: tuple[Said, ...]


_SIGMA = "With the KL term the clouds' width is {0} times nearer to the prior's, on a logarithmic scale, than with noise alone"
_CENTRES = "the codes' centres lie {1} times nearer to 0"
_EXPLAINS = "The decoder's sensitivity explains {0} of how the learnt widths vary"
_SHRINK = "Without the KL term the clouds' width ends at {0} of the codes' spread"
_TOLD_APART = "A classifier tells them from draws of the prior {1} of the time, where guessing gives 50 %"
_AMONG = "The VAE's random samples lie among real images {0} as often as real images do, and come near {1} of these"
_HALFWAY = "Halfway between two images the VAE's pictures are {0} as far from real ones as a cross-fade of pixels"
_ALIKE = "of an image's nearest codes {0} times as many are of its class as in plain PCA"
_MISTAKEN = "{0} of draws are mistaken for another image's, where 5 % to 50 % count as just enough"
_MOVED = "A tenth of the way between two codes changes the picture by {0} of the way between two pictures"
_NOISIER = "Without the trick the encoder's gradient is {0} times as noisy, even with a baseline to steady it"
_LOSS = "From β = 0.1 to β = 4 the loss in redrawing grows {0} times"
_TOLD = "the models' ranks agree to {0}, where 1 is always and 0 by chance"
_DRAWN = "without them samples of N(0, I) lie {6} times as far from real images"
_BORNE = "without the noise and the KL the decoder bears {0} of the VAE's noise"

CONCLUSIONS: Mapping[int, Conclusion] = {
    1: Conclusion("p", (
        Said(0, f"{_EXPLAINS}: σ is what the decoder asks for.", f"{_EXPLAINS}: σ follows it roughly.",
             f"{_EXPLAINS}: σ is something else.", "the learnt widths follow from the decoder"),
    )),
    2: Conclusion("iiii", (
        Said(0, f"{_SIGMA}.", f"{_SIGMA}, which is less than was asked for.", f"{_SIGMA}: it is not pulled there.",
             "the KL term brings the clouds' width nearer to the prior's"),
        Said(1, f"And {_CENTRES}.", f"And {_CENTRES}, which is less than was asked for.", f"And {_CENTRES}: no pull is seen.",
             "it brings their centres nearer to 0"),
    )),
    3: Conclusion("ptt", (
        Said(0, f"{_SHRINK}: to the decoder they are points.", f"{_SHRINK}: they shrink, but not to points.",
             f"{_SHRINK}: they do not shrink.", "the clouds shrink without the KL term"),
        Said(2, "Samples of the prior are then as far from real images as an autoencoder's ({2} times).",
             "Samples of the prior are then somewhat unlike an autoencoder's ({2} times as far from real images).",
             "But samples of the prior are then unlike an autoencoder's ({2} times as far from real images).",
             "samples of the prior are then as far from real images as an autoencoder's"),
    )),
    4: Conclusion("pp", (
        Said(0, "The codes lie around 0 as the prior does: their distances from it differ by {0} at most.",
             "The codes gather around 0, but not in the prior's shape: their distances from it differ by up to {0}.",
             "The codes do not lie as the prior does: their distances from 0 differ by up to {0}.",
             "the codes lie around 0 as the prior does"),
        Said(1, f"{_TOLD_APART}: it hardly can.", f"{_TOLD_APART}.", f"{_TOLD_APART}: it can.",
             "a classifier tells them from draws of the prior"),
    )),
    5: Conclusion("ppp", (
        Said(0, f"{_AMONG}.", f"{_AMONG}.", f"{_AMONG}: most random codes decode to nothing real.",
             "the VAE's random samples lie among real images"),
        Said(2, "An autoencoder's lie there {2} as often: mostly garbage.",
             "An autoencoder's lie there {2} as often: worse, and not garbage.",
             "So do an autoencoder's: {2} as often.", "an autoencoder's do"),
    )),
    6: Conclusion("ppp", (
        Said(0, f"{_HALFWAY}: clearly nearer.", f"{_HALFWAY}: a little nearer.", f"{_HALFWAY}: no nearer.",
             "pictures halfway are nearer to real ones than a cross-fade of pixels"),
        Said(2, "And {2} as far as an autoencoder's: nearer, too.", "And {2} as far as an autoencoder's: a little nearer.",
             "But {2} as far as an autoencoder's: no nearer.", "they are nearer than an autoencoder's ({2} as far)"),
    )),
    7: Conclusion("nn", (
        Said(0, f"Similar images lie together: {_ALIKE}.",
             f"Similar images lie together, but hardly by the VAE's merit: {_ALIKE}.",
             f"The VAE puts similar images together no better than PCA: {_ALIKE}.",
             "the VAE puts similar images together better than PCA"),
        Said(1, "An autoencoder is worse at it: the VAE has {1} times as many.",
             "An autoencoder is a little worse at it: the VAE has {1} times as many.",
             "An autoencoder is as good at it: the VAE has {1} times as many.", "an autoencoder is worse at it"),
    )),
    8: Conclusion("pp", (
        Said(0, f"The clouds overlap just enough: {_MISTAKEN}.", f"The clouds overlap, if not by that measure: {_MISTAKEN}.",
             f"The clouds do not overlap just enough: {_MISTAKEN}.", "the clouds overlap just enough"),
        Said(1, "Without the KL term they do not: {1}.", "Without the KL term they do a little: {1}.",
             "But so they do without the KL term: {1}.", "they do so without the KL term"),
    )),
    9: Conclusion("pn", (
        Said(0, f"{_MOVED}: small steps make small changes.", f"{_MOVED}.", f"{_MOVED}: small steps make large changes.",
             "small steps make small changes"),
        Said(1, "The VAE bears {1} times the noise that an autoencoder does.",
             "The VAE bears hardly more noise than an autoencoder: {1} times as much.",
             "The VAE bears no more noise than an autoencoder: {1} times as much.",
             "the VAE bears more noise than an autoencoder"),
    )),
    10: Conclusion("tp", (
        Said(0, f"{_NOISIER}: what the trick gives is calm.", f"{_NOISIER}.", f"{_NOISIER}: it gains little.",
             "gradients are noisier without the trick"),
        Said(1, "Where the draw is cut off from the encoder, no gradient reaches it.",
             "Where the draw is cut off from the encoder, {1} of the gradient still reaches it.",
             "Where the draw is cut off from the encoder, {1} of the gradient still reaches it: this should not be.",
             "a gradient reaches the encoder where the draw is cut off from it"),
    )),
    11: Conclusion("pp", (
        Said(1, "A draw z belongs to its image's own cloud N(μ, σ²), by construction; its distribution is up to {1} off "
             "a standard normal's.",
             "A draw z belongs to its image's own cloud N(μ, σ²), by construction; its distribution is up to {1} off "
             "a standard normal's.",
             "Here the clouds lie so near N(0, 1) ({1} away) that a draw is nearly a standard normal.",
             "draws differ from a standard normal"),
    )),
    12: Conclusion("npn", (
        Said(0, f"{_LOSS}.", f"{_LOSS}: a little.", f"{_LOSS}: fidelity is not lost.", "a larger β costs fidelity"),
        Said(2, "Samples still get better beyond β = 1: at β = 4 they are {2} times as far from real images.",
             "Samples get a little better beyond β = 1: at β = 4 they are {2} times as far from real images.",
             "Beyond β = 1 samples get no better: at β = 4 they are {2} times as far from real images.",
             "samples get better beyond β = 1"),
    )),
    13: Conclusion("pppnnnttn", (
        Said(0, f"Robustness to noise comes from the design: {_BORNE}.",
             f"Robustness to noise hardly comes from the design: {_BORNE}.",
             f"Robustness to noise does not come from the design: {_BORNE}.",
             "robustness to noise comes from the noise and the KL"),
        Said(6, f"The place to sample from does: {_DRAWN}.", f"The place to sample from gains a little by it: {_DRAWN}.",
             f"The place to sample from gains nothing by it: {_DRAWN}.",
             "samples of N(0, I) gain by it"),
    )),
    14: Conclusion("nnn", (
        Said(0, f"Spaces that are continuous and semantic are those that can be sampled: {_TOLD}.",
             f"Spaces that are continuous and semantic can be sampled somewhat better than others: {_TOLD}.",
             f"Spaces that are more continuous and semantic are not sampled better: {_TOLD}.",
             "continuity and meaning foretell that a space can be sampled"),
        Said(1, "Continuity alone foretells it ({1}).", "Continuity alone foretells a little of it ({1}).",
             "Continuity alone does not ({1}).", "continuity alone foretells it"),
    )),
}  # fmt: skip


def concluded(claim: Mapping[str, Any]) -> str:
    """One or two sentences, of a decided claim as `claims.json` holds it."""
    found, rules = CONCLUSIONS[claim["id"]], claim["rule"]
    figures = [_figure(rule["estimate"].get("value"), how) for rule, how in zip(rules, found.shown, strict=True)]
    return " ".join(
        said.sentence(rules[said.rule]["verdict"], figures, rules[said.rule]["estimate"].get("why")) for said in found.said
    )


def _figure(value: float | None, how: str) -> str:
    if value is None:
        return "an unknown number of"
    if how == "p":
        small = (words for most, words in SMALL if 0 < value < most)
        return next(small, f"{_digits(100 * value)} %")
    return _digits(1 / value if how == "i" and value else value)  # a ratio of 0 has no inverse; it is told as it is


def _digits(value: float) -> str:
    """Two digits, or as many as stand before the point; three near 1, where ratios are told apart by the third."""
    # Near 1 two digits would tell 0.97 and 1.03 alike.
    return f"{value:.3g}" if 0.9 < value < 1.1 else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
