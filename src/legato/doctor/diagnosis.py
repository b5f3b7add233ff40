"""The diagnosis: can this space be sampled as it is, by what prior, and what to change in training.

Covered: three answers made of the figures' advice, by rules that a person can follow. Not covered: fitting the prior (refits).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from legato.doctor.advice import Advice, Tone
from legato.doctor.found import Found
from legato.doctor.known import RULES
from legato.measures.interval import bracketed

WORDS: dict[Tone, str] = {"good": "yes", "part": "in part", "bad": "no", "unknown": "cannot tell"}
REASONS = (
    "told from prior",
    "hole 5%",
    "kernel hole 5%",
    "gap of moments",
)  # why the prior's samples are poor, the plainest first
MOST = 5  # things to change that are told: of more nobody does the first


@dataclass(frozen=True)
class Diagnosis:
    """The answers in sentences; `tone` is that of the first."""

    tone: Tone
    sampled: str
    prior: str
    training: tuple[str, ...]

    def lines(self) -> list[str]:
        """All of it, a line each."""
        return [f"Can it be sampled as it is? {self.sampled}", f"By what prior? {self.prior}", *self._changes()]

    def _changes(self) -> list[str]:
        if not self.training:
            return ["What to change in training? Nothing that these figures ask for."]
        return [f"What to change in training? {self.training[0]}", *(f"  and: {one}" for one in self.training[1:])]


@dataclass(frozen=True)
class Kind:
    """What a diagnosis must know of a model: whether codes are grids, chosen from a codebook, a RUN, with N(0, I) as prior."""

    spatial: bool = False
    chosen: bool = False
    run: str | None = None
    standard: bool = True

    @property
    def prior(self) -> str:
        """Its own prior's name."""
        return "N(0, I)" if self.standard else "its own prior"


def diagnosis(kind: Kind, found: Found, advised: Mapping[str, Advice]) -> Diagnosis:
    """The three answers."""
    tone, sampled = _sampled(kind, found, advised)
    # first what the answer above asks for, also where reconstructions are poor in part alone
    first = [RULES["reconstructions"].training] if _poor(advised) else []
    changes = dict.fromkeys([*first, *(one.training for one in advised.values() if one.training)])
    return Diagnosis(tone, sampled, _prior(kind, found, advised), tuple(changes)[:MOST])


def _sampled(kind: Kind, found: Found, advised: Mapping[str, Advice]) -> tuple[Tone, str]:
    key = "samples of the prior"
    told = advised.get(key)
    if told is None or told.tone is None:
        return _without_pictures(kind, advised)
    times = bracketed(found.figures[key])
    far = f"samples of {kind.prior} lie {times} times as far from real images as reconstructions do"
    reason = next((f" {advised[k].says}" for k in REASONS if k in advised and advised[k].tone == "bad"), "")
    # as good as what is poor is not good
    tone: Tone = "part" if _poor(advised) and told.tone == "good" else told.tone
    return tone, f"{_word(tone)}: {far}.{'' if told.tone == 'good' else reason}{_ceiling(found, advised)}"


def _poor(advised: Mapping[str, Advice]) -> bool:
    """True where reconstructions are farther from real images than other real ones: a ratio to their distance says little."""
    return "reconstructions" in advised and advised["reconstructions"].tone in ("bad", "part")


def _ceiling(found: Found, advised: Mapping[str, Advice]) -> str:
    """What every prior is bounded by, where it is low."""
    if not _poor(advised):
        return ""
    times = bracketed(found.figures["reconstructions"])
    return (
        f" But reconstructions themselves lie {times} times as far as other real images do: no prior is better than they are."
    )


def _without_pictures(kind: Kind, advised: Mapping[str, Advice]) -> tuple[Tone, str]:
    """By the codes alone."""
    told = advised.get("told from prior")
    if told is None or told.tone is None:
        return "unknown", "Cannot tell: neither samples nor codes could be compared with the prior's."
    return told.tone, f"{_word(told.tone)}, by the codes alone: {told.says[:1].lower()}{told.says[1:]}"


def _word(tone: Tone) -> str:
    return WORDS[tone].capitalize()


def _prior(kind: Kind, found: Found, advised: Mapping[str, Advice]) -> str:
    """The simplest prior that was tried and is good enough; else what to fit next."""
    tried = [(key, name) for key, name in _tried(kind) if key in advised and advised[key].tone is not None]
    if tried and _poor(advised):
        key, name = _nearest(tried, found)
        return f"Reconstruct better first; the nearest of those tried, {name}, is at {bracketed(found.figures[key])} times."
    for key, name in tried:
        if advised[key].tone == "good":
            times = f"its samples are at {bracketed(found.figures[key])} times the reconstructions' distance"
            return f"{name[:1].upper()}{name[1:]}: {times}.{_fit(kind, key)}"
    if not tried and (told := advised.get("told from prior")) is not None and told.tone == "good":
        return f"{kind.prior}, as it is."
    return _best(tried, found, _next(kind))


def _tried(kind: Kind) -> tuple[tuple[str, str], ...]:
    return (
        ("samples of the prior", f"{kind.prior}, as it is"),
        ("samples of a Gaussian", "a Gaussian fitted to the codes"),
        ("samples of a mixture", "a mixture of ten Gaussians fitted to the codes"),
    )


def _fit(kind: Kind, key: str) -> str:
    names = {"samples of a Gaussian": "gaussian", "samples of a mixture": "mixture"}
    if kind.run and kind.chosen:
        return f" Codes that are chosen have a prior over indices: `legato refit {kind.run} --prior autoregressive`."
    return f" `legato refit {kind.run} --prior {names[key]}` fits it." if kind.run and key in names else ""


def _best(tried: list[tuple[str, str]], found: Found, then: str) -> str:
    """What none of those tried did for certain, and what to fit then."""
    if not tried:
        return then
    key, name = _nearest(tried, found)
    times, least, fine = bracketed(found.figures[key]), found.figures[key].low, RULES[key].fine
    if least is not None and fine is not None and least <= fine:
        return f"Perhaps by {name}, at {times} times: more images would tell. Else {then[:1].lower()}{then[1:]}"
    return f"Not by those tried: the best, {name}, is at {times} times. {then}"


def _nearest(tried: list[tuple[str, str]], found: Found) -> tuple[str, str]:
    return min(tried, key=lambda one: found.figures[one[0]].value or 0.0)


def _next(kind: Kind) -> str:
    what, option = (
        ("An autoregressive prior over the codebook's indices", "autoregressive")
        if kind.chosen
        else ("Flow matching over the grid of codes, scaled by the factor above", "flow-matching")
        if kind.spatial
        else ("Flow matching over the codes, scaled by the factor above", "flow-matching")
    )
    return f"{what}{f': `legato refit {kind.run} --prior {option}`' if kind.run else ''}."
