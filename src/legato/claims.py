"""The claims that are made of VAEs, the one measure that judges each, and its margins: the table that decides.

A verdict is a function of what training seeds say and of this table, whose hash goes into `claims.json`: nobody moves a goal
post. Covered: the table, and how tests become words. Not covered: where the figures come from (experiment/), how they are
shown (report/).

Reading a row: of `measure`, the value `of` one member, or its ratio to the member `beside` it, over training seeds.

- Shown to lie beyond `holds`: holds. Shown to lie on the far side of `fails`: does not hold here. Shown to lie past `fails` and
  not past `holds`: holds in part. Else: cannot tell.
- With `upto` and `beyond` the row has two sides: it holds between `holds` and `upto`, and fails below `fails` or above
  `beyond`. Of a ratio that is an equivalence, "as far as": two one-sided tests at 5 % each, which is the 90 % interval
  (Schuirmann 1987, https://doi.org/10.1007/BF01068419).
- "Shown" is a test at 5 %, of one side at 2.5 %: that is where a 95 % interval ends. The rows that decide, each claim's first,
  are many: their p-values are adjusted for their number (Holm 1979), so that among all of them a wrong word is about as rare
  as 5 % says (at worst 6.6 % with 4 seeds, where members' seeds vary by very different amounts). Intervals stay 95 % each. The
  other rows are not adjusted.
- A row that is true by `arithmetic` is no finding. It is checked, its word stands beside, and it is not among those adjusted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from legato.measures.estimate import holm
from legato.measures.seeds import Contrast

EDITION = 3
LEVEL = 0.05  # of a word about one claim, and, by Holm, about all
KINDS = ("holds", "past failing", "fails")  # what a test may show of a row, in the order of `p_values`


class Verdict(StrEnum):
    """The words that are said of a claim."""

    HOLDS = "holds"
    IN_PART = "holds in part"
    FAILS = "does not hold here"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Rule:
    """One thing that a sentence says. `holds` above `fails`: large values speak for it; below: small ones do."""

    says: str
    measure: str
    of: str
    fails: float
    holds: float
    beside: str | None = None  # then the ratio of the two, in logarithms, in which it and its inverse are alike
    upto: float | None = None
    beyond: float | None = None
    arithmetic: bool = False  # true by construction: it could fail by a mistake in the code alone

    def p_values(self, found: Contrast) -> tuple[float, float, float] | None:
        """(holds, past failing, fails): what the data have against doubting each, to be compared with `LEVEL`.

        A one-sided p counts twice, since a row may hold or fail; of a row with two sides holding needs both one-sided tests,
        and failing either, which counts twice. None where no variance is known.
        """
        if found.p_above(self.holds) is None:
            return None
        above, below = _known(found.p_above), _known(found.p_below)
        if self.upto is not None and self.beyond is not None:
            inside = [max(above(low), below(high)) for low, high in ((self.holds, self.upto), (self.fails, self.beyond))]
            return inside[0], inside[1], min(1.0, 2 * min(below(self.fails), above(self.beyond)))
        better, worse = (above, below) if self.holds > self.fails else (below, above)
        return min(1.0, 2 * better(self.holds)), min(1.0, 2 * better(self.fails)), min(1.0, 2 * worse(self.fails))


def _known(test: Any) -> Any:
    def p(margin: float) -> float:
        found: float | None = test(margin)
        assert found is not None
        return found

    return p


def word(p_values: Sequence[float] | None) -> Verdict:
    """One word from (holds, past failing, fails)."""
    if p_values is None:
        return Verdict.CANNOT_TELL
    holds, past, fails = (p <= LEVEL for p in p_values)
    if holds:
        return Verdict.HOLDS
    return Verdict.FAILS if fails else Verdict.IN_PART if past else Verdict.CANNOT_TELL


@dataclass(frozen=True)
class Claim:
    """A sentence, its rules (the first decides), and what the popular account leaves out."""

    id: int
    sentence: str
    rules: tuple[Rule, ...]
    leaves_out: str

    @property
    def primary(self) -> Rule:
        """The row that decides."""
        return self.rules[0]


def combined(words: Sequence[Verdict]) -> Verdict:
    """One word for several: an unknown primary is unknown; what all say is said; else the sentence holds in part.

    A secondary rule that cannot tell takes nothing from a primary that fails, and from one that holds, that it holds whole.
    """
    primary = words[0]
    known = {word for word in words if word is not Verdict.CANNOT_TELL}
    if primary is Verdict.CANNOT_TELL:
        return primary
    if known == {Verdict.FAILS}:
        return Verdict.FAILS
    return Verdict.HOLDS if set(words) == {Verdict.HOLDS} else Verdict.IN_PART


def parts(rules: Sequence[Rule], words: Sequence[Verdict]) -> str:
    """Parts of a sentence that hold and that do not, where they differ; what is true by arithmetic; else nothing."""
    if all(rule.arithmetic for rule in rules):
        return "true by arithmetic"
    said = {word: [rule.says for rule, own in zip(rules, words, strict=True) if own is word] for word in words}
    told = [f"{_quoted(says)}: {word}" for word, says in said.items()] if len(said) > 1 else []
    computed = [rule.says for rule in rules if rule.arithmetic]
    return "; ".join(told + ([f"{_quoted(computed)}: true by arithmetic"] if computed else []))


def _quoted(sentences: Iterable[str]) -> str:
    return ", ".join(f"“{says}”" for says in sentences)


# Members by name, as experiment/members.py trains them; every one but `untrained` and `pca` with 16 latents.
AE, NOISE, PULL, VAE = "autoencoder", "noise", "pull", "beta-1"
LOW, HIGH = "beta-0.1", "beta-4"  # the same two in every family, so that records can be compared
FAMILY = "family"  # all trained members together: of them ranks are told (experiment/across.py)

CLAIMS = (
    Claim(
        1,
        "The encoder learns μ(x) and σ(x) of the latent posterior, one Gaussian per image.",
        (Rule("learned σ follow from the decoder, within each dimension (R²)", "force balance", VAE, fails=0.1, holds=0.5),),
        "The encoder learns an approximation: it is exact only for linear-Gaussian models. To first order its σ is not free: "
        "1/σ² = 1 + [JᵀWJ]/β, the decoder's sensitivity, says what it has to be.",
    ),
    Claim(
        2,
        "The KL term pulls μ to 0 and σ to 1.",
        (
            Rule("with the KL, σ is nearer to 1 (|log σ|, to noise without KL)", "distance of sigma from 1", VAE, beside=NOISE,
                 fails=1.0, holds=0.5),
            Rule("with the KL, μ is nearer to 0 (root mean square)", "size of means", VAE, beside=NOISE, fails=1.0, holds=0.5),
            Rule("a larger β brings σ nearer to 1", "distance of sigma from 1", HIGH, beside=LOW, fails=1.0, holds=0.8),
            Rule("a larger β brings μ nearer to 0", "size of means", HIGH, beside=LOW, fails=1.0, holds=0.8),
        ),
        "It pulls, and reconstruction pulls the other way. Only where a dimension carries nothing do μ = 0 and σ = 1 come "
        "about, which is collapse. That Var(μ_j) + E σ_j² is near 1 follows from rescaling z alone, at any β.",
    ),
    Claim(
        3,
        "Without the KL term σ shrinks and the space becomes an autoencoder's.",
        (
            Rule("σ beside the spread of the means becomes small", "noise ratio", NOISE, fails=0.3, holds=0.05),
            Rule("it reconstructs as the autoencoder does (distortion)", "distortion", NOISE, beside=AE,
                 fails=1 / 1.3, holds=1 / 1.1, upto=1.1, beyond=1.3),
            Rule("its samples are as far from real (Fréchet)", "frechet prior", NOISE, beside=AE,
                 fails=0.5, holds=0.8, upto=1.25, beyond=2.0),
        ),
        "σ is never 0: it decays slowly, at a rate that depends on the optimiser, or μ grows instead. A clamp on log σ² fakes "
        "a floor; here there is none.",
    ),
    Claim(
        4,
        "Codes stay around the origin with controlled spread.",
        (
            Rule("‖z‖² is distributed as χ² (Kolmogorov-Smirnov distance)", "norm distance", VAE, fails=0.3, holds=0.1),
            Rule("a classifier cannot tell codes from the prior (accuracy)", "two-sample accuracy", VAE, fails=0.7, holds=0.55),
        ),
        "Mean and variance are right by construction, for ten separate clusters too. The shape is what matters.",
    ),
    Claim(
        5,
        "Any z ~ N(0, I) decodes to a realistic image; an autoencoder gives garbage.",
        (
            Rule("the VAE's samples lie among real images (share, real = 1)", "realism prior", VAE, fails=0.5, holds=0.8),
            Rule("they cover the real ones (coverage: share of real images that have one near)", "coverage prior", VAE,
                 fails=0.3, holds=0.7),
            Rule("the autoencoder's do not lie among real images", "realism prior", AE, fails=0.8, holds=0.5),
        ),
        "It is a claim about the sampler. An autoencoder whose codes are drawn from a mixture fitted to them often beats the "
        "VAE's own prior: see the ladder.",
    ),
    Claim(
        6,
        "Interpolation z_α = (1 − α)z₁ + αz₂ gives meaningful blends.",
        (
            Rule("midpoints are nearer to real images than a cross-fade's (Fréchet distance)", "frechet midpoint", VAE,
                 beside="cross-fade", fails=1.0, holds=0.8),
            Rule("a midpoint lies between its ends (share; ⅓ for an unrelated image)", "midpoint between ends", VAE,
                 fails=0.5, holds=0.9),
            Rule("midpoints are nearer to real images than an autoencoder's", "frechet midpoint", VAE, beside=AE,
                 fails=1.0, holds=0.8),
        ),
        "Smoothness is no sign of meaning: a pixel cross-fade is perfectly smooth and unreal.",
    ),
    Claim(
        7,
        "Similar images lie together; an autoencoder's codes have no semantic relation.",
        (
            Rule("the VAE's neighbours share a class more often than PCA's (purity)", "purity", VAE, beside="pca",
                 fails=1.0, holds=1.02),
            Rule("the VAE's share one more often than the autoencoder's", "purity", VAE, beside=AE, fails=1.02, holds=1.1),
        ),
        "Autoencoders cluster classes about as well: purity does not separate the two. PCA and an untrained encoder are the "
        "floor that the bare number hides.",
    ),
    Claim(
        8,
        "The clouds overlap just enough.",
        (
            Rule("draws are mistaken for another image's, not seldom and not mostly (confusion rate)", "confusion", VAE,
                 fails=0.01, holds=0.05, upto=0.5, beyond=0.9),
            Rule("without the KL they are not", "confusion", NOISE, fails=0.05, holds=0.01),
        ),
        "I(n; z) is at most log N, and the rate is more than that: the clouds of the training images are nearly disjoint, and "
        "KL(q̂ ‖ p) is at least rate − log N even where the population matches the prior. Clouds that are all alike, confusion "
        "near 1, are collapse.",
    ),
    Claim(
        9,
        "The decoder is robust to small latent noise.",
        (
            Rule("a tenth of the way between two codes moves the image by little of the way between two images",
                 "moved by a tenth", VAE, fails=0.5, holds=0.2),
            Rule("the VAE bears more noise than the autoencoder (r₅₀)", "r50", VAE, beside=AE, fails=1.05, holds=1.25),
        ),
        "A linear decoder moves by that tenth, and a collapsed one not at all: read active units and mutual information beside "
        "it. Distances are in whitened units; else the contrast would be one of scale.",
    ),
    Claim(
        10,
        "The reparameterisation trick lets gradients flow.",
        (
            Rule("the score function, which needs no trick, is noisier even with a baseline (variances)", "variance ratio",
                 VAE, fails=2.0, holds=10.0),
            Rule("where z is cut off, the encoder gets nothing from reconstruction (share of the gradient)",
                 "detached gradient", VAE, fails=1e-3, holds=1e-12, arithmetic=True),
        ),
        "Score-function gradients flow too, and without bias. What the trick gains is variance.",
    ),
    Claim(
        11,
        "z = μ + σ⊙ε is N(μ, σ²), not a standard normal.",
        (
            Rule("draws are N(μ, σ²) (Kolmogorov-Smirnov distance)", "distance to own", VAE, fails=0.05, holds=0.01,
                 arithmetic=True),
            Rule("draws are not N(0, 1)", "distance to standard", VAE, fails=0.01, holds=0.05, arithmetic=True),
        ),
        "ε is a standard normal and z is not: the trick re-expresses the draw, and converts nothing.",
    ),
    Claim(
        12,
        "β trades fidelity for generativity.",
        (
            Rule("a larger β costs reconstruction (distortion, β = 4 to 0.1)", "distortion", HIGH, beside=LOW,
                 fails=1.02, holds=1.1),
            Rule("it closes the gap between samples and reconstructions (Fréchet, β = 1 to 0.1)", "frechet gap", VAE,
                 beside=LOW, fails=1.0, holds=0.8),
            Rule("it gives better samples still (Fréchet, β = 4 to 1)", "frechet prior", HIGH, beside=VAE,
                 fails=1.0, holds=0.95),
        ),
        "The Fréchet distance of samples is usually U-shaped in β: past the best β both fidelity and samples get worse.",
    ),
    Claim(
        13,
        "Continuity is engineered: it comes from the design.",
        (
            Rule("without the noise and the KL, noise is borne less (r₅₀)", "r50", AE, beside=VAE, fails=1.0, holds=0.8),
            Rule("without the KL, noise is borne less", "r50", NOISE, beside=VAE, fails=1.0, holds=0.8),
            Rule("with a pull and no noise, noise is borne less", "r50", PULL, beside=VAE, fails=1.0, holds=0.8),
            Rule("without the noise and the KL, midpoints are worse (Fréchet)", "frechet midpoint", AE, beside=VAE,
                 fails=1.0, holds=1.25),
            Rule("without the KL, midpoints are worse", "frechet midpoint", NOISE, beside=VAE, fails=1.0, holds=1.25),
            Rule("with a pull and no noise, midpoints are worse", "frechet midpoint", PULL, beside=VAE,
                 fails=1.0, holds=1.25),
            Rule("without the noise and the KL, samples of N(0, I) are worse (Fréchet)", "frechet prior", AE, beside=VAE,
                 fails=1.0, holds=1.25),
            Rule("without the KL, samples of N(0, I) are worse", "frechet prior", NOISE, beside=VAE, fails=1.0, holds=1.25),
            Rule("with a pull and no noise, samples of a Gaussian fitted to the codes are worse", "frechet gaussian", PULL,
                 beside=VAE, fails=1.0, holds=1.25),
        ),
        "Take one word away at a time: noise alone shrinks; a pull alone can be undone by a decoder that grows, which is why "
        "codes are whitened and samples drawn from a Gaussian fitted to them.",
    ),
    Claim(
        14,
        "A space that is continuous and semantic can be sampled.",
        (
            Rule("the more of both, the nearer samples of a prior fitted to the codes come to reconstructions (ranks)",
                 "sampling told by both", FAMILY, fails=0.2, holds=0.5),
            Rule("the more noise is borne (r₅₀), the nearer", "sampling told by continuity", FAMILY, fails=0.2, holds=0.5),
            Rule("the more often neighbours share a class, the nearer", "sampling told by meaning", FAMILY,
                 fails=0.2, holds=0.5),
        ),
        "Sampled from what? Of N(0, I) it is not true: an autoencoder's space is continuous and semantic too, and its codes "
        "lie elsewhere (claim 5). From a prior that is fitted to them samples can come no nearer than reconstructions do.",
    ),
)  # fmt: skip


def table_hash(scales: Mapping[str, Any]) -> str:
    """BLAKE2b of all that decides: the rules, the level, and `scales`, on which seeds are averaged; not the prose around it."""
    rules = [[claim.id, [asdict(rule) for rule in claim.rules]] for claim in CLAIMS]
    decides = {"rules": rules, "level": LEVEL, "adjusted": "Holm over the first rows that are not arithmetic", "scales": scales}
    # Sorted: the hash is of what is said, not of how it is written down.
    return hashlib.blake2b(json.dumps(decides, sort_keys=True).encode(), digest_size=16).hexdigest()


Key = tuple[str, str, str | None]  # measure, of, beside: rules that read the same share one contrast


def key_of(rule: Rule) -> Key:
    """The key of what a rule reads."""
    return rule.measure, rule.of, rule.beside


def decide(contrasts: Mapping[Key, Contrast], missing: Contrast) -> list[dict[str, Any]]:
    """Every claim with its verdict. `contrasts`: what a rule reads -> what seeds say of it; without one, `missing`."""
    found = {claim.id: [contrasts.get(key_of(rule), missing) for rule in claim.rules] for claim in CLAIMS}
    # What cannot fail is left out: each further row may raise the others' adjusted p-values.
    measured = [claim for claim in CLAIMS if not claim.primary.arithmetic]
    adjusted = _adjusted({claim.id: claim.primary.p_values(found[claim.id][0]) for claim in measured})
    return [_decided(claim, found[claim.id], adjusted.get(claim.id)) for claim in CLAIMS]


def _adjusted(p_values: Mapping[int, Sequence[float] | None]) -> dict[int, Sequence[float]]:
    """p-values adjusted by Holm, for each kind of statement over all claims of which any is known."""
    known = {number: p for number, p in p_values.items() if p is not None}
    columns = [holm(column) for column in zip(*known.values(), strict=True)]
    return {number: [float(column[i]) for column in columns] for i, number in enumerate(known)}


def _decided(claim: Claim, found: Sequence[Contrast], adjusted: Sequence[float] | None) -> dict[str, Any]:
    p_values = [rule.p_values(one) for rule, one in zip(claim.rules, found, strict=True)]
    # the first row decides, and it alone is adjusted
    told = [word(p if adjusted is None or i else adjusted) for i, p in enumerate(p_values)]
    rows = zip(claim.rules, found, p_values, told, strict=True)
    return {
        "id": claim.id,
        "sentence": claim.sentence,
        "verdict": combined(told).value,
        "parts": parts(claim.rules, told),
        "rule": [
            {**asdict(rule), "estimate": one.estimate.to_json(), "p": _named(p), "verdict": said.value}
            | ({"adjusted p": _named(adjusted)} if rule is claim.primary and adjusted is not None else {})
            for rule, one, p, said in rows
        ],
        "leaves_out": claim.leaves_out,
    }


def _named(p_values: Iterable[float] | None) -> dict[str, float] | None:
    return None if p_values is None else dict(zip(KINDS, p_values, strict=True))
