"""The claims that are made of VAEs, the one measure by which each is judged, and its margins: the table that decides.

A verdict is a function of the estimates and of this table, whose hash goes into `claims.json`: nobody moves a goal post.
Covered: the table, and how intervals become words. Not covered: where the estimates come from (experiment/), how they are
shown (report/).

Reading a row: of `measure`, the value `of` one member, or its ratio to the member `beside` it. The interval is over training
seeds. All of it beyond `holds`: holds. All of it on the far side of `fails`: does not hold here. All of it past `fails` but
not past `holds`: holds in part. Else: cannot tell. A claim's first row is its primary measure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from legato.measures.estimate import Estimate


class Verdict(StrEnum):
    """What is said of a claim, in words."""

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
    beside: str | None = None  # then the ratio of the two members' values, interval in logarithms

    def verdict(self, found: Estimate) -> Verdict:
        """One word for one interval."""
        if found.low is None or found.high is None:
            return Verdict.CANNOT_TELL
        low, high = (found.low, found.high) if self.holds > self.fails else (-found.high, -found.low)
        holds, fails = (self.holds, self.fails) if self.holds > self.fails else (-self.holds, -self.fails)
        if low >= holds:
            return Verdict.HOLDS
        if high <= fails:
            return Verdict.FAILS
        return Verdict.IN_PART if low > fails else Verdict.CANNOT_TELL


@dataclass(frozen=True)
class Claim:
    """A sentence, its rules (the first is primary), and what the popular account leaves out."""

    id: int
    sentence: str
    rules: tuple[Rule, ...]
    leaves_out: str

    def verdict(self, found: Sequence[Estimate]) -> Verdict:
        """The word for the whole sentence: `found` holds one estimate for each rule."""
        return combined([rule.verdict(one) for rule, one in zip(self.rules, found, strict=True)])


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


# Members by name, as experiment/family.py trains them; every one but `untrained` and `pca` with 16 latents.
AE, NOISE, VAE = "autoencoder", "noise", "beta-1"
LOW, HIGH = "beta-low", "beta-high"  # the smallest and the largest β of the family at hand

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
            Rule("with the KL, σ is larger (ratio to noise without KL)", "sigma", VAE, beside=NOISE, fails=1.0, holds=2.0),
            Rule("a larger β brings σ nearer to 1 (log σ, in absolute value)", "distance of sigma from 1", HIGH, beside=LOW,
                 fails=1.0, holds=0.8),
        ),
        "It pulls, and reconstruction pulls the other way. Only where a dimension carries nothing do μ = 0 and σ = 1 come "
        "about, which is collapse. That Var(μ_j) + E σ_j² is near 1 follows from rescaling z alone, at any β.",
    ),
    Claim(
        3,
        "Without the KL term σ shrinks and the space becomes an autoencoder's.",
        (
            Rule("σ beside the spread of the means becomes small", "noise ratio", NOISE, fails=0.3, holds=0.05),
            Rule("it reconstructs as the autoencoder does (distortion)", "distortion", NOISE, beside=AE, fails=1.3, holds=1.1),
            Rule("its samples are as far from real (Fréchet)", "frechet prior", NOISE, beside=AE, fails=0.5, holds=0.8),
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
            Rule("the autoencoder's do not", "realism prior", AE, fails=0.8, holds=0.5),
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
            Rule("and than an autoencoder's", "frechet midpoint", VAE, beside=AE, fails=1.0, holds=0.8),
        ),
        "Smoothness is no sign of meaning: a pixel cross-fade is perfectly smooth and unreal.",
    ),
    Claim(
        7,
        "Similar images lie together; an autoencoder's codes have no semantic relation.",
        (
            Rule("the VAE's neighbours share a class more often than PCA's (purity)", "purity", VAE, beside="pca",
                 fails=1.0, holds=1.02),
            Rule("and than the autoencoder's", "purity", VAE, beside=AE, fails=1.02, holds=1.1),
        ),
        "Autoencoders cluster classes about as well: purity does not separate the two. PCA and an untrained encoder are the "
        "floor that the bare number hides.",
    ),
    Claim(
        8,
        "The clouds overlap just enough.",
        (
            Rule("draws are mistaken for another image's (confusion rate)", "confusion", VAE, fails=0.01, holds=0.05),
            Rule("without the KL they are not", "confusion", NOISE, fails=0.05, holds=0.01),
        ),
        "I(n; z) is at most log N, and the rate is more than that: the clouds of the training images are nearly disjoint, and "
        "KL(q̂ ‖ p) is at least rate − log N even where the population matches the prior.",
    ),
    Claim(
        9,
        "The decoder is robust to small latent noise.",
        (Rule("the VAE bears more noise than the autoencoder (r₅₀)", "r50", VAE, beside=AE, fails=1.05, holds=1.25),),
        "A collapsed decoder is perfectly smooth: read active units and mutual information beside it. Distances are in "
        "whitened units; else the contrast would be one of scale.",
    ),
    Claim(
        10,
        "The reparameterisation trick lets gradients flow.",
        (
            Rule("without it the encoder gets nothing from reconstruction (share of the gradient)", "detached gradient", VAE,
                 fails=1e-3, holds=1e-12),
            Rule("the score function with a baseline is noisier (variances)", "variance ratio", VAE, fails=2.0, holds=10.0),
        ),
        "Score-function gradients flow too, and without bias. What the trick gains is variance.",
    ),
    Claim(
        11,
        "z = μ + σ⊙ε is N(μ, σ²), not a standard normal.",
        (
            Rule("draws are N(μ, σ²) (Kolmogorov-Smirnov distance)", "distance to own", VAE, fails=0.05, holds=0.01),
            Rule("and not N(0, 1)", "distance to standard", VAE, fails=0.01, holds=0.05),
        ),
        "ε is a standard normal and z is not: the trick re-expresses the draw, and converts nothing.",
    ),
    Claim(
        12,
        "β trades fidelity for generativity.",
        (
            Rule("a larger β costs reconstruction (distortion, largest β to smallest)", "distortion", HIGH, beside=LOW,
                 fails=1.02, holds=1.1),
            Rule("β = 1 closes the gap between samples and reconstructions (Fréchet, to the smallest β)", "frechet gap", VAE,
                 beside=LOW, fails=1.0, holds=0.8),
            Rule("and a larger β gives better samples still (Fréchet, largest β to 1)", "frechet prior", HIGH, beside=VAE,
                 fails=1.0, holds=0.95),
        ),
        "The Fréchet distance of samples is usually U-shaped in β: past the best β both fidelity and samples get worse.",
    ),
    Claim(
        13,
        "Continuity is engineered: it comes from the design.",
        (
            Rule("without the KL, noise is borne less (r₅₀)", "r50", NOISE, beside=VAE, fails=1.0, holds=0.8),
            Rule("without KL and noise too", "r50", AE, beside=VAE, fails=1.0, holds=0.8),
            Rule("without the KL, samples are worse (Fréchet)", "frechet prior", NOISE, beside=VAE, fails=1.0, holds=1.25),
            Rule("without the KL, midpoints are worse (Fréchet)", "frechet midpoint", NOISE, beside=VAE, fails=1.0, holds=1.25),
        ),
        "Take one word away at a time: noise alone shrinks, a KL on μ alone shapes codes and not their clouds.",
    ),
)  # fmt: skip


def table() -> list[dict[str, Any]]:
    """The table as JSON."""
    return [asdict(claim) for claim in CLAIMS]


def table_hash() -> str:
    """BLAKE2b of the rules alone: what decides, not the prose around it."""
    rules = [[claim.id, [asdict(rule) for rule in claim.rules]] for claim in CLAIMS]
    return hashlib.blake2b(json.dumps(rules, sort_keys=True).encode(), digest_size=16).hexdigest()


def decide(contrasts: Mapping[tuple[str, str, str | None], Estimate], missing: Estimate) -> list[dict[str, Any]]:
    """Every claim with its verdict. `contrasts`: (measure, of, beside) -> an estimate over seeds, or `missing`."""
    decided = []
    for claim in CLAIMS:
        found = [contrasts.get((rule.measure, rule.of, rule.beside), missing) for rule in claim.rules]
        decided.append(
            {
                "id": claim.id,
                "sentence": claim.sentence,
                "verdict": claim.verdict(found).value,
                "rule": [
                    {**asdict(rule), "estimate": one.to_json(), "verdict": rule.verdict(one).value}
                    for rule, one in zip(claim.rules, found, strict=True)
                ],
                "leaves_out": claim.leaves_out,
            }
        )
    return decided
