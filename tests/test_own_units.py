"""What commands write is in the data's own units: pictures over their training range, tables under their columns' names."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import legato
from legato.cli import run
from legato.explorer.catalogue import Catalogue
from legato.explorer.landscape import decode
from legato.latent_space import LatentSpace
from made_runs import SMALL, blobs
from made_sources import table

SECONDS = 1_764_000_000


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[np.ndarray], np.ndarray]], LatentSpace]:
    """Trains on the blobs in other units."""

    def train(units: Callable[[np.ndarray], np.ndarray]) -> LatentSpace:
        folder = tmp_path_factory.mktemp("units")
        np.save(folder / "x.npy", units(blobs(100)[0].astype(np.float64)))
        return legato.train("vae", str(folder / "x.npy"), folder / "r", **{**SMALL, "steps": 12})

    return train


UNITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "0 to 1": lambda x: (x - x.min()) / (x.max() - x.min()),
    "0 to 255": lambda x: (x - x.min()) / (x.max() - x.min()) * 255,
    "-1 to 1": lambda x: (x - x.min()) / (x.max() - x.min()) * 2 - 1,
    "16 bits": lambda x: np.rint((x - x.min()) / (x.max() - x.min()) * 65535).astype(np.uint16),
    "Kelvin": lambda x: 290 + x / 1000,
}


def test_pictures_look_the_same_in_whatever_units(grey: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = {}
    for name, units in UNITS.items():
        space = grey(units)
        data = space.data()
        seen[name] = data.seen(np.arange(20))
        assert (seen[name].min(), seen[name].max()) <= (0.1, 1.0), name
        image = np.asarray(Image.open(_written(space, tmp_path, "reconstruct", capsys)).convert("L"))
        assert (image[:, 200:] == 0).mean() < 0.5, name
        assert len(np.unique(image)) > 50, name
        z = np.zeros((2, space.latent_dim), np.float32)
        assert np.array_equal(decode(space, z), space.seen(z)), name
        assert np.array_equal(Catalogue(data, 50).original(3), data.seen(np.array([3]))), name
    for name in UNITS:
        assert np.abs(seen[name] - seen["0 to 1"]).max() < 0.02 or name == "Kelvin", name


def _written(space: LatentSpace, folder: Path, command: str, capsys: pytest.CaptureFixture[str]) -> Path:
    out = folder / f"{space.run.path.parent.name}.png"
    for words in (["sample"], ["interpolate"], ["traverse"], [command]):
        assert run([*words, str(space.run.path), "--out", str(out), "--threads", "1"]) == 0
    low, high = space.preparation.screen
    assert ("shown from" in capsys.readouterr().out) is ((low, high) != (0, 1))
    return out


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> LatentSpace:
    """A run of a Parquet table, one column of which is seconds since 1970."""
    folder, rng = tmp_path_factory.mktemp("readings"), np.random.default_rng(0)
    columns = {"when": SECONDS + rng.integers(0, 500, 90), "depth": rng.normal(3, 1, 90), "place": rng.normal(size=90)}
    source = table(folder / "t.parquet", {"id": np.arange(90), **columns})
    return legato.train("vae", str(source), folder / "r", **{**SMALL, "steps": 12})


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ""])
@pytest.mark.parametrize(
    ("words", "lead", "rows"),
    [
        (["sample", "--n", "7"], [], 7),
        (["traverse", "--steps", "3"], ["line", "place_"], 9),
        (["reconstruct", "--n", "4"], ["line", "id"], 8),
        (["interpolate", "--steps", "3", "--no-cross-fade"], ["line", "place_"], 5),
    ],
)
def test_tables_are_written_under_their_columns_names(
    readings: LatentSpace, tmp_path: Path, words: list[str], lead: list[str], rows: int, suffix: str
) -> None:
    out = tmp_path / f"o{suffix}"
    assert run([words[0], str(readings.run.path), *words[1:], "--out", str(out), "--threads", "1"]) == 0
    found = _columns(out if suffix else out.with_suffix(".parquet"))
    assert list(found) == [*lead, "when", "depth", "place"]
    when = np.array(found["when"], np.float64)
    assert len(when) == rows
    assert abs(when - SECONDS - 250).max() < 2000
    if words[0] == "reconstruct":
        kept = dict(zip(found["id"], when, strict=False))  # ids of the reconstructions overwrite: the originals come first
        originals = {i: w for line, i, w in zip(found["line"], found["id"], when, strict=True) if line == "image"}
        stored = readings.data().dataset
        assert originals == {i: float(stored.rows[stored.find(i), 0]) for i in kept}


def _columns(path: Path) -> dict[str, list[Any]]:
    if path.suffix == ".parquet":
        return dict(pq.read_table(path).to_pydict())
    lines = list(csv.reader(path.read_text().splitlines()))
    return {name: [line[i] for line in lines[1:]] for i, name in enumerate(lines[0])}


def test_codes_are_written_as_csv(readings: LatentSpace, tmp_path: Path) -> None:
    assert run(["encode", str(readings.run.path), "--out", str(tmp_path / "c.csv"), "--threads", "1"]) == 0
    found = _columns(tmp_path / "c.csv")
    assert list(found) == ["id", "label", *(f"{what}_{i}" for what in ("mu", "sigma") for i in range(3))]
    mu, sigma = readings.encode(np.asarray(readings.data().dataset.rows))
    assert np.allclose(np.array(found["mu_1"], float), mu[:, 1], atol=1e-6)
    assert np.allclose(np.array(found["sigma_2"], float), sigma[:, 2], atol=1e-6)
    assert readings.columns == ["when", "depth", "place"]
