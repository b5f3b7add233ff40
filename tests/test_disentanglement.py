"""Disentanglement: the true factors score each formula's maximum, noise its floor, and each formula is counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score, roc_auc_score

from legato.data.factors import ORDERED as KINDS
from legato.data.factors import combinations
from legato.errors import Mistake
from legato.measures.disentanglement import (
    NAMES,
    Family,
    Known,
    ceiling,
    disentanglement,
    estimates,
    explicitness,
    floor,
    importance,
    information,
    robustness,
    separation,
    voting,
)
from legato.measures.estimate import Estimate

ORDERED = (False, True, True)
COUNTS = (3, 5, 8)
# What the formula gives the true factors, and what guessing gives: of three factors, one of them three classes in no order.
MAXIMA = dict.fromkeys(NAMES, 1.0) | {"sap": (1 + 1 + (1 - 1 / 3)) / 3}
FLOORS = dict.fromkeys(NAMES, 0.0) | {"factor_vae": 1 / 3, "explicitness": 0.5, "modularity": 0.6}


def some(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, count, n) for count in COUNTS], 1)


def noise(n: int, d: int = 4, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


FACTORS_OF_ALL = some(1500)


@pytest.fixture(scope="module")
def top() -> dict[str, Estimate]:
    return ceiling(FACTORS_OF_ALL, ORDERED)


@pytest.fixture(scope="module")
def bottom() -> dict[str, Estimate]:
    return floor(FACTORS_OF_ALL, 4, ORDERED)


@pytest.mark.parametrize("name", NAMES)
def test_the_true_factors_score_the_maximum(name, top):
    assert top[name].value == pytest.approx(MAXIMA[name], abs=0.03)
    assert top[name].value <= MAXIMA[name] + 0.02
    assert top[name].low <= top[name].value <= top[name].high


@pytest.mark.parametrize("name", NAMES)
def test_noise_scores_the_floor(name, top, bottom):
    assert bottom[name].value == pytest.approx(FLOORS[name], abs=0.25 if name == "modularity" else 0.06)
    assert bottom[name].high < top[name].low
    assert bottom[name].n == 1500
    assert name.startswith("dci") or "best" in bottom[name].method


def test_scores_are_the_same_whatever_the_order_sign_and_unit_of_the_dimensions():
    codes = FACTORS_OF_ALL @ np.random.default_rng(3).normal(size=(3, 4)) + 0.3 * noise(1500)
    other = codes[:, [2, 0, 3, 1]] * np.array([-1, 30, 1e-3, -5]) + 7
    for family in (information, separation, voting, robustness, explicitness):
        one, two = (family.scores(Known.of(c, FACTORS_OF_ALL, ORDERED), 0) for c in (codes, other))
        for name, value in one.items():
            assert two[name] == pytest.approx(value, abs=0.02), name


def test_what_is_mixed_scores_less_than_the_factors_and_more_than_noise(top, bottom):
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    mixed = disentanglement(FACTORS_OF_ALL / np.array(COUNTS) @ turn, FACTORS_OF_ALL, ORDERED)
    for name in ("mig", "sap", "irs", "dci_disentanglement", "dci_completeness"):
        assert bottom[name].value < mixed[name].value < top[name].low, name
    # A rotation hides nothing from a linear classifier: explicitness does not ask whether axes are factors.
    assert mixed["explicitness"].value == pytest.approx(top["explicitness"].value, abs=0.01)
    # Of modularity noise has more than a code that tells everything, mixed: it says nothing without its floor.
    assert mixed["modularity"].value < bottom["modularity"].high


def test_mutual_information_is_that_of_scikit_learn():
    known = Known.of(FACTORS_OF_ALL + 0.5 * noise(1500, 3), FACTORS_OF_ALL)
    found = information.mutual_information(known)
    for j in range(3):
        edges = np.linspace(known.codes[:, j].min(), known.codes[:, j].max(), 21)
        binned = np.clip(np.digitize(known.codes[:, j], edges) - 1, 0, 19)
        for k in range(3):
            assert found[j, k] == pytest.approx(mutual_info_score(binned, FACTORS_OF_ALL[:, k]), abs=1e-9)


def test_mig_and_modularity_of_a_table_are_what_one_counts():
    table = np.array([[0.8, 0.1], [0.2, 0.6], [0.4, 0.3]])
    assert information.mig(table, np.array([1.0, 2.0])) == pytest.approx(((0.8 - 0.4) / 1 + (0.6 - 0.3) / 2) / 2)
    expected = [1 - (0.1 / 0.8) ** 2, 1 - (0.2 / 0.6) ** 2, 1 - (0.3 / 0.4) ** 2]
    assert information.modularity(table) == pytest.approx(np.mean(expected))
    assert information.mig(table[:1], np.array([1.0, 2.0])) == pytest.approx((0.8 + 0.05) / 2)  # the runner-up knows nothing
    assert information.modularity(np.vstack([table, np.zeros(2)])) == pytest.approx(np.sum(expected) / 4)


def test_two_dimensions_that_know_a_factor_alike_leave_no_gap_but_are_modular():
    codes = FACTORS_OF_ALL[:, [0, 0, 1, 1, 2, 2]].astype(float)
    found = information.scores(Known.of(codes, FACTORS_OF_ALL))
    assert found["mig"] == pytest.approx(0, abs=1e-12)
    assert found["modularity"] > 0.99
    assert separation.scores(Known.of(codes, FACTORS_OF_ALL, ORDERED))["sap"] == pytest.approx(0, abs=1e-12)


def test_dci_of_importances_are_their_entropies():
    even = np.full((4, 3), 0.25)
    assert importance.disentanglement(even) == pytest.approx(0)
    assert importance.completeness(even) == pytest.approx(0)
    one = np.array([[1.0, 0.0], [0.0, 0.5], [0.0, 0.5]])  # two dimensions share the second factor
    assert importance.disentanglement(one) == pytest.approx(1)
    assert importance.completeness(one) == pytest.approx((1 + (1 - np.log(2) / np.log(3))) / 2)
    both = np.array([[1.0, 1.0]])  # one dimension for everything
    assert importance.disentanglement(both) == pytest.approx(0)
    assert importance.completeness(both) == pytest.approx(1)
    nothing = np.array([[1.0, 0.0], [0.0, 0.0]])  # a factor that no dimension tells is complete in none
    assert importance.completeness(nothing) == pytest.approx(0.5)


def test_a_dimension_for_two_factors_is_complete_but_not_disentangled():
    together = (FACTORS_OF_ALL[:, 1] * 8 + FACTORS_OF_ALL[:, 2])[:, None].astype(float)
    codes = np.hstack([together, FACTORS_OF_ALL[:, :1]])
    found = importance.scores(Known.of(codes, FACTORS_OF_ALL, ORDERED))
    assert found["dci_completeness"] > 0.9
    assert found["dci_disentanglement"] == pytest.approx(1 / 3 + 2 / 3 * (1 - np.log(2) / np.log(3)), abs=0.05)


def test_sap_of_linear_gaussian_codes_is_their_squared_correlation():
    v = FACTORS_OF_ALL[:, 1:]
    codes = v / v.std(0) + np.array([0.5, 2.0]) * noise(1500, 2)
    expected = np.mean([1 / 1.25, 1 / 5])  # the runner-up knows nothing
    assert separation.scores(Known.of(codes, v))["sap"] == pytest.approx(expected, abs=0.03)


def test_sap_of_classes_is_the_balanced_accuracy_of_thresholds():
    rng = np.random.default_rng(2)
    classes = rng.choice(2, 6000, p=[0.9, 0.1])[:, None]  # to guess the frequent class would be right for 90 %
    codes = np.hstack([np.where(rng.random((6000, 1)) < 0.8, classes, 1 - classes), rng.normal(size=(6000, 1))])
    assert separation.scores(Known.of(codes, classes, (False,)))["sap"] == pytest.approx(0.8 - 0.5, abs=0.05)


def test_a_vote_is_for_the_dimension_that_varies_least_where_a_factor_is_fixed():
    codes = FACTORS_OF_ALL + 0.5 * noise(1500, 3)
    known = Known.of(codes, FACTORS_OF_ALL)
    dimension, factor = voting.votes(known, 300, np.random.default_rng(0))
    assert (dimension == factor).mean() > 0.98
    assert np.bincount(factor).min() > 60
    rows = voting._sharing(known.factors[:, 2], 500, np.random.default_rng(1))
    shared = known.factors[rows, 2]
    assert (shared == shared[:, :1]).all()
    assert (np.abs(np.bincount(shared[:, 0]) - 500 / 8) < 5 * np.sqrt(500 / 8)).all()
    assert len(np.unique(rows)) > 1300  # every image has its chance


def test_the_area_under_the_roc_curve_is_that_of_scikit_learn():
    rng = np.random.default_rng(4)
    truth, ranked = rng.integers(0, 4, 500), np.round(rng.random((500, 4)), 1)  # with ties
    found = explicitness.area_under_roc(ranked, truth, np.arange(4))
    expected = [roc_auc_score(truth == c, ranked[:, c]) for c in range(4)]
    assert found == pytest.approx(expected)


def test_explicitness_of_two_gaussian_classes_is_their_area():
    """Unit Gaussians δ apart: P(one is ranked above the other) = Φ(δ/√2)."""
    rng = np.random.default_rng(6)
    classes = rng.integers(0, 2, (20_000, 1))
    codes = rng.normal(size=(20_000, 3)) + classes * np.array([1.0, 0, 0])
    assert explicitness.scores(Known.of(codes, classes))["explicitness"] == pytest.approx(0.7602, abs=0.012)


def test_irs_is_the_loop_over_dimensions_factors_and_values():
    known = Known.of(FACTORS_OF_ALL + noise(1500, 3), FACTORS_OF_ALL)

    def far(codes: np.ndarray) -> float:
        return float(np.quantile(np.abs(codes - codes.mean()), 0.99))

    robust, weights = [], []
    for z in known.codes.T:
        within = [np.mean([far(z[column == value]) for value in np.unique(column)]) for column in FACTORS_OF_ALL.T]
        weights.append(far(z))
        robust.append(1 - min(within) / weights[-1])
    assert robustness.scores(known)["irs"] == pytest.approx(np.average(robust, weights=weights))


def test_dead_dimensions_are_left_out_by_their_noise_or_because_they_never_vary():
    codes = np.hstack([FACTORS_OF_ALL.astype(float), 0.1 * FACTORS_OF_ALL, np.ones((1500, 1))])
    sigma2 = np.array([0.1, 0.1, 0.1, 9, 9, 9, 9])
    alive = Known.of(codes[:, :3], FACTORS_OF_ALL, noise=sigma2[:3])
    assert alive.codes.var(0) == pytest.approx(FACTORS_OF_ALL.var(0) / (FACTORS_OF_ALL.var(0) + 0.1))
    assert np.array_equal(Known.of(codes, FACTORS_OF_ALL, noise=sigma2).codes, alive.codes)
    assert Known.of(codes, FACTORS_OF_ALL).codes.shape == (1500, 6)  # of points, only what never varies


def test_an_encoder_that_gives_every_image_the_same_has_no_score():
    found = disentanglement(np.ones((300, 4)), some(300), ORDERED)
    assert list(found) == list(NAMES)
    assert all(one.value is None and "no dimension" in one.why for one in found.values())


def test_intervals_cover_the_expected_score_of_that_many_images():
    def coded(n: int, seed: int) -> Known:
        factors = some(n, seed)
        mixed = factors / np.array(COUNTS) @ np.array([[1, 0.3, 0], [0, 1, 0.3], [0.2, 0, 1]])
        return Known.of(mixed + 0.1 * noise(n, 3, seed + 1000), factors)

    for family, name in ((separation, "sap"), (robustness, "irs")):
        how = Family(family.scores, family.METHODS, 10_000, 20)
        found = [estimates(how, coded(600, seed), seed)[name] for seed in range(30)]
        expected = np.mean([one.value for one in found])
        assert np.mean([one.low < expected < one.high for one in found]) > 0.85
        assert np.mean([one.high - one.low for one in found]) < 0.07


def test_scores_are_the_same_at_every_call_and_leave_the_global_generators_alone():
    np.random.seed(3)  # noqa: NPY002 (the global generator is what is watched)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    known = Known.of(noise(400, 3), some(400), ORDERED)
    for family in (information, importance, separation, voting, explicitness, robustness):
        assert family.scores(known, 5) == family.scores(known, 5)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_the_data_set_of_the_package_scores_its_ceiling():
    factors = combinations(4000)
    known = Known.of(factors, factors, KINDS)
    assert information.scores(known)["mig"] > 0.98
    assert separation.scores(known)["sap"] == pytest.approx((5 + 2 / 3) / 6, abs=0.015)
    assert voting.scores(known)["factor_vae"] == 1
    assert robustness.scores(known)["irs"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("codes", "factors", "how", "words"),
    [
        (noise(300), some(299), {}, ["(300, 4)", "(299, 3)"]),
        (noise(300), some(300) / 2, {}, ["integer factors", "float64"]),
        (noise(300), some(300)[:, 0], {}, ["(n, f)", "(300,)"]),
        (np.full((300, 2), np.nan), some(300), {}, ["not finite", "diverged"]),
        (noise(300), some(300) * np.array([1, 0, 1]), {}, ["factor 1", "one value"]),
        (noise(300), some(300), {"ordered": (True,)}, ["`ordered`", "3"]),
        (noise(100), some(100), {}, ["100 images", "200"]),
    ],
)
def test_what_cannot_be_scored_is_refused(codes, factors, how, words):
    with pytest.raises(Mistake) as caught:
        disentanglement(codes, factors, **how)
    assert all(word in str(caught.value) for word in words)
