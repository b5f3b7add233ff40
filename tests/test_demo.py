"""The demo keeps its promises at any budget: six runs alike but for their words, a table with yardsticks, one-file report."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from legato import cli
from legato.demo.answer import answer, part
from legato.demo.members import LARGE, RECIPES, SMALL, TITLES, Member, train_members
from legato.demo.numbers import Row, Yardstick
from legato.files import read_json
from legato.measures.estimate import Estimate
from legato.report import neighbours
from legato.report.neighbours import nearest

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
    assert re.sub(r"<script.*?</script>", "", page, flags=re.S).count("<img") == 9
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert len(page.encode()) < 4_000_000
    assert len(list((shown / "figures").glob("*.png"))) == 9
    assert all(command in page for command in ("legato evaluate", "legato interpolate", "legato train vae --data"))


def test_the_small_autoencoder_and_vae_can_be_dragged_through(shown):
    page = (shown / "report.html").read_text(encoding="utf-8")
    (held,) = re.findall(r'<script type="application/json" id="legato-space-data">(.*?)</script>', page)
    found = json.loads(held)
    assert [model["title"] for model in found["session"]["models"]] == [TITLES["autoencoder"], TITLES["vae"]]
    assert [model["latent_dim"] for model in found["session"]["models"]] == [SMALL, SMALL]
    assert len(found["models"]) == 2


def test_the_answer_comes_before_facts_and_numbers_and_has_its_figure(shown):
    page = (shown / "report.html").read_text(encoding="utf-8")
    places = [page.index(mark) for mark in ("Continuous:", "Semantic:", "Sampleable:", "Too simple:", "<img", 'class="facts"')]
    assert places == sorted(places)
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert titles[1:3] == ["Why the noise and the KL term do this", "Where this account is too simple"]
    assert titles[-2:] == ["The numbers", "What to try next"]


def share(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value, value - half, value + half, 2000, "share", "made up")


def told(relative: float = 0.5, prior: float = 0.6, alike: float = 0.8, halfway: float = 0.85) -> dict[str, str]:
    """The answer of a VAE with these figures beside two models that have 3 %, 80 % and 85 %."""

    def row(recipe: str, relative: float | None, prior: float, alike: float, halfway: float) -> Row:
        member = Member(recipe, LARGE, None)
        shares = (share(prior), share(0.3), share(halfway), share(alike))
        return Row(member, None, Estimate(70.0, 69.0, 71.0, 2000, "nats", "made up"), relative, relative, *shares)

    others = [row("autoencoder", None, 0.03, 0.8, 0.85), row("noisy_autoencoder", 1e-9, 0.03, 0.8, 0.85)]
    against = Yardstick(np.arange(2), np.arange(2), None, None, share(0.96), share(0.94), share(0.83))
    return dict(answer([*others, row("vae", relative, prior, alike, halfway)], against).points())


def test_sentences_follow_the_numbers_and_their_intervals():
    usual = told()
    assert "less than a millionth of the codes' spread, with it they kept 50 %" in usual["Continuous:"]
    assert "so that random codes decode to digits: 60 % of real digits" in usual["Sampleable:"]
    assert "which takes no KL term" in usual["Semantic:"]
    assert "about as often like real ones as" in usual["Too simple:"]
    assert [part(ratio) for ratio in (1.9, 0.56, 0.028, 2e-4)] == ["190 %", "56 %", "2.8 %", "less than a thousandth"]
    assert "shrank" not in told(relative=1e-9)["Continuous:"]
    assert "here random codes gain little: 4 %" in told(prior=0.04)["Sampleable:"]  # its interval meets the others'
    assert "here the KL term helps" in told(alike=0.9)["Semantic:"]
    assert "less often like real ones than" in told(halfway=0.95)["Too simple:"]
    assert "more often like real ones than" in told(halfway=0.5)["Too simple:"]


def test_nearest_codes_are_those_of_brute_force_without_the_code_itself():
    codes = np.random.default_rng(0).normal(size=(30, 3))
    rows = np.array([3, 17])
    found = nearest(codes, rows, 5)
    for row, near in zip(rows, found, strict=True):
        apart = np.linalg.norm(codes - codes[row], axis=1)
        assert near.tolist() == [i for i in np.argsort(apart) if i != row][:5]


def test_a_neighbour_of_another_class_is_framed_and_no_other():
    images = np.zeros((1, 2, 1, 4, 4))
    sheet = np.asarray(neighbours._sheet(images, np.array([[True, False]])).convert("RGB"))
    orange = (sheet == np.round(255 * np.array(to_rgb(neighbours.OTHER)))).all(-1)
    half = sheet.shape[1] // 2
    assert orange[:, :half].mean() > 0.5
    assert not orange[:, half:].any()


def test_what_is_trained_is_kept(shown, capsys):
    before = (shown / "vae-2" / "model.safetensors").read_bytes()
    assert len(list(train_members(shown, 0.01, 3, torch.device("cpu"), overwrite=False))) == 6
    assert capsys.readouterr().out.count("trained already, kept") == 6
    assert (shown / "vae-2" / "model.safetensors").read_bytes() == before
