"""The demo keeps its promises at any budget: six runs alike but for their words, a table with yardsticks, one-file report."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from legato import cli
from legato.demo.members import LARGE, RECIPES, SMALL, TITLES, train_members
from legato.files import read_json
from legato.measures.samples import NearestReal

DIMS = (SMALL, LARGE)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The demo at the least budget there is; its folder."""
    out = tmp_path_factory.mktemp("demo") / "runs"
    assert cli.run(["demo", "--minutes", "0.01", "--out", str(out), "--seed", "3"]) == 0
    return out


def test_six_runs_differ_in_recipe_and_latents_and_in_nothing_else(shown):
    recipes = {path.name: read_json(path / "recipe.json") for path in shown.glob("*-*") if (path / "recipe.json").is_file()}
    assert set(recipes) == {f"{recipe}-{dim}" for recipe in RECIPES for dim in DIMS}
    plans = [read_json(shown / name / "training.json") for name in recipes]
    for key in ("total", "batch_size", "learning_rate", "warmup_steps", "ema", "seed", "precision"):
        assert len({plan[key] for plan in plans}) == 1, key
    shared = [{k: r[k] for k in ("net", "width", "depth", "likelihood")} for r in recipes.values()]
    assert all(words == shared[0] for words in shared)


def test_the_report_is_one_file_with_every_figure_and_no_network(shown):
    page = (shown / "report.html").read_text(encoding="utf-8")
    assert re.sub(r"<script.*?</script>", "", page, flags=re.S).count("<img") == 8
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert len(page.encode()) < 4_000_000
    assert len(list((shown / "figures").glob("*.png"))) == 8
    assert all(command in page for command in ("legato evaluate", "legato interpolate", "legato train vae --data"))


def test_the_small_autoencoder_and_vae_can_be_dragged_through(shown):
    page = (shown / "report.html").read_text(encoding="utf-8")
    (held,) = re.findall(r'<script type="application/json" id="legato-space-data">(.*?)</script>', page)
    found = json.loads(held)
    assert [model["title"] for model in found["visit"]["models"]] == [TITLES["autoencoder"], TITLES["vae"]]
    assert [model["latent_dim"] for model in found["visit"]["models"]] == [SMALL, SMALL]
    assert len(found["models"]) == 2


def test_what_is_trained_is_kept(shown, capsys):
    before = (shown / "vae-2" / "model.safetensors").read_bytes()
    assert len(list(train_members(shown, 0.01, 3, torch.device("cpu"), overwrite=False))) == 6
    assert capsys.readouterr().out.count("trained already, kept") == 6
    assert (shown / "vae-2" / "model.safetensors").read_bytes() == before


def test_nearest_distances_are_euclidean_where_all_components_are_kept():
    rng = np.random.default_rng(0)
    real, images = rng.normal(size=(40, 6)), rng.normal(size=(9, 6))
    brute = np.linalg.norm(images[:, None] - real[None], axis=2).min(1)
    np.testing.assert_allclose(NearestReal(real, components=6, normalise=False).distances(images), brute, rtol=1e-4)
    assert NearestReal(real).distances(real) == pytest.approx(np.zeros(40), abs=1e-3)


def test_a_pictures_brightness_does_not_change_its_distance():
    rng = np.random.default_rng(0)
    nearest, images = NearestReal(rng.random((40, 1, 4, 4)), components=16), rng.random((9, 1, 4, 4))
    np.testing.assert_allclose(nearest.distances(images * 0.01), nearest.distances(images), rtol=1e-4)
    faint = NearestReal(rng.random((40, 1, 4, 4)), components=16, normalise=False).distances(images * 0.01)
    assert faint.std() < 0.01  # without it every faint picture is equally near
