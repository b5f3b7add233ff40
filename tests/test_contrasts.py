"""From seeds to contrasts: each member by its own seeds, beside SciPy and by coverage, on every measure's scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from legato.claims import CLAIMS
from legato.experiment.contrasts import Evidence, contrasts
from legato.experiment.scales import Share, scale_of
from legato.measures.estimate import Estimate, absent
from legato.measures.known import MEASURES
from legato.measures.seeds import LOGARITHM, NEGATIVE, PLAIN
from legato.report.claim_figures import forest
from legato.survey.chapters import CHAPTERS


def one(value: float, n: int = 100) -> Estimate:
    return Estimate(value, value - 1, value + 1, n, "", "over images")


def evidence(measure: str, n: int = 100, **members: list[float]) -> Evidence:
    return Evidence({name: [{measure: one(value, n)} for value in values] for name, values in members.items()})


def test_one_members_interval_is_students_own():
    values = [0.2, 0.5, 0.4, 0.3]
    found = evidence("force balance", a=values).over_seeds("force balance", "a")
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.n == 4


def test_the_ratio_of_two_members_is_welchs_interval_in_logarithms():
    a, b = [2.0, 2.5, 2.2], [1.0, 1.1, 0.8, 1.3]
    found = evidence("r50", a=a, b=b).over_seeds("r50", "a", "b")
    expected = stats.ttest_ind(np.log(a), np.log(b), equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert found.value == pytest.approx(stats.gmean(a) / stats.gmean(b))


def test_other_members_change_nothing():
    values = {"a": [2.0, 2.5, 2.2], "b": [1.0, 1.1, 0.8]}
    alone, among = evidence("sigma", **values), evidence("sigma", **values, wild=[1e-9, 1e-5, 1.0], still=[3.0, 3.0, 3.001])
    for names in (("a",), ("a", "b")):
        assert alone.contrast("sigma", *names) == among.contrast("sigma", *names)


def test_an_estimate_is_its_contrasts():
    found = evidence("purity", a=[0.8, 0.85, 0.9], b=[0.5, 0.6, 0.55])
    for names in (("a",), ("a", "b")):
        assert found.over_seeds("purity", *names) == found.contrast("purity", *names).estimate


def test_a_control_that_no_seed_trains_adds_no_variance_of_its_own():
    trained = [0.9, 0.92, 0.97]
    members = {"vae": [{"r50": one(v)} for v in trained], "pca": [{"r50": one(0.8)}]}
    found = Evidence(members, frozenset({"pca"}))
    ends = np.exp(stats.t.interval(0.95, 2, np.mean(np.log(trained)), stats.sem(np.log(trained)))) / 0.8
    assert found.contrast("r50", "vae", "pca").interval(0.95) == pytest.approx(tuple(ends))
    assert found.over_seeds("r50", "pca") == Estimate(0.8, None, None, 1, "", "no seed trains it")


def test_a_member_that_lacks_a_seed_has_the_interval_of_the_rest():
    seeds = [{"r50": one(2.0)}, {"r50": absent("diverged")}, {"r50": one(2.2)}, {}, {"r50": one(2.5)}]
    found = Evidence({"a": seeds}).over_seeds("r50", "a")
    assert found == evidence("r50", a=[2.0, 2.2, 2.5]).over_seeds("r50", "a")
    assert found.n == 3


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
    assert "not finite" in str(evidence("r50", a=[math.inf, 1.0]).over_seeds("r50", "a").why)


def test_values_off_their_measures_scale_are_taken_as_they_are_and_have_no_ratio():
    """A distortion in nats of density may be negative."""
    values = [-3.0, 2.0, 1.5]
    found = evidence("distortion", a=values, b=[2.0, 2.1, 2.2])
    ends = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert found.contrast("distortion", "a").interval(0.95) == pytest.approx(ends)
    assert found.over_seeds("distortion", "b").value == pytest.approx(stats.gmean([2.0, 2.1, 2.2]))
    assert "no ratio" in str(found.over_seeds("distortion", "a", "b").why)


def test_what_is_0_to_the_last_bit_in_every_seed_is_0():
    found = evidence("detached gradient", a=[0.0] * 5).contrast("detached gradient", "a")
    assert (found.estimate.low, found.estimate.high) == (0, 0)
    assert (found.p_below(1e-12), found.p_above(1e-12)) == (0, 1)
    assert "all seeds gave the same" in found.estimate.method


def test_every_rule_gets_a_contrast_or_a_reason():
    found = contrasts(Evidence({}))
    assert len(found) == len({(r.measure, r.of, r.beside) for claim in CLAIMS for r in claim.rules})
    assert all(one.estimate.value is None and one.estimate.why and one.p_above(1.0) is None for one in found.values())


# Shares: on the logit scale.


def test_a_shares_interval_is_students_own_of_the_logits_mapped_back():
    values = [0.2, 0.5, 0.4, 0.3]
    found = evidence("purity", a=values).over_seeds("purity", "a")
    low, high = stats.t.interval(0.95, 3, np.mean(logit(values)), stats.sem(logit(values)))
    assert (found.low, found.high) == pytest.approx((expit(low), expit(high)))
    assert found.value == pytest.approx(expit(np.mean(logit(values))))
    assert "mean of logits over 4 seeds" in found.method


def test_a_share_and_the_rest_of_it_are_told_alike():
    values = {"a": [0.02, 0.03], "b": [0.6, 0.65], "c": [0.97, 0.975]}
    found = evidence("confusion", 10_000, **values)
    mirror = evidence("confusion", 10_000, **{name: [1 - v for v in seeds] for name, seeds in values.items()})
    for name in values:
        share, rest = found.over_seeds("confusion", name), mirror.over_seeds("confusion", name)
        assert (share.low, share.high) == pytest.approx((1 - rest.high, 1 - rest.low))


def test_near_zero_a_logit_is_a_logarithm():
    values = {"a": [2e-5, 3e-5], "b": [4e-5, 5e-5]}
    share = evidence("distance to own", 10**8, **values).over_seeds("distance to own", "a")
    scale = evidence("r50", **values).over_seeds("r50", "a")
    assert (share.low, share.value, share.high) == pytest.approx((scale.low, scale.value, scale.high), rel=3e-4)


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_exactly_none_or_all_is_half_a_count_of_all_seeds_from_the_end(end):
    found = evidence("confusion", 1000, a=[end, end]).over_seeds("confusion", "a")
    p = 0.5 / 2000
    half = stats.norm.ppf(0.975) * math.sqrt(1 / (2000 * p * (1 - p)))
    told = sorted(abs(end - value) for value in (found.low, found.value, found.high))
    assert told == pytest.approx([expit(logit(p) - half), p, expit(logit(p) + half)], rel=1e-5)
    assert told[2] > 1 - 0.025 ** (1 / 2000)  # the exact end of an interval for none of 2,000
    assert 0 < found.low < found.high < 1
    assert "few counts" in found.method


def test_the_continuity_of_an_end_depends_on_how_many_were_counted():
    few, many = (evidence("hole 1%", n, a=[0.0, 0.0]).over_seeds("hole 1%", "a") for n in (100, 10_000))
    assert few.value == pytest.approx(1 / 400)
    assert many.value == pytest.approx(1 / 40_000)
    assert many.high < few.high


def test_one_value_at_an_end_is_shown_as_it_is():
    assert evidence("purity", a=[1.0]).over_seeds("purity", "a").value == 1.0


@pytest.mark.parametrize("measure", [key for key, one in MEASURES.items() if one.scale == "share"][::7])
def test_intervals_of_shares_stay_between_0_and_1(measure):
    found = evidence(measure, 5000, a=[0.999999, 0.97, 0.99], b=[0.5, 0.1, 0.3], c=[0.001, 0.0, 0.0])
    for name in "abc":
        interval = found.over_seeds(measure, name)
        assert 0 < interval.low < interval.value < interval.high < 1


def test_realism_ends_at_one_over_that_of_training_images():
    real, values = 0.9, {"a": [0.85, 0.9], "b": [0.3, 0.4]}
    figures = {
        name: [{"precision prior": one(v, 5000), "realism prior": one(v / real, 5000)} for v in seeds]
        for name, seeds in values.items()
    }
    realism, precision = (Evidence(figures).over_seeds(f"{kind} prior", "a") for kind in ("realism", "precision"))
    assert realism.high == pytest.approx(precision.high / real)
    assert realism.low == pytest.approx(precision.low / real)
    assert realism.high < 1 / real
    assert evidence("realism prior", a=[1.02, 1.04]).over_seeds("realism prior", "a").value == pytest.approx(1.03)


def test_a_ratio_of_shares_is_of_their_logarithms():
    a, b = [0.86, 0.88, 0.84], [0.80, 0.81, 0.83]
    found = evidence("purity", 10_000, a=a, b=b).over_seeds("purity", "a", "b")
    expected = stats.ttest_ind(np.log(a), np.log(b), equal_var=False).confidence_interval(0.95)
    assert found.value == pytest.approx(stats.gmean(a) / stats.gmean(b))
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


def test_the_ratio_of_an_elbo_is_refused_and_its_mean_is_of_logarithms_of_minus_it():
    assert scale_of("elbo") is NEGATIVE
    found = evidence("elbo", a=[-100.0, -101.0], b=[-200.0, -204.0])
    assert found.over_seeds("elbo", "a").low < -math.sqrt(100 * 101) < found.over_seeds("elbo", "a").high < 0
    assert "no ratio" in str(found.over_seeds("elbo", "a", "b").why)


# Shares of few counts: all seeds together.


def few(values: list[float], n: int) -> tuple[float, float, float]:
    """p, the variance of its logit by counting, and by the seeds' shares."""
    p, total = float(np.mean(values)), n * len(values)
    return p, 1 / (total * p * (1 - p)), stats.sem(values) ** 2 / (p * (1 - p)) ** 2


