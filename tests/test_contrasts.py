"""From seeds to intervals: t-intervals with a variance pooled over members, beside SciPy and by coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from legato.claims import CLAIMS
from legato.experiment.contrasts import Evidence, contrasts
from legato.measures.estimate import Estimate, absent


def one(value: float) -> Estimate:
    return Estimate(value, value - 1, value + 1, 100, "", "over images")


def evidence(measure: str, **members: list[float]) -> Evidence:
    return Evidence({name: [{measure: one(value)} for value in values] for name, values in members.items()})


def test_one_members_interval_is_students_own():
    values = [0.2, 0.5, 0.4, 0.3]
    found = evidence("purity", a=values).over_seeds("purity", "a")
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.n == 4


def test_the_ratio_of_two_members_is_students_pooled_two_sample_interval_in_logarithms():
    a, b = [2.0, 2.5, 2.2], [1.0, 1.1, 0.8]
    found = evidence("r50", a=a, b=b).over_seeds("r50", "a", "b")
    expected = stats.ttest_ind(np.log(a), np.log(b)).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert found.value == pytest.approx(stats.gmean(a) / stats.gmean(b))


def test_the_interval_covers_the_truth_in_19_of_20_experiments():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        draws = {f"m{m}": list(m + 0.3 * rng.standard_normal(2)) for m in range(5)}
        found = evidence("accuracy", **draws).over_seeds("accuracy", "m3")
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 3 <= found.high
    assert 930 <= hits <= 970


def test_a_control_that_no_seed_trains_adds_no_variance_of_its_own():
    trained = {"vae": [0.9, 0.92], "autoencoder": [0.85, 0.86]}
    members = {name: [{"purity": one(v)} for v in values] for name, values in trained.items()}
    found = Evidence({**members, "pca": [{"purity": one(0.8)}]}, frozenset({"pca"})).over_seeds("purity", "vae", "pca")
    logs = [np.log(values) for values in trained.values()]
    s = math.sqrt(sum(((v - v.mean()) ** 2).sum() for v in logs) / 2)
    half = stats.t.ppf(0.975, 2) * s / math.sqrt(2)
    assert math.log(found.high / found.value) == pytest.approx(half)


def test_one_seed_has_a_value_and_no_interval():
    found = evidence("r50", a=[2.0], b=[1.0]).over_seeds("r50", "a", "b")
    assert found.value == 2.0
    assert found.low is None
    assert found.high is None


def test_what_is_missing_says_why():
    members = {"vae": [{"purity": absent("needs labels")}] * 2}
    assert Evidence(members).over_seeds("purity", "vae").why == "needs labels"
    assert "not in this family" in str(Evidence(members).over_seeds("purity", "pca").why)
    assert "was not measured" in str(Evidence(members).over_seeds("r50", "vae").why)
    assert "no ratio" in str(evidence("x", a=[0.0, 1.0], b=[1.0, 1.0]).over_seeds("x", "a", "b").why)


def test_the_rules_names_for_the_smallest_and_the_largest_beta_are_looked_up():
    found = Evidence({"beta-4": [{"sigma": one(0.5)}] * 2}, aliases={"beta-high": "beta-4"})
    assert found.values("sigma", "beta-high") == [0.5, 0.5]


def test_every_rule_gets_an_estimate_or_a_reason():
    found = contrasts(Evidence({}))
    assert len(found) == len({(r.measure, r.of, r.beside) for claim in CLAIMS for r in claim.rules})
    assert all(estimate.value is None and estimate.why for estimate in found.values())
