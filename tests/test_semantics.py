"""Semantics: purity and probes on cases that can be counted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from legato.errors import Mistake
from legato.measures.semantics import Hits, few_label_probe, linear_probe, purity

RNG = np.random.default_rng(0)


def clusters(n: int, distance: float, d: int = 4, classes: int = 5, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    return rng.normal(size=(n, d)) + distance * np.eye(classes, d)[labels], labels


def test_purity_is_the_count_of_a_loop_over_all_pairs():
    codes, labels = clusters(80, 2.0)
    found = purity(codes, labels, k=7)
    for i in range(80):
        distance = np.linalg.norm(codes - codes[i], axis=1)
        distance[i] = np.inf
        assert found.hits[i] == pytest.approx((labels[np.argsort(distance)[:7]] == labels[i]).mean())
    assert found.estimate().value == pytest.approx(found.hits.mean())
    assert found.chance == pytest.approx(np.mean([(np.delete(labels, i) == labels[i]).mean() for i in range(80)]))


def test_purity_of_separate_clusters_is_1_and_of_noise_chance():
    assert purity(*clusters(1000, 30.0, d=5)).estimate().value == 1
    _, labels = clusters(4000, 0.0)
    noise = purity(RNG.normal(size=(4000, 6)), labels)
    estimate = noise.estimate()
    assert estimate.low < noise.chance < estimate.high
    assert noise.chance == pytest.approx(0.2, abs=0.01)


def test_purity_of_codes_that_are_all_alike_is_chance_even_where_labels_come_sorted():
    labels = np.repeat(np.arange(5), 200)
    assert purity(np.ones((1000, 3)), labels).estimate().value == pytest.approx(0.2, abs=0.05)


def test_purity_is_the_same_in_any_order_and_its_own_codes_do_not_count():
    codes, labels = clusters(300, 1.5)
    order = RNG.permutation(300)
    assert np.array_equal(purity(codes, labels).hits[order], purity(codes[order], labels[order]).hits)
    alone = purity(np.repeat(codes, 2, 0), np.arange(600), k=1)  # every label once: none but its own could match
    assert alone.hits.max() == 0


def test_the_probe_reaches_the_best_accuracy_of_two_gaussians():
    """Two unit Gaussians 2 apart: no classifier beats Φ(1), and a linear one reaches it."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 24_000)
    codes = rng.normal(size=(24_000, 6))
    codes[:, 2] += 2 * labels
    found = linear_probe(codes[:4000], labels[:4000], codes[4000:], labels[4000:])
    best = ndtr(1)
    assert found.estimate().value == pytest.approx(best, abs=0.01)
    low, high = found.estimate().low, found.estimate().high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(best * (1 - best) / 20_000), rel=0.03)


def test_the_probe_on_noise_is_chance_and_on_one_hot_labels_perfect():
    _, labels = clusters(3000, 0.0)
    noise = RNG.normal(size=(3000, 8))
    found = linear_probe(noise[:1500], labels[:1500], noise[1500:], labels[1500:])
    assert found.estimate().value == pytest.approx(0.2, abs=0.04)
    assert found.chance == pytest.approx((labels[1500:] == np.bincount(labels[:1500]).argmax()).mean())
    hot = np.eye(5)[labels]
    assert linear_probe(hot[:1500], labels[:1500], hot[1500:], labels[1500:]).estimate().value == 1


def test_a_probe_with_few_labels_knows_less_than_one_with_many_and_more_than_chance():
    codes, labels = clusters(4000, 1.5)
    split = codes[:2000], labels[:2000], codes[2000:], labels[2000:]
    few, many = few_label_probe(*split), linear_probe(*split)
    assert few.chance < few.estimate().value < many.estimate().value
    assert many.minus(few).low > 0
    assert set(np.unique(np.round(few.hits * 10, 6))) <= set(range(11))  # ten choices of labels
    assert np.array_equal(few.hits, few_label_probe(*split).hits)
    assert not np.array_equal(few.hits, few_label_probe(*split, seed=1).hits)
    assert few_label_probe(*split, per_class=2000).hits == pytest.approx(many.hits, abs=0.5)  # all there are, which is allowed


def test_digits_of_scikit_learn_are_told_from_their_principal_components():
    images, labels = load_digits(return_X_y=True)
    codes = PCA(16, whiten=True, random_state=0).fit_transform(images)
    found = linear_probe(codes[:1000], labels[:1000], codes[1000:], labels[1000:])
    assert 0.85 < found.estimate().value < 0.95
    by_class = found.by_class([f"a {digit}" for digit in range(10)])
    assert list(by_class) == [f"a {digit}" for digit in range(10)]
    total = sum(one.value * one.n for one in by_class.values())
    assert total / sum(one.n for one in by_class.values()) == pytest.approx(found.estimate().value)


def test_a_difference_is_paired_and_narrower_than_two_intervals():
    codes, labels = clusters(3000, 1.5)
    blurred = codes + RNG.normal(size=codes.shape) * 0.2
    one, other = purity(codes, labels), purity(blurred, labels)
    difference = one.minus(other)
    assert difference.value == pytest.approx(one.estimate().value - other.estimate().value)
    unpaired = np.hypot(*(h.estimate().high - h.estimate().value for h in (one, other)))
    assert difference.high - difference.value < 0.8 * unpaired


def test_images_without_a_label_are_left_out():
    codes, labels = clusters(500, 2.0)
    hidden = np.where(np.arange(500) < 100, -1, labels)
    assert np.array_equal(purity(codes, hidden).hits, purity(codes[100:], labels[100:]).hits)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c, y: purity(c, np.full(len(c), -1)), ["needs labels"]),
        (lambda c, y: purity(c, y, k=0), ["`k`", "0"]),
        (lambda c, y: purity(c, y, k=50), ["`k`", "50"]),
        (lambda c, y: purity(c, y / 2), ["integer labels", "float64"]),
        (lambda c, y: purity(c[:, 0], y), ["(n, d)", "(50,)"]),
        (lambda c, y: purity(np.where(c > 2, np.nan, c), y), ["not finite", "diverged"]),
        (lambda c, y: linear_probe(c, y * 0, c, y), ["two labels"]),
        (lambda c, y: few_label_probe(c, y, c, y, per_class=0), ["`per_class`", "0"]),
        (lambda c, y: purity(c, y).minus(Hits(np.zeros(50), (y + 1) % 5, 0.1, "")), ["same images"]),
    ],
)
def test_what_cannot_be_probed_is_refused(call, words):
    with pytest.raises(Mistake) as caught:
        call(*clusters(50, 3.0))
    assert all(word in str(caught.value) for word in words)
