"""Intervals beside SciPy's, by enumeration and by coverage: what a figure may claim."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from legato.errors import Mistake
from legato.measures.estimate import (
    bootstrap,
    holm,
    paired_difference,
    quantile_over,
    ratio_of_means,
    subsampled,
)

# ------------------------------------------------------------------------------------------------ pairs


def test_a_paired_difference_has_the_interval_of_the_differences():
    rng = np.random.default_rng(0)
    shared = 100 * rng.standard_normal(5000)
    a, b = shared + rng.standard_normal(5000), shared + 0.5 + rng.standard_normal(5000)
    found = paired_difference(a, b, "nats", "x")
    paired = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(paired), rel=1e-3)
    assert found.high - found.low < 0.1
    assert "paired" in found.method


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(Mistake, match=r"\(3,\) and \(1,\)"):
        paired_difference(np.ones(3), np.ones(1), "", "x")
    with pytest.raises(Mistake, match="1 of 2"):
        paired_difference(np.array([1.0, math.nan]), np.ones(2), "", "x")


def test_a_ratio_of_means_covers_the_truth_in_19_of_20_samples():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        found = ratio_of_means(3 * rng.random(80), 1 + rng.random(50), "", "x")
        hits += found.low <= 1 <= found.high
    assert 930 <= hits <= 970


# ------------------------------------------------------------------------------------------------ quantiles, subsets


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_the_interval_of_a_quantile_is_scipys_and_covers(q):
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(600):
        values = rng.exponential(size=200)
        found = quantile_over(values, q, "", "x")
        hits += found.low <= -math.log(1 - q) <= found.high
        if not trial:
            scipys = stats.quantile_test(values, p=q).confidence_interval(0.95)
            assert (found.low, found.high) == pytest.approx(tuple(scipys))
            assert found.value == pytest.approx(np.quantile(values, q))
    assert hits >= 0.94 * 600


def test_a_quantile_near_the_end_of_a_small_sample_has_no_interval():
    """One that ended with the last value covered less than it said: in a survey it lay beyond three of four differences."""
    found = quantile_over(np.arange(50.0), 0.99, "", "x")
    assert (found.low, found.high) == (None, None)
    assert "too few" in found.method
    assert "too few" not in quantile_over(np.arange(1000.0), 0.99, "", "x").method


def test_the_subsets_of_a_mean_give_back_its_normal_interval():
    values = np.random.default_rng(0).exponential(size=400)
    expected = stats.sem(values) * 1.96
    for m in (100, 200, 300):
        found = subsampled(lambda rows: float(values[rows].mean()), 400, m, "", "x", draws=3000)
        assert found.value == pytest.approx(values.mean())
        assert found.high - found.value == pytest.approx(expected, rel=0.05)


def test_the_rescaling_is_exact_over_all_subsets_of_a_small_sample():
    """Var over all subsets of the mean = s²/m · (1 − m/n): the factor m/(n − m) makes it s²/n."""
    values = np.array([3.0, -1.0, 4.0, 1.5, 9.0, 2.6])
    means = np.array([values[list(rows)].mean() for rows in combinations(range(6), 4)])
    assert means.var() * 4 / 2 == pytest.approx(values.var(ddof=1) / 6)


def test_a_bias_that_depends_on_the_size_does_not_widen_the_interval():
    values = np.random.default_rng(0).standard_normal(200)
    plain, biased = (
        subsampled(lambda rows, b=b: float(values[rows].mean()) + b / len(rows), 200, 100, "", "x") for b in (0.0, 1e4)
    )
    assert biased.high - biased.low == pytest.approx(plain.high - plain.low)


@pytest.mark.parametrize("m", [1, 10])
def test_a_subset_that_is_no_subset_is_refused(m):
    with pytest.raises(Mistake, match="subset"):
        subsampled(lambda rows: 0.0, 10, m, "", "x")


# ------------------------------------------------------------------------------------------------ many


def test_holms_adjustment_is_the_step_down_procedure():
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    for level in (0.02, 0.05, 0.1):  # reject in order of p until one exceeds level/(m − rank)
        rejected, order = set(), np.argsort(p)
        for rank, at in enumerate(order):
            if p[at] > level / (4 - rank):
                break
            rejected.add(int(at))
        assert rejected == set(np.flatnonzero(holm(p) <= level))
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])


def test_a_bootstrap_that_divides_by_what_one_example_has_gives_no_interval_and_says_so():
    whole = np.zeros(50)
    whole[7] = 1.0

    def share(weights):
        with np.errstate(invalid="ignore"):
            return weights @ whole / (weights @ whole)  # a third of all resamples lack that example

    found = bootstrap(share, 1.0, 50, "", "share")
    assert (found.value, found.low, found.high) == (1.0, None, None)
    lost = int(found.method.split("of which ")[1].split()[0])
    assert abs(lost / 400 - (1 - 1 / 50) ** 50) < 4 * (0.36 * 0.64 / 400) ** 0.5
    assert "nan" not in str(found)
