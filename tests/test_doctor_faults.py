"""The fault table (fault_table.py): every figure that a fault must move moves, and no other that must not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from fault_table import FAULTS
from faulted import Model, faulted, healthy, pictures
from legato.doctor.examinations import EXAMINATIONS, examined
from legato.doctor.found import Found
from legato.doctor.patient import QUICK, Patient
from legato.measures.estimate import Estimate
from legato.survey.functions import Functions
from legato.survey.material import Material, Rows

TRAIN, TEST = 900, 500
SMALL = replace(QUICK, train=TRAIN, test=TEST, samples=300, outer=300, noisy=150, places=10, halves=4, judged=400)
IMAGES = pictures(TRAIN + TEST)
SHARED = Material(Rows(IMAGES[:TRAIN], IMAGES[:TRAIN], None), Rows(IMAGES[TRAIN:], IMAGES[TRAIN:], None), "drawn")


@pytest.fixture(autouse=True, scope="module")
def _alone():
    torch.set_num_threads(1)


@cache
def model() -> Model:
    return healthy(IMAGES)


def taken(one: Model, keys: frozenset[str]) -> Found:
    """The figures of a model, by the examinations that take any of `keys`."""
    subject = Functions(one.encode, one.decode, IMAGES[:4], steady=False)
    patient = Patient(subject, SHARED, SMALL, 0)
    return examined(patient, tuple(each for each in EXAMINATIONS if keys.intersection(each.keys)))


@cache
def well() -> Found:
    return taken(model(), frozenset(key for row in FAULTS.values() for key in row))


def moved(before: Estimate, after: Estimate) -> str:
    """+ and - where the intervals are apart, 0 where the difference is within both half-widths, ? between."""
    assert before.value is not None, before.why
    assert after.value is not None, after.why
    (low, high), (least, most) = (
        (one.low, one.high) if one.low is not None else (one.value, one.value) for one in (before, after)
    )
    # what is 0 but for rounding, such as an exact equivariance, has an interval of rounding
    if abs(after.value - before.value) <= (high - low + most - least) / 2 + 1e-6 * abs(before.value) + 1e-9:
        return "0"
    return "+" if least > high else "-" if most < low else "?"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_moves_what_it_must_and_nothing_that_it_must_not(fault):
    row = FAULTS[fault]
    found = taken(faulted(model(), fault, IMAGES), frozenset(row))
    signs = {key: moved(well().figures[key], found.figures[key]) for key in row}
    wrong = {
        key: (row[key], sign, str(well().figures[key]), str(found.figures[key]))
        for key, sign in signs.items()
        if sign != row[key]
    }
    assert wrong == {}
