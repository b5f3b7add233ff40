"""Preparation: coins that are fair to the last bit, one published draw for evaluation, standardising and back."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from legato.data import open_source
from legato.data.batches import TrainingBatches
from legato.data.preparation import BLOCK, EVALUATION_SEED, Preparation, prepare, uniform_bytes
from legato.data.prepared import Prepared
from legato.errors import Mistake
from made_runs import blobs

DRAWN = Preparation("bytes", binarise=True)
MNIST_TEST = "3b6c144b07ad848799dede8fdd125e72"  # published: whoever evaluates on other pixels does not compare


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


# --------------------------------------------------------------------------------------------------- coins


def test_coins_are_uniform_on_0_to_254():
    counts = np.bincount(uniform_bytes(generator(), (2550, 1000)).ravel(), minlength=256)
    assert counts[255] == 0
    assert stats.chisquare(counts[:255]).pvalue > 1e-3


@pytest.mark.parametrize("place", range(8))
def test_coins_of_each_byte_of_a_word_are_uniform_too(place: int):
    counts = np.bincount(uniform_bytes(generator(place), (8 * 255 * 400,))[place::8], minlength=255)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_neighbouring_coins_are_independent():
    drawn = uniform_bytes(generator(1), (2**20 + 1,)).astype(np.float64)
    for lag in (1, 2, 8, 16):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 5 / 1024


@pytest.mark.parametrize("value", [1, 2, 77, 128, 200, 253, 254])
def test_a_coin_falls_below_v_with_probability_v_over_255(value: int):
    n, p = 400_000, value / 255
    below = (uniform_bytes(generator(value), (n,)) < value).mean()
    assert abs(below - p) < 5 * math.sqrt(p * (1 - p) / n)


@given(st.integers(0, 2**32), st.lists(st.integers(1, 9), min_size=1, max_size=3))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_black_is_never_drawn_white_and_white_always(seed: int, shape: list[int]):
    drawn = uniform_bytes(generator(seed), tuple(shape))
    assert drawn.shape == tuple(shape)
    assert not (drawn < 0).any()
    assert (drawn < 255).all()


@pytest.mark.parametrize("value", [0, 1, 254, 255])
def test_training_pixels_have_the_probability_of_their_grey_level_to_the_last_bit(value: int):
    """A comparison that is off by one is off by 1/255: here that is 30 standard errors and more."""
    rows, p = np.full((1000, 1000), value, np.uint8), value / 255
    drawn = DRAWN.training(rows, generator(value)).mean(dtype=np.float64)
    assert abs(drawn - p) <= 5 * math.sqrt(p * (1 - p) / 10**6)


def test_coins_are_a_function_of_the_generator():
    assert np.array_equal(uniform_bytes(generator(4), (3, 5)), uniform_bytes(generator(4), (3, 5)))
    rng = generator(4)
    assert not np.array_equal(uniform_bytes(rng, (3, 5)), uniform_bytes(rng, (3, 5)))


# --------------------------------------------------------------------------------------------------- binarised batches


def test_training_pixels_are_drawn_afresh_and_their_mean_is_the_grey_level_over_255():
    rows = blobs(1, 0)[0][:, None]
    batches, n = TrainingBatches(rows, np.array([0]), DRAWN, 1, seed=2), 4000
    drawn = np.concatenate([batches.at(step).x.numpy() for step in range(n)])
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    p = rows[0] / 255
    assert (np.abs(drawn.mean(0) - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-12).all()
    lag = ((drawn[1:] - p) * (drawn[:-1] - p)).mean(0)  # from one step to the next: uncorrelated
    assert (np.abs(lag) <= 5 * p * (1 - p) / math.sqrt(n) + 1e-12).all()


def test_training_pixels_are_no_threshold_and_no_row_shares_its_coins_with_another():
    rows = np.full((64, 1, 8, 8), 128, np.uint8)
    batch = TrainingBatches(rows, np.arange(64), DRAWN, 64, seed=0).at(0).x.numpy()
    assert len(np.unique(batch.reshape(64, -1), axis=0)) == 64
    assert abs(batch.mean() - 128 / 255) < 5 * 0.5 / 64


@given(st.integers(1, 200), st.randoms(use_true_random=False))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_the_evaluation_draw_of_a_row_depends_on_its_number_and_nothing_else(size: int, random):
    rows = np.full((3 * BLOCK, 2), 128, np.uint8)  # three blocks of noise
    numbers = np.array(random.sample(range(len(rows)), size))
    found = DRAWN.evaluation(rows[numbers], numbers)
    assert np.array_equal(found, EVERY[numbers])


EVERY = DRAWN.evaluation(np.full((3 * BLOCK, 2), 128, np.uint8), np.arange(3 * BLOCK))


def test_the_evaluation_draw_is_fair_and_differs_from_row_to_row():
    assert abs(EVERY.mean() - 128 / 255) < 5 * 0.5 / math.sqrt(EVERY.size)
    blocks = EVERY.reshape(3, -1)
    assert all(abs(np.corrcoef(blocks[a], blocks[b])[0, 1]) < 5 / math.sqrt(2 * BLOCK) for a, b in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("size", [1, 7, 500])
def test_evaluation_batches_hold_the_rows_in_order_each_once_whatever_their_size(size: int):
    rows = blobs(50)[0][:, None]
    chosen = np.array([3, 49, 7, 8, 20])
    straight = DRAWN.evaluation(rows, np.arange(50))[chosen]
    assert np.array_equal(np.concatenate(list(Prepared(SimpleNamespace(rows=rows), DRAWN).batches(chosen, size))), straight)


def test_the_evaluation_draw_of_the_mnist_test_set_is_the_published_one():
    data = open_source("mnist")
    prepared = Prepared(data, prepare(data.kind, "bernoulli", data.rows, data.splits["train"].all()))
    assert EVALUATION_SEED == 13126114
    assert prepared.preparation == DRAWN
    assert prepared.to_json()["test_checksum"] == MNIST_TEST
    rows = np.asarray(data.rows)[data.splits["test"].all()]
    drawn = prepared.rows(data.splits["test"].all())
    p = rows / 255
    assert abs((drawn - p).sum()) < 5 * math.sqrt((p * (1 - p)).sum())
    assert (drawn[rows == 0] == 0).all()
    assert (drawn[rows == 255] == 1).all()


def test_a_checksum_tells_one_pixel_and_the_order():
    rows = np.full((40, 8), 128, np.uint8)
    numbers = np.arange(40)
    other = rows.copy()
    other[7, 3] = 0 if DRAWN.evaluation(rows, numbers)[7, 3] else 255
    sums = [DRAWN.checksum(rows, numbers), DRAWN.checksum(other, numbers), DRAWN.checksum(rows, numbers[::-1])]
    assert len(set(sums)) == 3


# --------------------------------------------------------------------------------------------------- values


def test_a_training_batch_of_unbinarised_bytes_is_its_rows_over_255():
    rows = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    rows[:, 0, 0, 0] = np.arange(60)  # a name for each row
    batches = TrainingBatches(rows, np.arange(60), Preparation("bytes"), 16, seed=0)
    for step in range(6):
        batch = batches.at(step).x.numpy()
        back = np.rint(batch * 255).astype(np.uint8)
        assert np.array_equal(back, rows[back[:, 0, 0, 0]])
        assert np.abs(batch - rows[back[:, 0, 0, 0]] / 255).max() < 1e-7
        assert batch.dtype == np.float32
        assert batch.min() >= 0
        assert batch.max() <= 1


def test_every_byte_is_its_255th_part():
    rows = np.arange(256, dtype=np.uint8)[:, None]
    scaled = Preparation("bytes").evaluation(rows, np.arange(256))[:, 0]
    assert np.array_equal(np.rint(scaled * 255), np.arange(256))
    assert scaled[0] == 0
    assert scaled[255] == 1
    assert np.abs(scaled - np.arange(256) / 255).max() <= np.finfo(np.float32).eps


def test_binary_rows_stay_what_they_are():
    rows = (blobs(20)[0] > 100).astype(np.uint8)
    preparation = prepare("binary", "bernoulli", rows, np.arange(20))
    assert not preparation.binarise
    assert np.array_equal(preparation.evaluation(rows, np.arange(20)), rows)
    assert np.array_equal(preparation.training(rows, generator()), rows)


REALS = st.floats(-1e6, 1e6, width=32)


@given(hnp.arrays(np.float64, st.tuples(st.integers(3, 30), st.integers(1, 4)), elements=REALS))
@settings(deadline=None, derandomize=True, max_examples=80)
def test_a_tables_columns_are_standardised_each_by_its_training_rows(rows: np.ndarray):
    training = np.arange(0, len(rows), 2)
    preparation = prepare("reals", "gaussian", rows, training)
    spread, mean = rows[training].std(0), rows[training].mean(0)
    assert np.allclose(preparation.shift, mean, rtol=1e-9, atol=1e-9)
    varies = spread > 1e-9 * np.abs(mean)
    assert np.allclose(np.array(preparation.scale)[varies], spread[varies], rtol=1e-5)
    x = preparation.evaluation(rows, np.arange(len(rows)))
    assert np.abs(x[training].mean(0)).max() < 1e-3
    assert np.allclose(x[training].std(0)[varies], 1, atol=1e-3)
    assert_back(preparation, x, rows)


@given(hnp.arrays(np.float64, st.tuples(st.integers(3, 12), st.just(1), st.just(3), st.just(2)), elements=REALS))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_real_images_share_one_shift_and_scale(rows: np.ndarray):
    preparation = prepare("reals", "gaussian", rows, np.arange(len(rows)))
    assert len(preparation.shift) == len(preparation.scale) == 1
    assert preparation.shift[0] == pytest.approx(rows.mean(), rel=1e-9, abs=1e-9)
    if rows.std() > 1e-9 * abs(rows.mean()):
        assert preparation.scale[0] == pytest.approx(rows.std(), rel=1e-5)
    assert_back(preparation, preparation.evaluation(rows, np.arange(len(rows))), rows)


def assert_back(preparation: Preparation, x: np.ndarray, rows: np.ndarray) -> None:
    """restore ∘ prepare is the identity, to the rounding of float32."""
    size = np.abs(rows).max() + np.abs(preparation.shift).max() + np.abs(preparation.scale).max()
    assert np.abs(preparation.restore(x) - rows).max() <= 1e-6 * size


@pytest.mark.parametrize("value", [0.0, 0.1, -1e-7, 12345.678, 1e9])
@pytest.mark.parametrize("shape", [(40, 3), (40, 1, 7, 3)])
def test_what_is_constant_is_shifted_to_zero_and_not_scaled(value: float, shape: tuple[int, ...]):
    rows = np.full(shape, value)
    preparation = prepare("reals", "gaussian", rows, np.arange(40))
    assert set(preparation.scale) == {1.0}
    assert np.abs(preparation.evaluation(rows, np.arange(40))).max() <= 1e-12 * abs(value)


def test_a_small_spread_on_a_large_mean_is_found():
    rows = 1e8 + np.random.default_rng(0).normal(size=(3000, 1))
    assert prepare("reals", "gaussian", rows, np.arange(3000)).scale[0] == pytest.approx(rows.std(), rel=1e-6)


def test_only_training_rows_are_looked_at():
    rows = np.random.default_rng(0).normal(size=(100, 2))
    other = rows.copy()
    other[50:] = 1e6
    training = np.arange(50)
    assert prepare("reals", "gaussian", rows, training) == prepare("reals", "gaussian", other, training)


@pytest.mark.parametrize(
    ("kind", "likelihood"), [("bytes", "bernoulli"), ("bytes", "gaussian"), ("binary", "bernoulli"), ("reals", "gaussian")]
)
def test_a_preparation_comes_back_from_json_as_it_was(kind, likelihood):
    made = prepare(kind, likelihood, np.arange(12.0).reshape(6, 2), np.arange(6))
    assert Preparation.from_json(made.to_json()) == made
    assert made.binarise == ((kind, likelihood) == ("bytes", "bernoulli"))
    assert made.to_json()["evaluation_seed"] == (EVALUATION_SEED if made.binarise else None)


def test_a_person_sees_grey_levels_even_where_the_model_sees_coins():
    rows = blobs(5)[0]
    assert np.allclose(DRAWN.original(rows), rows / 255, atol=1e-7)
    assert np.array_equal(Preparation("reals").original(rows * 0.5), rows * np.float32(0.5))


@pytest.mark.parametrize(
    ("preparation", "values", "words"),
    [
        (DRAWN, np.array([[0.2, 1.0]]), ["0 and 1", "bytes"]),  # a grey level under a Bernoulli gives no likelihood
        (Preparation("bytes"), np.array([[0.5, 200.0]]), ["200", "from 0 to 1", "bytes"]),
        (Preparation("bytes"), np.array([[-0.5, 1.0]]), ["-0.5"]),
        (Preparation("bytes"), np.array([[3, 256]]), ["256", "0 to 255"]),
        (Preparation("bytes"), np.array([[0.5, np.nan]]), ["NaN"]),
        (Preparation("binary"), np.array([[0, 2]]), ["0 and 1"]),
        (Preparation("reals"), np.array([[0.0, np.inf]]), ["infinite"]),
    ],
)
def test_values_that_cannot_be_such_rows_are_refused(preparation, values, words):
    with pytest.raises(Mistake) as caught:
        preparation.check(values, prepared=values.dtype.kind == "f")
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("preparation", "values"),
    [
        (DRAWN, np.array([[0.0, 1.0]])),
        (DRAWN, np.array([[0, 255]], np.uint8)),
        (Preparation("bytes"), np.array([[0.0, 0.3, 1.0]])),
        (Preparation("binary"), np.array([[False, True]])),
        (Preparation("reals"), np.array([[-1e30, 1e30]])),
    ],
)
def test_values_that_can_be_such_rows_are_taken_as_they_are(preparation, values):
    before = values.copy()
    preparation.check(values, prepared=values.dtype.kind == "f")  # raises where it refuses
    np.testing.assert_array_equal(values, before)
    assert values.dtype == before.dtype