def test_few_counts_are_counted_together_and_seeds_vary_beside():
    values = [0.0, 0.003, 0.004]
    p, counting, seeds = few(values, 1000)
    nu = 2 * (counting + seeds) ** 2 / seeds**2
    half = stats.t.ppf(0.975, nu) * math.sqrt(counting + seeds)
    found = evidence("confusion", 1000, a=values).over_seeds("confusion", "a")
    assert found.value == pytest.approx(p)
    assert (found.low, found.high) == pytest.approx((expit(logit(p) - half), expit(logit(p) + half)))


def test_few_short_of_all_are_the_mirror_image():
    values = [1.0, 0.997, 0.996]
    found, rest = (evidence("confusion", 1000, a=v).over_seeds("confusion", "a") for v in (values, [1 - x for x in values]))
    assert (found.low, found.high) == pytest.approx((1 - rest.high, 1 - rest.low))


def test_a_ratio_with_few_counts_has_the_variance_of_the_logarithm():
    values, others = [0.0, 0.003, 0.004], [0.2, 0.25, 0.3]
    p, counting, seeds = (np.array(one) for one in few(values, 1000))
    parts = np.array([(1 - p) ** 2 * counting, (1 - p) ** 2 * seeds, stats.sem(np.log(others)) ** 2])
    nu = parts.sum() ** 2 / (parts**2 / [math.inf, 2, 2]).sum()
    half = stats.t.ppf(0.975, nu) * math.sqrt(parts.sum())
    found = evidence("confusion", 1000, a=values, b=others).over_seeds("confusion", "a", "b")
    assert found.value == pytest.approx(p / stats.gmean(others))
    assert math.log(found.high / found.value) == pytest.approx(half)


