"""A table in a report: columns under their names and units, errors, samples and dimensions as direct formulas give them."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

import legato
from legato.report.trained.rows import MOST, SAMPLED, Column, columns_of, row_sections
from legato.report.trained.subjects import opened, shown_rows, titled
from made_runs import SMALL

NAMES = ("length (mm)", "mass [g]", "ratio", "label")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cache):
    """A VAE and an autoencoder of three columns with units of their own, in two classes."""
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(3)
    values = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 3)) * (5, 400, 0.001) + (40, 4000, 0.2)
    kinds = pa.array(np.where(values[:, 0] > 40, "long", "short"))
    csv.write_csv(pa.table(dict(zip(NAMES, [*values.T, kinds], strict=True))), folder / "table.csv")
    return [
        legato.train(name, str(folder / "table.csv"), folder / name, **{**SMALL, "latent_dim": 2})
        for name in ("vae", "autoencoder")
    ]


@pytest.fixture(scope="module")
def found(runs):
    """The data, and the sections by title."""
    data = opened(runs, None)
    return data, {each.title: each for each in row_sections(titled(runs), data)}


def number(cell):
    return float(re.match(r"[−\d.,+]+", cell)[0].replace("−", "-").replace(",", ""))


def test_columns_have_their_names_and_units(found):
    data, sections = found
    columns = columns_of(data)
    assert [(column.name, column.unit) for column in columns] == [("length", "mm"), ("mass", "g"), ("ratio", "")]
    tables = [section.table for section in sections.values() if section.table]
    assert len(tables) == 2
    for table in tables:
        assert list(table.columns[:2]) == ["column", "unit"]
        assert [row[:2] for row in table.rows] == [["length", "mm"], ["mass", "g"], ["ratio", None]]


def test_errors_are_those_of_what_is_given_back(found, runs):
    data, sections = found
    rows = shown_rows(data, 2000)
    before = np.asarray(data.dataset.rows)[rows].astype(float)
    for at, space in enumerate(runs):
        error = np.sqrt(np.square(space.reconstruct(before, rows) - before).mean(0))
        for line, value, std in zip(
            sections["The columns, and what is given back of them"].table.rows, error, before.std(0), strict=True
        ):
            assert number(line[4 + at]) == pytest.approx(value, abs=0.06 * std)
            assert f"({value / std:.2f} σ)" in line[4 + at]


def test_some_rows_are_told_with_their_labels_and_values(found, runs):
    data, sections = found
    part = sections["The columns, and what is given back of them"].parts[0]
    row = int(shown_rows(data, 1)[0])
    values = np.asarray(data.dataset.rows)[row]
    assert part.title == f"Row {row}, {'long' if values[0] > 40 else 'short'}"
    assert list(part.table.columns) == ["column", "unit", "the row", "vae", "autoencoder"]
    told = [number(line[2]) for line in part.table.rows]
    assert np.abs((told - values) / np.asarray(data.dataset.rows).std(0)).max() < 0.06


def test_samples_stand_beside_the_data(found, runs):
    _, sections = found
    section = sections["Samples beside the data"]
    assert list(section.table.columns[2:]) == ["the data", "vae", "autoencoder"]
    assert "Of autoencoder they are drawn where the codes are" in section.text
    space = runs[0]
    drawn = space.preparation.restore(space.draw_prepared(space.draw(SAMPLED, seed=0), seed=0))
    assert number(section.table.rows[0][3]) == pytest.approx(np.median(drawn[:, 0]), abs=0.06 * drawn[:, 0].std())


def test_a_dimension_moves_what_its_decoder_says(found, runs):
    data, sections = found
    part = sections["What each dimension does"].parts[0]
    space, std = runs[0], [column.std for column in columns_of(data)]
    for at, dim in enumerate(space.ranking()):
        assert part.table.columns[2 + at] == f"z{dim} (σ)"
        (low, high) = space.decode(space.traverse(dims=[dim], steps=2, span=2.0)[1][0])
        moved = [number(line[2 + at]) for line in part.table.rows]
        np.testing.assert_allclose(moved, (high - low) / std, atol=0.006)


def test_values_have_the_digits_that_their_spread_needs():
    assert Column(0, "", "", 0.0, 500.0).told(4108.37) == "4,108"
    assert Column(0, "", "", 0.0, 0.01).told(-0.50349) == "−0.503"
    assert Column(0, "", "", 0.0, 1e-12).told(1.5e-12) == "1.5e−12"


def test_a_wide_table_shows_some_columns_and_says_so(tmp_path, cache):
    np.savez(tmp_path / "wide.npz", x=np.random.default_rng(0).normal(size=(60, MOST + 2)))
    space = legato.train("vae", str(tmp_path / "wide.npz"), tmp_path / "run", **{**SMALL, "steps": 2})
    first, *_ = row_sections(titled([space]), opened([space], None))
    assert len(first.table.rows) == MOST
    assert list(first.table.columns[:2]) == ["column", "mean"]  # no column has a unit
    assert f"The first {MOST} of {MOST + 2} columns." in first.table.caption
