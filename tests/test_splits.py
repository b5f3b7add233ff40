"""Splits: a partition, exact in size, a function of names and seed alone, groups whole, a source's own kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.data.rows import RowNumbers, find
from legato.data.splits import NAMES, PARTS, TEST, TRAIN, VALIDATION, Split, split
from legato.errors import Mistake

IDS = st.lists(st.text(min_size=1, max_size=8), min_size=3, max_size=60, unique=True)


def codes(splits: dict[str, Split], count: int) -> np.ndarray:
    """The split of each row; fails unless every row is in exactly one."""
    assert tuple(splits) == NAMES
    together = np.concatenate([rows.all() for rows in splits.values()])
    assert np.array_equal(np.sort(together), np.arange(count))
    found = np.empty(count, int)
    for code, rows in enumerate(one.all() for one in splits.values()):
        assert rows.dtype == np.int64
        assert np.array_equal(rows, np.sort(rows))
        found[rows] = code
    return found


@given(count=st.integers(3, 3000), seed=st.integers(-(2**40), 2**70))
def test_seeded_splits_are_a_partition_of_80_10_10(count: int, seed: int) -> None:
    found = np.bincount(codes(split(RowNumbers([("", range(count))]), seed), count), minlength=3)
    tenth = max(1, round(count / 10))
    assert found.tolist() == [count - 2 * tenth, tenth, tenth]


@given(ids=IDS, seed=st.integers(0, 9), data=st.data())
def test_splits_follow_names_and_not_their_order(ids: list[str], seed: int, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(ids))
    one = dict(zip(ids, codes(split(ids, seed), len(ids)), strict=True))
    other = dict(zip(shuffled, codes(split(shuffled, seed), len(ids)), strict=True))
    assert one == other


def test_a_row_added_later_moves_only_rows_at_the_borders() -> None:
    ids = [f"{i}.png" for i in range(1000)]
    before = codes(split(ids, 0), 1000)
    after = codes(split([*ids, "new.png"], 0), 1001)[:1000]
    assert np.count_nonzero(before != after) <= 2


def test_seeds_draw_independently() -> None:
    rows = RowNumbers([("", range(10_000))])
    tests = [split(rows, seed)["test"].all() for seed in range(8)]
    shared = [len(np.intersect1d(a, b)) for i, a in enumerate(tests) for b in tests[:i]]
    # Hypergeometric: mean 100, standard deviation 9; five of them.
    assert all(55 < count < 145 for count in shared)
    # And no row is favoured by its place: the mean place of a test row is 5,000 ± 5 standard errors.
    assert abs(np.concatenate(tests).mean() - 4999.5) < 5 * 2887 / np.sqrt(8000)


def test_splits_are_those_of_this_version() -> None:
    """Figures of old runs rest on them: a change here needs a new seed's name, not a new answer."""
    assert split(RowNumbers([("", range(40))]), 0)["test"].all().tolist() == [5, 7, 14, 34]
    assert split([f"{i}.png" for i in range(40)], 0)["test"].all().tolist() == [0, 19, 29, 35]


@given(groups=st.lists(st.integers(0, 9), min_size=12, max_size=80), seed=st.integers(0, 5))
def test_groups_stay_whole(groups: list[int], seed: int) -> None:
    ids = [f"g{group}_{i}" for i, group in enumerate(groups)]
    if len(set(groups)) < 3:
        with pytest.raises(Mistake, match="groups"):
            split(ids, seed, group=r"^(g\d+)_")
        return
    found = codes(split(ids, seed, group=r"^(g\d+)_"), len(ids))
    assert set(found) == {0, 1, 2}
    for group in set(groups):
        assert len(set(found[np.array(groups) == group])) == 1


def test_rows_that_match_no_group_stand_alone() -> None:
    ids = [f"same_{i}" for i in range(20)] + [f"other{i}" for i in range(180)]
    found = codes(split(ids, 3, group=r"^same"), 200)
    assert len(set(found[:20])) == 1
    assert set(found[20:]) == {0, 1, 2}


@given(train=st.integers(10, 200), test=st.integers(1, 50), seed=st.integers(0, 5))
def test_own_train_and_test_are_kept_and_a_tenth_of_training_validates(train: int, test: int, seed: int) -> None:
    own = np.repeat(np.array([TRAIN, TEST], np.uint8), [train, test])
    splits = split(RowNumbers([("train-", range(train)), ("test-", range(test))]), seed, own=own)
    codes(splits, train + test)
    assert splits["test"].all().tolist() == list(range(train, train + test))
    assert len(splits["validation"]) == max(1, round(train / 10))


def test_own_splits_in_full_are_untouched_and_a_missing_test_comes_from_training() -> None:
    own = np.array([TRAIN] * 20 + [VALIDATION] * 5 + [TEST] * 5, np.uint8)
    ids = [str(i) for i in range(30)]
    assert np.array_equal(codes(split(ids, 0, own=own), 30), own)
    found = codes(split(ids[:25], 0, own=own[:25]), 25)
    assert np.flatnonzero(found == VALIDATION).tolist() == list(range(20, 25))
    assert np.count_nonzero(found == TEST) == 2