def test_a_share_of_none_has_a_ratio_too():
    found = evidence("confusion", 1000, a=[0.0, 0.0], b=[0.2, 0.25]).over_seeds("confusion", "a", "b")
    assert found.value == pytest.approx(0.00025 / math.sqrt(0.2 * 0.25))
    assert found.low < found.value < found.high


def test_a_share_that_is_not_few_but_alike_in_all_seeds_is_as_sure_as_its_counts():
    """Two seeds may agree by chance, and a share is no exact figure."""
    p, counting, seeds = few([0.3, 0.3], 1000)
    found = evidence("purity", 1000, a=[0.3, 0.3]).over_seeds("purity", "a")
    assert seeds == 0
    assert logit(found.high) - logit(p) == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(counting))


def test_one_seed_without_counts_among_many_is_half_a_count():
    values = [0.0, 0.03, 0.02, 0.04]
    found = evidence("confusion", 1000, a=values).over_seeds("confusion", "a")
    assert found.value == pytest.approx(expit(np.mean(logit([0.0005, *values[1:]]))))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("truth", [1e-4, 5e-4, 2e-3, 8e-3, 2e-2])
def test_an_interval_from_few_counts_or_none_covers_too(seeds, truth):
    """At 20 counts the seeds alone are asked, or, where both count the same, their counts."""
    rng, hits = np.random.default_rng(2), 0
    for _ in range(400):
        shares = expit(logit(truth) + 0.2 * rng.standard_normal(seeds))
        found = evidence("confusion", 1000, a=list(rng.binomial(1000, shares) / 1000)).over_seeds("confusion", "a")
        hits += found.low <= truth <= found.high
    assert hits / 400 >= 0.93


