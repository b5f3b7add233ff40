"""Every rule of the claims' table is tried on models that must fail it and on one that must hold it.

The models are planted (planted.py), their figures are those of the survey's own chapters, and the word is the table's: what is
tested is that the measure, its scale and its margins together can say "no" where no is the truth. Four seeds each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

from legato.claims import AE, CLAIMS, FAMILY, HIGH, LOW, NOISE, PULL, VAE, Rule, Verdict, key_of, word
from legato.experiment.across import across
from legato.experiment.contrasts import Evidence
from legato.measures.estimate import Estimate
from legato.measures.seeds import Contrast
from planted import (
    BLIND,
    CALM,
    COLLAPSED,
    GOOD,
    SINGLE,
    SPLIT,
    STATIC,
    UNRELATED,
    WINDING,
    Model,
    Plan,
    away,
    balanced,
    corners,
    measured,
    pca,
    shifted,
    turned,
    waves,
)

SEEDS = 4
FADE, PCA = "cross-fade", "pca"
Members = Mapping[str, Any]  # what stands there: a plan, None for the cross-fade; for the family how its ranks go
RULES = {(claim.id, row): rule for claim in CLAIMS for row, rule in enumerate(claim.rules)}


@dataclass(frozen=True)
class Case:
    """Situations, by name, in which a rule must hold, and in which it must fail: what stands in the place of each member."""

    holds: dict[str, Members]
    fails: dict[str, Members]
    turns: float = CALM


def swapped(of: str, beside: str, one: Any, other: Any) -> Case:
    """Of a ratio: it holds for `one` beside `other`, and fails where they change places."""
    return Case({"as said": {of: one, beside: other}}, {"the other way round": {of: other, beside: one}})


def off(square: float) -> Plan:
    """Images that are all off by √square; σ so small that nothing else is."""
    return Plan(show=partial(shifted, by=square**0.5), sigma=0.02)


NARROW, FAR_OUT, FAST = Plan(sigma=0.01), Plan(scale=3.0), Plan(show=partial(turned, faster=4.0))
NEARER, FARTHER, COARSE, FINE = away(0.5), away(1.5), off(1.0), off(0.5)
CLUSTERS = Plan(corners, sigma=0.1, scale=1.0)
EPSILON = Model(draw=lambda mu, sigma, e: e)

CASES = {
    (1, 0): Case(
        {"sigma as the decoder asks": {VAE: Model(balanced)}},
        {"sigma of another image": {VAE: Model(lambda mu: balanced(mu.roll(1, 0)))}},
    ),
    (2, 0): swapped(VAE, NOISE, GOOD, NARROW),
    (2, 1): swapped(VAE, NOISE, GOOD, FAR_OUT),
    (2, 2): swapped(HIGH, LOW, GOOD, NARROW),
    (2, 3): swapped(HIGH, LOW, GOOD, FAR_OUT),
    (3, 0): Case({"shrunk": {NOISE: NARROW}}, {"as wide as the spread": {NOISE: Plan(sigma=1.0)}}),
    (3, 1): Case(
        {"as far": {NOISE: COARSE, AE: COARSE}},
        {"1.5 times": {NOISE: off(1.5), AE: COARSE}, "1/1.5": {NOISE: off(1 / 1.5), AE: COARSE}},
    ),
    (3, 2): Case(
        {"as far": {NOISE: COARSE, AE: COARSE}},
        {"three times": {NOISE: off(3.0), AE: COARSE}, "a third": {NOISE: off(1 / 3), AE: COARSE}},
    ),
    (4, 0): Case({"N(0, I)": {VAE: GOOD}}, {"ten clusters, E zz' = I": {VAE: CLUSTERS}}),
    (4, 1): Case({"N(0, I)": {VAE: GOOD}}, {"ten clusters, E zz' = I": {VAE: CLUSTERS}}),
    (5, 0): Case({"real": {VAE: GOOD}, "one real image": {VAE: SINGLE}}, {"noise": {VAE: STATIC}}),
    (5, 1): Case({"real": {VAE: GOOD}}, {"one real image": {VAE: SINGLE}, "noise": {VAE: STATIC}}),
    (5, 2): Case({"codes elsewhere": {AE: away(6.0)}}, {"codes of N(0, I)": {AE: Plan(sigma=None)}}),
    (6, 0): Case({"on the way": {VAE: GOOD, FADE: None}}, {"nothing between": {VAE: SPLIT, FADE: None}}, WINDING),
    (6, 1): Case({"on the way": {VAE: GOOD}}, {"unrelated images": {VAE: UNRELATED}}),
    (6, 2): swapped(VAE, AE, GOOD, SPLIT),
    (7, 0): Case({"factors": {VAE: GOOD, PCA: pca}}, {"noise": {VAE: BLIND, PCA: pca}}, WINDING),
    (7, 1): swapped(VAE, AE, GOOD, BLIND),
    (8, 0): Case(
        {"overlapping": {VAE: GOOD}},
        {"collapsed": {VAE: COLLAPSED}, "points": {VAE: NARROW}, "collapsed to the bit": {VAE: Plan(np.zeros_like, sigma=1.0)}},
    ),
    (8, 1): Case({"points": {NOISE: NARROW}}, {"overlapping": {NOISE: GOOD}}),
    (9, 0): Case(
        {"smooth": {VAE: GOOD}},
        {"unrelated images": {VAE: UNRELATED}, "many turns": {VAE: Plan(show=partial(turned, faster=12.0))}},
    ),
    (9, 1): swapped(VAE, AE, GOOD, FAST),
    (10, 0): Case({"smooth": {VAE: Model()}}, {"many turns": {VAE: Model(show=partial(waves, turns=200.0))}}),
    (10, 1): Case({"apart": {VAE: Model()}}, {"weights tied": {VAE: Model(show=lambda z, encoder: z @ encoder.T)}}),
    (11, 0): Case(
        {"mu + sigma e": {VAE: Model()}},
        {"mu + sigma^2 e": {VAE: Model(draw=lambda mu, sigma, e: mu + sigma**2 * e)}, "e": {VAE: EPSILON}},
    ),
    (11, 1): Case({"mu + sigma e": {VAE: Model()}}, {"e": {VAE: EPSILON}}),
    (12, 0): swapped(HIGH, LOW, COARSE, FINE),
    (12, 1): swapped(VAE, LOW, NEARER, FARTHER),
    (12, 2): swapped(HIGH, VAE, NEARER, FARTHER),
    (13, 0): swapped(AE, VAE, FAST, GOOD),
    (13, 1): swapped(NOISE, VAE, FAST, GOOD),
    (13, 2): swapped(PULL, VAE, FAST, GOOD),
    (13, 3): swapped(AE, VAE, SPLIT, GOOD),
    (13, 4): swapped(NOISE, VAE, SPLIT, GOOD),
    (13, 5): swapped(PULL, VAE, SPLIT, GOOD),
    (13, 6): swapped(AE, VAE, FARTHER, NEARER),
    (13, 7): swapped(NOISE, VAE, FARTHER, NEARER),
    (13, 8): swapped(PULL, VAE, SPLIT, GOOD),
    **{(14, row): Case({"nearer": {FAMILY: 1.0}}, {"farther": {FAMILY: -1.0}, "unrelated": {FAMILY: 0.0}}) for row in range(3)},
}


def ranked(slope: float, seed: int) -> dict[str, list[dict[str, Estimate]]]:
    """Seven members of one seed whose samples come the nearer (slope 1) or the less near (−1) the more noise they bear and the
    more of their neighbours share a class; at 0 what is nearest is in the middle.
    """
    rng, figures = np.random.default_rng([seed, 14]), {}
    for i in range(7):
        size, near = (i - 3) / 3, slope * (i - 3) if slope else -abs(i - 3) - 0.3 * (i > 3)
        values = {"r50": 2 + size, "purity": 0.7 + 0.2 * size}
        values |= {"frechet mixture": 4 * np.exp(-near / 3), "frechet reconstruction": 2.0}
        noise = np.exp(0.08 * rng.standard_normal(len(values)))
        pairs = zip(values.items(), noise, strict=True)
        figures[f"m{i}"] = [{name: Estimate(value * by, None, None, 9, "", "") for (name, value), by in pairs}]
    return figures


def found_of(rule: Rule, members: Members, turns: float) -> Contrast:
    """As an experiment has it: each member's figures seed by seed, a control's once."""
    if rule.of == FAMILY:
        return Evidence({FAMILY: [across(ranked(members[FAMILY], seed))[0] for seed in range(SEEDS)]}).contrast(*key_of(rule))
    seeds = {name: range(1 if name in (FADE, PCA) else SEEDS) for name in members}
    figures = {name: [measured(plan, turns, rule.measure, seed) for seed in seeds[name]] for name, plan in members.items()}
    return Evidence(figures, frozenset({FADE, PCA})).contrast(*key_of(rule))


def situations(kind: str) -> list[Any]:
    named = [(at, name) for at, case in CASES.items() for name in getattr(case, kind)]
    return [pytest.param(at, name, id=f"{at[0]}.{at[1]} {RULES[at].measure}: {name}") for at, name in named]


@pytest.mark.parametrize(("at", "name"), situations("fails"))
def test_a_model_that_must_fail_a_rule_fails_it(at, name):
    rule, case = RULES[at], CASES[at]
    found = found_of(rule, case.fails[name], case.turns)
    assert word(rule.p_values(found)) is Verdict.FAILS, found.estimate


@pytest.mark.parametrize(("at", "name"), situations("holds"))
def test_a_model_that_must_hold_a_rule_holds_it(at, name):
    rule, case = RULES[at], CASES[at]
    found = found_of(rule, case.holds[name], case.turns)
    assert word(rule.p_values(found)) is Verdict.HOLDS, found.estimate


def test_no_rule_is_without_a_model_that_must_fail_it_and_one_that_must_hold_it():
    assert CASES.keys() == RULES.keys()
    assert all(case.fails and case.holds for case in CASES.values())


@pytest.mark.parametrize("at", [at for at, rule in RULES.items() if rule.upto is not None])
def test_a_rule_with_two_sides_is_failed_on_both(at):
    rule, case = RULES[at], CASES[at]
    values = [found_of(rule, members, case.turns).estimate.value for members in case.fails.values()]
    assert min(values) < rule.fails < rule.beyond < max(values)


ONE_IMAGE = Plan(code=lambda t: 0.01 * t, sigma=1.0, show=SINGLE.show, own=0.0)
ITS_OWN = {(2, 0), (2, 1), (4, 0), (4, 1)}  # σ = 1, μ = 0 and z ~ N(0, I): what collapse is
AND_BESIDES = {(5, 0), (12, 1)}  # a real image is real; samples are as good as reconstructions, for these are as bad


@pytest.mark.parametrize("at", [at for at, rule in RULES.items() if rule.of == VAE and at[0] not in (1, 10, 11)])
def test_a_model_that_gives_one_image_for_every_code_holds_no_rule_about_what_codes_say(at):
    rule = RULES[at]
    beside = {} if rule.beside is None else {rule.beside: {FADE: None, PCA: pca}.get(rule.beside, GOOD)}
    found = found_of(rule, {VAE: ONE_IMAGE, **beside}, CALM)
    assert at in ITS_OWN | AND_BESIDES or word(rule.p_values(found)) is not Verdict.HOLDS, found.estimate