def test_held_fixes_the_size_of_validation() -> None:
    own = np.repeat(np.array([TRAIN, TEST], np.uint8), [600, 100])
    assert len(split([str(i) for i in range(700)], 0, own=own, held=50)["validation"]) == 50


@given(
    parts=st.lists(
        st.tuples(st.sampled_from(["", "train-", "test-", "t-"]), st.integers(0, 12)), max_size=3, unique_by=lambda p: p[0]
    )
)
def test_row_numbers_are_the_list_they_stand_for(parts: list[tuple[str, int]]) -> None:
    rows = RowNumbers([(prefix, range(count)) for prefix, count in parts])
    names = [f"{prefix}{i}" for prefix, count in parts for i in range(count)]
    assert list(rows) == names
    assert [rows.index(name) for name in names] == list(range(len(names)))
    assert rows[1:7:2] == names[1:7:2]
    assert all(name not in rows for name in ("", "train", "train-99", "-1", "٣", "01", "train-01"))
    if names:
        assert rows[-1] == names[-1]
    with pytest.raises(IndexError):
        rows[len(names)]


def test_find_takes_names_then_numbers() -> None:
    skipped = RowNumbers([("", np.array([0, 2, 5]))])
    assert [find(skipped, name) for name in ("0", "2", "5")] == [0, 1, 2]
    with pytest.raises(Mistake, match="`3`"):
        find(skipped, "3")  # the source's row 3 was skipped: the store's row 3 would be another picture
    assert find(["b/1.png", "b/2.png", "7"], "1") == 1
    assert find(["b/1.png", "b/2.png", "0"], "0") == 2
    with pytest.raises(Mistake, match=r"did you mean `b/2\.png`"):
        find(["a/17.png", "b/2.png", "c/333.png"], "b/2.pgn")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_rows_are_refused(count: int) -> None:
    with pytest.raises(Mistake, match="at least 3"):
        split([str(i) for i in range(count)], 0)


def test_a_group_that_matches_nothing_is_refused() -> None:
    with pytest.raises(Mistake, match="matches no id, for example not `a`"):
        split(["a", "b", "c"], 0, group="z")


# A sample of a split.


def test_a_split_has_no_first_rows() -> None:
    rows = Split(np.arange(10))
    for cut in (lambda: rows[:3], lambda: rows[0], lambda: next(iter(rows))):
        with pytest.raises(TypeError):
            cut()


@given(count=st.integers(1, 3000), n=st.integers(1, 4000), seed=st.integers(0, 2**40))
def test_a_sample_has_as_many_different_rows_as_were_asked_for_or_all(count: int, n: int, seed: int) -> None:
    rows = Split(3 * np.arange(count) + 7)
    found = rows.draw(n, "tried", seed)
    assert len(found) == min(n, count) == len(np.unique(found))
    assert np.isin(found, rows.all()).all()
    assert np.array_equal(found, rows.draw(n, "tried", seed))


@pytest.mark.parametrize(("count", "n"), [(10, 3), (15, 10), (150, 100), (7, 6)])
def test_every_row_is_as_likely_as_any_other_and_in_any_place(count: int, n: int) -> None:
    draws, rows = 4000, Split(np.arange(count))
    found = np.stack([rows.draw(n, "tried", seed) for seed in range(draws)])
    taken = np.bincount(found.ravel(), minlength=count)
    assert np.abs(taken - draws * n / count).max() < 5 * np.sqrt(draws * n / count * (1 - n / count) + 1)
    # In any order: the mean row in each place is the mean of all.
    assert np.abs(found.mean(0) - (count - 1) / 2).max() < 5 * count / np.sqrt(12 * draws)


@given(count=st.integers(200, 5000), n=st.integers(1, 3000), seed=st.integers(0, 99))
def test_a_sample_is_even_over_the_split(count: int, n: int, seed: int) -> None:
    """Of a source that is sorted by class each class has its share, to within the rows at its two ends."""
    n, parts = min(n, count), min(n, count, PARTS)
    edges = np.arange(parts + 1) * count // parts
    taken = np.histogram(Split(np.arange(count)).draw(n, "tried", seed), edges)[0] if n < count else np.diff(edges)
    assert np.abs(taken - np.diff(edges) * n / count).max() < 1 + 1e-9


def test_a_class_that_comes_back_every_few_rows_has_its_share_too() -> None:
    """Rows that are taken at even steps would all be of one class."""
    labels = np.arange(1500) % 3
    shares = [np.bincount(labels[Split(np.arange(1500)).draw(1000, "tried", seed)], minlength=3) for seed in range(50)]
    assert np.abs(np.array(shares) - 1000 / 3).max() < 5 * np.sqrt(1000 / 3 * 2 / 3 / 3)


def test_purposes_draw_independently() -> None:
    rows = Split(np.arange(10_000))
    one, other = (rows.draw(1000, purpose) for purpose in ("measured", "shown"))
    assert 55 < len(np.intersect1d(one, other)) < 145


def test_a_sample_of_none_is_refused() -> None:
    with pytest.raises(Mistake, match="1 row or more"):
        Split(np.arange(3)).draw(0, "tried")