@pytest.mark.parametrize(("member", "truth"), [("rare", 0.03), ("even", 0.5), ("common", 0.95)])
def test_a_shares_interval_covers_the_truth_whatever_others_seeds_do(member, truth):
    rng, hits, seeds = np.random.default_rng(1), 0, 5
    levels = {"rare": (0.03, 0.1), "even": (0.5, 0.4), "common": (0.95, 0.2), "wild": (0.8, 3.0)}
    for _ in range(800):
        drawn = {name: expit(logit(p) + s * rng.standard_normal(seeds)) for name, (p, s) in levels.items()}
        found = evidence("confusion", 50_000, **{name: list(rng.binomial(50_000, p) / 50_000) for name, p in drawn.items()})
        interval = found.over_seeds("confusion", member)
        hits += interval.low <= truth <= interval.high
    assert 0.93 <= hits / 800 <= 0.97


def test_an_elbo_is_averaged_by_the_logarithm_of_minus_it():
    assert scale_of("elbo") is scale_of("elbo of the weighted rows") is NEGATIVE
    found = evidence("elbo", a=[-100.0, -101.0], b=[-200.0, -204.0]).over_seeds("elbo", "a")
    assert found.low < -math.sqrt(100 * 101) < found.high < 0


def test_every_rules_measure_and_every_figure_of_a_survey_has_the_scale_that_its_kind_has():
    of_rules = {rule.measure for claim in CLAIMS for rule in claim.rules}
    shares = {
        *("norm distance", "two-sample accuracy", "purity", "confusion", "distance to own", "distance to standard"),
        *("midpoint between ends", "coverage prior"),
    }
    assert {name for name in of_rules if isinstance(scale_of(name), Share)} == shares
    assert scale_of("size of means") is scale_of("moved by a tenth") is scale_of("variance ratio") is LOGARITHM
    assert scale_of("sigma") is scale_of("distance of sigma from 1") is scale_of("frechet prior") is LOGARITHM
    assert scale_of("force balance") is scale_of("detached gradient") is scale_of("kid prior") is PLAIN
    assert {name for chapter in CHAPTERS for name in chapter.measures} | of_rules <= set(MEASURES)


def test_a_figure_below_0_over_seeds_and_above_it_in_the_first_is_drawn_on_an_axis_that_has_a_0():
    figure = forest(evidence("force balance", beta=[0.81, 0.82, 0.80], small=[0.005, -0.13, -0.17]), "force balance")
    assert figure is not None
    assert figure.axes[0].get_xscale() == "linear"
