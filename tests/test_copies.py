"""Copies: a copier is found, and whoever draws as the data were drawn is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from legato.errors import Mistake
from legato.measures.copies import copies, nearest

rng = np.random.default_rng(0)
TRAIN, HELD, FRESH = (rng.normal(size=(n, 6)).astype(np.float32) + 1000 for n in (3000, 1000, 800))


def test_distances_are_those_of_a_tree_also_far_from_the_origin_and_of_what_nearly_coincides():
    close = TRAIN[:50].astype(np.float64) + 1e-5 * rng.normal(size=(50, 6))
    for some in (HELD, close):
        expected = cKDTree(TRAIN.astype(np.float64)).query(some)[0]
        np.testing.assert_allclose(nearest(some, TRAIN), expected, rtol=1e-6)


def test_a_copier_is_found_and_fresh_draws_are_not():
    copier = copies(TRAIN, HELD, TRAIN[:500] + np.float32(1e-3))
    assert copier.value == 1
    assert copier.low is not None
    assert copier.low > 0.99
    fresh = copies(TRAIN, HELD, FRESH)
    assert fresh.low is not None
    assert fresh.high is not None
    assert fresh.low < 0.01 < fresh.high
    mixed = copies(TRAIN, HELD, np.concatenate([FRESH, TRAIN[:200]]))
    assert mixed.value == pytest.approx(0.2 + 0.8 * (fresh.value or 0), abs=1e-9)


def test_its_interval_holds_one_percent_as_often_as_it_says():
    held = 0
    for _ in range(60):
        train, usual, fresh = (rng.normal(size=(n, 3)) for n in (400, 300, 300))
        found = copies(train, usual, fresh)
        held += found.low <= 0.01 <= found.high
    assert held >= 52


def test_too_few_images_are_a_sentence():
    with pytest.raises(Mistake, match="needs 100 held-out images or more, got 99"):
        copies(TRAIN, HELD[:99], FRESH)
