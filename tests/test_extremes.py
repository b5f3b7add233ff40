"""Where numbers end: one example, rows far out, scales beyond float32, weights that are none; and a name for every run."""

from __future__ import annotations

import copy
import csv
import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import legato
from legato.cli import run
from legato.data.preparation import Preparation
from legato.distributions.pixels import LEVELS, DiscretizedLogistic
from legato.errors import Mistake
from legato.families import Discretized
from legato.latent_space import LatentSpace
from legato.measures.estimate import Estimate
from legato.objectives import Rate, anneal
from legato.survey.subject import untrained
from legato.training.setup import claimed
from made_runs import SMALL, blobs


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LatentSpace:
    folder, rng = tmp_path_factory.mktemp("table"), np.random.default_rng(0)
    np.save(folder / "x.npy", rng.normal(size=(120, 2)) @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(120, 4)))
    return legato.train("vae", str(folder / "x.npy"), folder / "r", **{**SMALL, "net": "residual", "steps": 30})


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> LatentSpace:
    folder = tmp_path_factory.mktemp("grey")
    np.save(folder / "x.npy", blobs(12)[0])
    return legato.train("vae", str(folder / "x.npy"), folder / "r", **{**SMALL, "steps": 3})


def test_one_example_has_every_figure_and_no_interval(
    grey: LatentSpace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(grey.data().split("test")) == 1
    assert run(["evaluate", str(grey.run.path), "--k", "5", "--threads", "1", "--json", str(tmp_path / "e.json")]) == 0
    found = json.loads((tmp_path / "e.json").read_text())
    bits, nll = found["bits_per_dim"], found["nll"]
    assert bits["value"] == pytest.approx(nll["value"] / (64 * math.log(2)))
    assert (bits["low"], nll["low"]) == (None, None)
    assert "bits per dim" in capsys.readouterr().out
    assert run(["interpolate", str(grey.run.path), "--threads", "1"]) == 2
    assert "the split `test` has 1 row" in capsys.readouterr().err
    assert Estimate(2.0, None, None, 1, "nats", "m").scaled(3.0, "bits", "m") == Estimate(6.0, None, None, 1, "bits", "m")


FAR = [1e3, 1e10, 1e18, 1e20, 9.96921e36, 1e300]


def test_a_row_far_out_is_minus_infinity_and_named(
    table: LatentSpace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.repeat(np.load(str(table.data().dataset.source))[:1], 40, 0)
    x[:6, 2] = FAR
    np.save(tmp_path / "far.npy", x)
    common = [str(table.run.path), "--data", str(tmp_path / "far.npy"), "--split", "all", "--threads", "1"]
    assert run(["score", *common, "--k", "25", "--out", str(tmp_path / "s.csv")]) == 0
    lines = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    scores = np.array([float(line["log_px"]) for line in lines])
    k_hat = np.array([float(line["k_hat"]) for line in lines])
    assert not np.isnan(scores).any()
    assert not np.isnan(k_hat).any()  # one row's weights are nothing to the others in its batch
    assert (scores[3:6] == -np.inf).all()
    assert (np.diff(scores[:4]) < 0).all()
    assert np.isfinite(scores[6:]).all()
    assert (table.score(x, k=5)[3:6] == -np.inf).all()
    capsys.readouterr()
    for words in (["evaluate", *common, "--k", "5"], ["encode", *common, "--out", str(tmp_path / "c.npz")]):
        assert run(words) == 2
        told = capsys.readouterr().err
        assert "standard deviations from the training data" in told
        assert "diverged" not in told
    assert not (tmp_path / "c.npz").exists()
    with pytest.raises(Mistake, match="row 3 lies"):
        table.encode(x)


def test_a_space_is_pickled_by_its_runs_path(table: LatentSpace) -> None:
    content = pickle.dumps(table)
    assert len(content) < 1000
    x = np.load(str(table.data().dataset.source))
    for again in (pickle.loads(content), copy.copy(table)):
        assert np.array_equal(again.encode(x)[0], table.encode(x)[0])
    with pytest.raises(Mistake, match="no path"):
        pickle.dumps(untrained(table, 0).space)


def test_what_is_no_code_is_refused_with_the_way_to_one(grey: LatentSpace) -> None:
    images = blobs(2)[0]
    for use in (lambda: grey.interpolate(images), lambda: grey.traverse(images[0]), lambda: grey.traverse(np.zeros(7))):
        with pytest.raises(Mistake, match=r"encode\(x\)\[0\]"):
            use()
    assert grey.interpolate(grey.encode(images)[0], steps=3).shape == (3, 3)
    assert grey.traverse(grey.encode(images)[0][0], dims=[1], steps=3)[1].shape == (1, 3, 3)


@pytest.mark.parametrize("log_s", [-1000.0, -104.0, -89.0, -88.0, -20.0, 0.0, 80.0, 88.0, 104.0, 1000.0])
def test_the_discretised_logistic_sums_to_one_at_any_scale(log_s: float) -> None:
    grid = torch.arange(LEVELS) / (LEVELS - 1)
    # Between two levels, so that no level lies on the edge of a bin.
    scale = torch.full((LEVELS,), log_s, requires_grad=True)
    found = DiscretizedLogistic(torch.full((LEVELS,), 100.2 / 255), scale).log_prob(grid)
    assert torch.isfinite(found).all()
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-5)
    found[100].backward()
    assert torch.isfinite(scale.grad).all()
    if log_s > 80:  # log b − log s − 2 log 2: the middle of a logistic that is all but flat
        assert found[100].item() == pytest.approx(-math.log(255) - log_s - 2 * math.log(2), rel=1e-5)
    drawn = DiscretizedLogistic(torch.full((9,), 0.5), torch.full((9,), log_s)).sample()
    assert ((drawn >= 0) & (drawn <= 1)).all()


@pytest.mark.parametrize("log_s", [-3e4, -90.0, 90.0, 3e4])
def test_a_step_leads_back_from_any_scale(log_s: float) -> None:
    theta = torch.stack([torch.zeros(64 * 64), torch.full((64 * 64,), log_s)])[None].requires_grad_()
    loss = -Discretized()(theta, (64 * 64,)).log_prob(torch.rand(1, 64 * 64).mul(255).round() / 255)
    loss.sum().backward()
    assert theta.grad is not None
    assert torch.isfinite(loss).all()
    assert torch.isfinite(torch.linalg.vector_norm(theta.grad))
    assert theta.grad.abs().max() > 0


@pytest.mark.parametrize("beta", ["inf", "nan", "-inf"])
def test_a_weight_that_is_no_number_leaves_no_run(beta: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "b.npy", blobs(20)[0])
    words = ["train", "beta_vae", f"--beta={beta}", "--data", str(tmp_path / "b.npy"), "--out", str(tmp_path / "h")]
    assert run([*words, "--steps", "2"]) == 2
    assert "`beta` of `beta_vae` is" in capsys.readouterr().err
    assert not (tmp_path / "h").exists()
    for make in (lambda: float(beta) * Rate(), lambda: anneal(0, float(beta), 0.5)):
        with pytest.raises(Mistake, match="finite number"):
            make()


def test_runs_that_start_together_take_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def start(_: int) -> Any:
        with claimed(None, "vae") as taken:
            (taken.path / "recipe.json").write_text("{}")
            return taken.path

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(start, range(24)))
    assert sorted(names) == sorted(Path("runs", f"vae-{n}") for n in range(1, 25))


def test_a_run_that_is_refused_leaves_no_name_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Mistake):
        legato.train("vae", "no-such-file.npy", steps=2)
    assert not Path("runs").exists()
    Path("runs").write_text("a file")
    with pytest.raises(Mistake, match="runs"):
        legato.train("vae", "no-such-file.npy", steps=2)


def test_values_beyond_float32_become_infinite_quietly() -> None:
    prepared = Preparation("reals", shift=(0.0,), scale=(1.0,)).evaluation(np.array([[1e300]]), np.array([0]))
    assert prepared.tolist() == [[math.inf]]
