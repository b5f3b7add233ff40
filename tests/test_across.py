"""What a whole family's ranks say of one claim: by hand, beside SciPy, and where figures are missing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from legato.experiment.across import LEAST, across
from legato.measures.estimate import Estimate, absent


def figures(**values: float | None) -> dict[str, Estimate]:
    return {
        name.replace("_", " "): absent("not measured") if value is None else Estimate(value, None, None, 9, "", "")
        for name, value in values.items()
    }


def member(r50: float, purity: float | None, samples: float, rebuilt: float = 1.0, **more: float) -> dict[str, Estimate]:
    return figures(r50=r50, purity=purity, frechet_mixture=samples, frechet_reconstruction=rebuilt, **more)


def told(members: list[dict[str, Estimate]]) -> dict[str, Estimate]:
    (found,) = across({f"m{i}": [one] for i, one in enumerate(members)})
    return {name.removeprefix("sampling told by "): one for name, one in found.items()}


def test_ranks_are_spearmans_of_the_distance_in_times_of_the_reconstructions():
    rng = np.random.default_rng(0)
    r50, purity, samples, rebuilt = rng.uniform(0.5, 3, (4, 9))
    found = told([member(*row) for row in zip(r50, purity, samples, rebuilt, strict=True)])
    near = rebuilt / samples
    assert found["continuity"].value == pytest.approx(spearmanr(r50, near).statistic)
    assert found["meaning"].value == pytest.approx(spearmanr(purity, near).statistic)
    assert found["both"].value == pytest.approx(spearmanr(rankdata(r50) + rankdata(purity), near).statistic)
    assert {one.n for one in found.values()} == {9}


def test_the_nearest_samples_of_the_most_continuous_spaces_are_1_and_the_farthest_minus_1():
    steps = np.arange(1, 7.0)
    near, far = ([member(step, step / 10, float(np.exp(sign * step))) for step in steps] for sign in (-1, 1))
    assert [one.value for one in told(near).values()] == pytest.approx([1, 1, 1])
    assert [one.value for one in told(far).values()] == pytest.approx([-1, -1, -1])


def test_without_classes_neighbours_of_images_take_their_place():
    steps = np.arange(1, 7.0)
    found = told([member(step, None, 8 - step, trustworthiness=step / 10) for step in steps])
    assert found["meaning"].value == pytest.approx(1)


def test_a_member_without_a_figure_is_left_out_and_too_few_are_told_nothing_of():
    steps = np.arange(1, LEAST + 2.0)
    members = [member(step, step / 10, 9 - step) for step in steps]
    members[0]["r50"] = absent("not measured")
    assert {one.n for one in told(members).values()} == {LEAST}
    found = told(members[:-1])["both"]
    assert found.value is None
    assert f"fewer than {LEAST}" in found.why


def test_members_that_are_alike_have_no_ranks():
    assert told([member(1.0, 0.5, 2.0 + i) for i in range(LEAST)])["both"].value is None


def test_only_seeds_that_all_members_have_are_told_of():
    one = member(1.0, 0.5, 2.0)
    assert len(across({"a": [one, one], "b": [one]})) == 1
    assert across({}) == []
