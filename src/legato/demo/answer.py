"""The demo's answer in words: what the noise and the KL term do, why, and where that account is too simple.

The mechanism is told as it is; every result is read from the numbers, and a comparison that their intervals do not bear out is
told as none. Covered: five sentences for the top of the page, two sections behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from legato.demo.members import LARGE
from legato.demo.numbers import Row, Yardstick
from legato.measures.estimate import Estimate
from legato.report.html import Section, strong

WHAT = (
    "Each of these three models squeezes a handwritten digit into a few numbers, its code, and draws the digit again from "
    "them: the autoencoder does only that; the second one adds noise to the code; the variational autoencoder (VAE) adds the "
    "noise and a price, the KL term, for every code that strays from one bell curve around zero."
)
WHY = (
    ("Continuous.", "The encoder gives a digit no point but a centre μ and a width σ, and the decoder sees a draw from that "
     "cloud, another one at every step. Where the clouds of two digits overlap it is sometimes given the same code for both, "
     "and the best picture there is a blend of the two. A jump between neighbouring places would be punished at once."),
    ("Why noise alone is not enough.", "A model can escape the noise: it makes σ small, or pushes the codes far apart, until "
     "no two clouds meet. The KL term, ½ Σ (μ² + σ² − 1 − log σ²), charges for both, for a centre far from 0 and for a narrow "
     "cloud. A code is then as exact as it pays to be, and no more."),
    ("Semantic.", "An overlap costs least between digits that look alike, since their blend is close to both. The cheapest "
     "arrangement therefore puts alike beside alike."),
    ("Sampleable.", "Every cloud is charged for its distance from the bell curve N(0, I), so that all of them together come to "
     "resemble it. Few places inside it are left empty, and it is known in advance: one can draw from it without any digit."),
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """The result of the rows with 16 latents, in words."""

    plain: Row
    noisy: Row
    vae: Row
    against: Yardstick

    def points(self) -> list[tuple[str, str]]:
        """Five sentences, all but the first with a word of what each is about."""
        return [
            ("", WHAT),
            ("Continuous:", self._continuous()),
            ("Semantic:", self._semantic()),
            ("Sampleable:", self._sampleable()),
            ("Too simple:", self._too_simple()),
        ]

    def sections(self) -> list[Section]:
        """The reasons, and where that account is too simple."""
        return [
            Section("Why the noise and the KL term do this", _told(WHY)),
            Section("Where this account is too simple", _told(self._corrections())),
        ]

    def _continuous(self) -> str:
        assert self.vae.relative is not None
        assert self.noisy.relative is not None
        without, with_kl = part(self.noisy.relative), part(self.vae.relative)
        # Twice at least: less is not told as a difference.
        if self.vae.relative > 2 * self.noisy.relative:
            told = f"without the KL term the clouds shrank to {without} of the codes' spread, with it they kept {with_kl} of it"
        else:
            told = f"here the clouds ended at {without} of the codes' spread without the KL term, and at {with_kl} with it"
        return (
            "the noise makes a cloud of each code, and the decoder must draw the same digit from anywhere in the cloud, so "
            f"that neighbouring places look alike; {told}."
        )

    def _semantic(self) -> str:
        # by intervals that do not meet: a difference within them is told as none
        takes = "and here the KL term helps" if order(self.vae.alike, self.plain.alike) > 0 else "which takes no KL term"
        return (
            f"digits that look alike get codes that lie near each other, {takes}: of a digit's ten nearest codes "
            f"{share(self.vae.alike)} show the same digit in the VAE, {share(self.plain.alike)} in the autoencoder, and "
            f"{share(self.against.alike)} where raw pixels are compared."
        )

    def _sampleable(self) -> str:
        # against both: better than noise alone is not yet what is claimed of the KL term
        better = all(order(self.vae.from_prior, one.from_prior) > 0 for one in (self.plain, self.noisy))
        told = "so that random codes decode to digits" if better else "though here random codes gain little"
        return (
            f"the KL term packs all the clouds around the one place where random numbers fall, {told}: "
            f"{share(self.vae.from_prior)} of real digits have one of the VAE's random digits near them, against "
            f"{share(self.plain.from_prior)} for the autoencoder and {share(self.noisy.from_prior)} with noise alone "
            f"(other real digits: {share(self.against.covered)})."
        )

    def _too_simple(self) -> str:
        # 0 stands in for a distortion that is missing, and then no price is told
        lost = (self.vae.distortion.value or 0.0) - (self.plain.distortion.value or 0.0)
        dearer = order(self.vae.distortion, self.plain.distortion) > 0
        price = f", at a price of {lost:.0f} nats a digit in faithfulness" if dearer else ""
        return (
            "the autoencoder's space is not useless, for halfway between two digits its pictures are "
            f"{self._halfway()}; what the KL term buys is a place that is known to draw from{price}."
        )

    def _halfway(self) -> str:
        word = {
            1: "less often like real ones than",
            0: "about as often like real ones as",
            -1: "more often like real ones than",
        }
        found = self.vae.halfway, self.plain.halfway
        return f"{word[order(*found)]} the VAE's ({share(found[1])} and {share(found[0])})"

    def _corrections(self) -> list[tuple[str, str]]:
        return [
            ("It is a claim about where to draw.", "Samples of a bell curve that is fitted to the autoencoder's own codes "
             f"after training come near {share(self.plain.from_codes)} of real digits, where those of N(0, I) come near "
             f"{share(self.plain.from_prior)}, and the VAE's near {share(self.vae.from_prior)}. A mixture of several bell "
             "curves fits the codes closer than one: `legato sample RUN --from mixture`."),
            ("Paths prove little.", f"Halfway between two digits the autoencoder's pictures are {self._halfway()}."),
            ("Neighbours prove little.", f"In the autoencoder {share(self.plain.alike)} of the nearest codes show the same "
             f"digit, with noise alone {share(self.noisy.alike)}, in the VAE {share(self.vae.alike)}. Networks are smooth to "
             "begin with, and a smooth network keeps alike beside alike, with or without a KL term."),
            ("The match is one of the whole.", "All clouds together resemble N(0, I) at best on average; places between them "
             f"stay empty. So the VAE's samples come near {share(self.vae.from_prior)} of real digits, and other real digits "
             f"near {share(self.against.covered)}."),
            ("It is one training of each model,", f"with {LARGE} latents, on digits. `legato claims` trains eleven models with "
             "several seeds, puts controls beside every measure, and says of fourteen such claims which hold."),
        ]  # fmt: skip


def _told(points: Sequence[tuple[str, str]]) -> str:
    return "\n\n".join(f"{strong(head)} {text}" for head, text in points)


def answer(rows: Sequence[Row], against: Yardstick) -> Answer:
    """The answer of the rows with 16 latents."""
    by = {row.member.recipe: row for row in rows if row.member.latent_dim == LARGE}
    return Answer(by["autoencoder"], by["noisy_autoencoder"], by["vae"], against)


def order(one: Estimate, other: Estimate) -> int:
    """1 where the one's interval lies above the other's, −1 below, 0 where they meet or one is unknown."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return 0
    return int(one.low > other.high) - int(one.high < other.low)


def share(estimate: Estimate) -> str:
    """A share in per cent, in words where it is none."""
    assert estimate.value is not None
    # Below half a per cent a rounded 0 % would look like a measured zero.
    return f"{100 * estimate.value:.0f} %" if estimate.value >= 0.005 else "none"


def part(ratio: float) -> str:
    """A width as a share of another, in words where the number would be a row of zeros."""
    small = ((1e-6, "less than a millionth"), (1e-3, "less than a thousandth"))
    return next((words for most, words in small if ratio < most), f"{100 * ratio:.{0 if ratio >= 0.1 else 1}f} %")
