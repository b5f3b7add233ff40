"""Whether a picture is like the data: what is measured, beside direct formulas, and pictures that are unlike any."""

from __future__ import annotations

import numpy as np
import pytest

from legato import load
from legato.data.units import named, unit_of
from legato.explorer.catalogue import Catalogue
from legato.explorer.ground import background, columns
from legato.explorer.likeness import Finding, Held
from legato.explorer.models import Member
from legato.explorer.session import Session
from legato.explorer.worker import finished


@pytest.fixture(scope="module")
def session(runs):
    spaces = [runs["vae"], runs["autoencoder"]]
    return Session([Member(run, load) for run in spaces], Catalogue(load(spaces[0]).data(), 1000))


def judged(session, row):
    """Every finding by its name, those of the first model among them."""
    told = finished(session.encode(row))
    return {each["name"]: each for each in [*told["models"][0]["findings"], *told["findings"]]}


def test_findings_are_what_they_say(session, runs):
    data, space = session.catalogue.dataset, load(runs["vae"])
    row = int(session.catalogue.shown[session.catalogue.held][3])
    picture = np.asarray(data.rows[[row]])
    found = judged(session, picture)
    x = picture / 255
    again = space.decode(space.encode(picture)[0])
    assert found["error"]["value"] == pytest.approx(np.sqrt(np.square(again - x).mean()), rel=1e-4)
    known = session.catalogue.shown[~session.catalogue.held]
    near = np.sqrt(np.square(np.asarray(data.rows)[known] / 255 - x).mean((1, 2, 3))).min()
    assert found["nearest"]["value"] == pytest.approx(near, rel=1e-4)
    assert found["brightness"]["value"] == pytest.approx(x.mean(), rel=1e-5)
    assert found["contrast"]["value"] == pytest.approx(x.std(), rel=1e-5)
    held = np.asarray(data.rows)[session.catalogue.shown[session.catalogue.held]] / 255
    assert found["brightness"]["high"] == pytest.approx(held.mean((1, 2, 3)).max(), rel=1e-5)
    assert found["error"]["low"] is None


def test_no_picture_of_the_data_is_unlike_them(session):
    held = session.catalogue.shown[session.catalogue.held]
    assert len(held) > 20
    for row in held:
        found = judged(session, np.asarray(session.catalogue.dataset.rows[[row]]))
        assert not [name for name, each in found.items() if each["odd"]]
        assert min(each["share"] for each in found.values()) >= 1 / len(held)


@pytest.mark.parametrize(
    ("made", "by"),
    [
        (lambda x: 255 - x, {"error", "nearest", "brightness"}),
        (lambda x: 0 * x, {"contrast"}),
        (lambda x: 0 * x + 255, {"error", "contrast"}),
        (lambda x: np.random.default_rng(0).integers(0, 256, x.shape), {"error", "nearest", "brightness"}),
    ],
)
def test_pictures_unlike_the_data_are_told(session, made, by):
    picture = np.asarray(session.catalogue.dataset.rows[:1])
    found = judged(session, made(picture.astype(int)).astype(np.uint8))
    assert by <= {name for name, each in found.items() if each["odd"]}


def test_without_held_out_pictures_all_are_compared_but_with_themselves(session):
    catalogue = Catalogue(session.catalogue.prepared, 1000)
    catalogue.held = np.zeros_like(catalogue.held)
    catalogue.shown = catalogue.shown[:50]
    picture = catalogue.original(int(catalogue.shown[0]))
    found = {each.name: each for each in finished(Held(catalogue).of_picture(picture))}
    assert found["nearest"].value == pytest.approx(0, abs=1e-6)
    assert found["nearest"].high > 0.01


def test_an_end_that_says_nothing_is_open():
    usual = np.linspace(1, 2, 11)
    assert Finding.of("error", 0.0, usual) == Finding("error", 0.0, None, 2.0, 1.0, False)
    assert Finding.of("support", 0.95, usual) == Finding("support", 0.95, 1.0, None, 0.0, False)
    assert Finding.of("support", 0.85, usual).odd
    assert Finding.of("contrast", 2.2, usual).odd
    assert Finding.of("contrast", 1.95, usual).share == pytest.approx(1 / 11)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("petal width (cm)", ("petal width", "cm")),
        ("speed [m/s]", ("speed", "m/s")),
        ("yield(%)", ("yield", "%")),
        ("mean radius", ("mean radius", "")),
        ("price (log)", ("price (log)", "")),
        ("year (2020)", ("year (2020)", "")),
        ("(cm)", ("(cm)", "")),
        ("a (b) c", ("a (b) c", "")),
        ("", ("", "")),
    ],
)
def test_a_unit_stands_in_brackets_at_the_end(name, told):
    assert unit_of(name) == told


def test_rows_without_names_are_numbered():
    assert named(["a", "b"], 2) == ["a", "b"]
    assert named(["vector"], 2) == ["vector_0", "vector_1"]
    assert named([], 2) == ["x_0", "x_1"]


def test_the_background_is_what_most_edges_are():
    white = np.ones((4, 3, 9, 9), np.float32)
    white[:, :, 3:6, 3:6] = 0
    assert background(white) == [255, 255, 255]
    assert background(np.zeros((4, 1, 9, 9), np.float32)) == [0, 0, 0]
    assert background(np.random.default_rng(0).uniform(size=(4, 3, 9, 9)).astype(np.float32)) is None


def test_columns_are_told_with_the_scale_of_training(runs):
    prepared = load(runs["table"]).data()
    found = columns(prepared, np.arange(4))
    assert [each["name"] for each in found] == ["x_0", "x_1", "x_2", "x_3"]
    rows = np.asarray(prepared.dataset.rows)[prepared.dataset.splits["train"].all()]
    np.testing.assert_allclose([each["mean"] for each in found], rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose([each["std"] for each in found], rows.std(0), rtol=1e-6)


def test_rows_of_a_table_are_told_with_their_values(runs):
    prepared = load(runs["table"]).data()
    told = Catalogue(prepared, 100).told([7, 3])
    assert told["ids"] == ["7", "3"]
    np.testing.assert_allclose(told["values"], np.asarray(prepared.dataset.rows)[[7, 3]], rtol=1e-6)
