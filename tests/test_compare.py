"""`legato compare`: differences are paired, each run is measured as `evaluate` does, and what does not compare is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

import legato
from legato import cli
from legato.errors import Mistake
from legato.measures import evaluate
from legato.measures.comparison import FIGURES, budget, compare, paired_difference, per_example
from legato.measures.likelihood import Scores, score
from made_runs import train

CPU = ["--device", "cpu", "--threads", "1"]


@pytest.fixture(autouse=True)
def _alone():
    torch.set_num_threads(1)


def command(*words: object) -> int:
    return cli.run([*map(str, words), *CPU])


def spaces(runs, *names):
    return [legato.load(runs[name], device="cpu") for name in names]


def test_a_paired_interval_is_that_of_the_differences():
    rng = np.random.default_rng(0)
    shared = 100 * rng.normal(size=400)  # hard and easy images, alike for both
    one, other = shared + rng.normal(size=400), shared + rng.normal(size=400) + 0.5
    found = paired_difference(other, one, "nats", "made up")
    each = other - one
    half = 1.959964 * each.std(ddof=1) / 20
    assert (found.value, found.low, found.high) == pytest.approx((each.mean(), each.mean() - half, each.mean() + half))
    assert found.n == 400
    assert half < 0.2  # unpaired it would be some 14
    with pytest.raises(Mistake, match="same examples"):
        paired_difference(one, other[:-1], "nats", "made up")
    with pytest.raises(Mistake, match="no finite value"):
        paired_difference(one, np.where(shared > 0, np.nan, one), "nats", "made up")


def test_the_elbo_of_an_example_is_minus_distortion_minus_rate_and_nll_minus_log_px():
    scores = Scores(np.array([3.0, 4.0]), np.zeros((2, 1)), np.array([1.0, 0.5]), log_px=np.array([-3.5, -4.2]))
    found = per_example(scores)
    assert list(found) == list(FIGURES)
    np.testing.assert_array_equal(found["elbo"], [-4.0, -4.5])
    np.testing.assert_array_equal(found["nll"], [3.5, 4.2])
    assert list(per_example(Scores(np.ones(2), np.zeros((2, 1))))) == ["distortion"]


def test_a_run_does_not_differ_from_itself(runs):
    found = compare(spaces(runs, "vae", "vae"), k=3)
    for difference in found["runs"][1]["differences"].values():
        assert (difference["value"], difference["low"], difference["high"]) == (0, 0, 0)


def test_each_run_has_the_figures_that_evaluate_gives_and_differences_are_of_those(runs):
    found = compare(spaces(runs, "vae", "beta_vae"), k=7, seed=2)
    for run, name in zip(found["runs"], ("vae", "beta_vae"), strict=True):
        alone = evaluate(spaces(runs, name)[0], k=7, seed=2)
        for figure in FIGURES:
            assert run["figures"][figure]["value"] == pytest.approx(alone[figure]["value"], rel=1e-6)
        assert found["data"] == alone["data"]
    reference, other = found["runs"]
    for figure, difference in other["differences"].items():
        expected = other["figures"][figure]["value"] - reference["figures"][figure]["value"]
        assert difference["value"] == pytest.approx(expected, abs=1e-9)
        assert difference["n"] == found["data"]["n"]
        assert "paired" in difference["method"]
    assert "k = 7" in other["figures"]["nll"]["method"]
    assert found["seeds"].startswith("missing")


def test_every_run_says_of_how_many_examples_its_likelihood_is_not_to_be_trusted(runs):
    found = compare(spaces(runs, "bernoulli", "bernoulli"), k=100, seed=2)
    alone = evaluate(spaces(runs, "bernoulli")[0], k=100, seed=2)
    for run in found["runs"]:
        assert run["untrusted_share"] == alone["untrusted_share"]
        assert run["figures"]["nll"]["method"] == alone["nll"]["method"]
    few = compare(spaces(runs, "vae", "autoencoder"), k=5)
    assert [run["untrusted_share"]["value"] for run in few["runs"]] == [None, None]
    assert "21" in few["runs"][0]["untrusted_share"]["why"]
    assert "point mass" in few["runs"][1]["untrusted_share"]["why"]


def test_draws_as_needed_are_refused_in_one_line(runs, capsys):
    assert command("compare", runs["vae"], runs["beta_vae"], "--k", "auto") == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert "equal k" in told.err


@pytest.mark.parametrize(("k", "says"), [(3, "not known"), (50, "%")])
def test_the_table_has_the_untrusted_share_below_the_nll(k, says, runs, capsys):
    assert command("compare", runs["bernoulli"], runs["bernoulli"], "--k", k) == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(i for i, line in enumerate(lines) if "nll" in line and "│" in line)
    assert "untrusted" in lines[at + 1]
    assert says in lines[at + 1]


def test_the_global_generator_is_left_as_it_was(runs):
    before = torch.random.get_rng_state()
    compare(spaces(runs, "vae", "beta_vae"), k=2)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_autoencoder_has_a_distortion_and_says_why_it_has_no_more(runs):
    found = compare(spaces(runs, "vae", "autoencoder"), k=2)
    differences = found["runs"][1]["differences"]
    assert differences["distortion"]["value"] is not None
    for name in ("elbo", "rate", "nll"):
        assert differences[name]["value"] is None
        assert "point mass" in differences[name]["why"]


def test_the_command_writes_json_and_a_table(runs, tmp_path, capsys):
    words = ["compare", runs["vae"], runs["beta_vae"], runs["autoencoder"], "--k", 3]
    assert command(*words, "--json", tmp_path / "c.json", "--limit", 20) == 0
    told = capsys.readouterr()
    assert told.err == ""
    for shown in ("elbo", "distortion", "rate", "nll", "beta_vae at", "training seeds is missing"):
        assert shown in " ".join(told.out.split())
    found = json.loads((tmp_path / "c.json").read_text())
    assert [run["recipe"] for run in found["runs"]] == ["vae", "beta_vae", "autoencoder"]
    assert found["data"]["n"] == 20
    assert command(*words, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["k"] == 3


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["vae"], "two runs or more"),
        ([], "two runs or more"),
        (["vae", "colour"], "another shape"),
        (["vae", "binary"], "another values"),
        (["vae", "bernoulli"], "see the data differently"),
    ],
)
def test_what_does_not_compare_is_refused_in_one_line(names, says, runs, capsys):
    assert command("compare", *(runs[name] for name in names)) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert says in told.err


def test_a_probability_and_a_density_are_refused(runs, sources, tmp_path, capsys):
    train("binary", sources, tmp_path / "density", likelihood="gaussian", steps=2)
    assert command("compare", runs["binary"], tmp_path / "density") == 2
    assert "one gives a probability, the other a density" in capsys.readouterr().err


def test_other_data_of_the_same_shape_are_refused_unless_data_are_named(runs, tmp_path, capsys, sources):
    images = np.load(sources["grey"])["images"]
    np.savez(tmp_path / "other.npz", images=images[::-1])
    train("vae", {"grey": tmp_path / "other.npz"}, tmp_path / "other", steps=2)
    assert command("compare", runs["vae"], tmp_path / "other") == 2
    assert "trained on other data" in capsys.readouterr().err
    assert command("compare", runs["vae"], tmp_path / "other", "--data", sources["grey"], "--k", 2) == 0


@pytest.mark.parametrize("words", [["--k", 0], ["--limit", 0], ["--split", "nowhere"]])
def test_numbers_and_splits_that_are_none_are_refused(words, runs, capsys):
    assert command("compare", runs["vae"], runs["beta_vae"], *words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_runs_of_other_budgets_are_told_and_those_of_one_are_not(runs, sources, tmp_path, capsys):
    train("vae", sources, tmp_path / "shorter run", steps=10)
    found = compare([runs["vae"], tmp_path / "shorter run"], k=2)
    budgets = [run["budget"] for run in found["runs"]]
    assert budgets == [{"steps": s, "batch_size": 32, "examples": 32 * s} for s in (40, 10)]
    assert "shorter run 10 steps of 32" in found["budgets"]
    assert "--steps" in found["budgets"]
    assert compare([runs["vae"], runs["beta_vae"]], k=2)["budgets"] is None
    assert command("compare", runs["vae"], tmp_path / "shorter run", "--k", 2) == 0
    assert "Budgets: not alike" in capsys.readouterr().out
    assert command("compare", runs["vae"], runs["beta_vae"], "--k", 2) == 0
    assert "Budgets" not in capsys.readouterr().out


def test_a_run_that_was_stopped_has_the_budget_that_it_used(runs, tmp_path):
    shutil.copytree(runs["vae"], tmp_path / "run")
    (tmp_path / "run" / "codes.safetensors").unlink()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines(keepends=True)
    half = [line for line in lines if json.loads(line)["step"] <= 20]
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(half))
    assert budget(legato.load(tmp_path / "run"))["steps"] == json.loads(half[-1])["step"]


def test_a_run_that_is_named_twice_is_measured_once(runs, monkeypatch):
    measured = []

    def counted(model, *rest):
        measured.append(model)
        return score(model, *rest)

    monkeypatch.setattr("legato.measures.comparison.score", counted)
    found = compare([runs["vae"], runs["beta_vae"], runs["vae"], runs["beta_vae"]], k=2)
    assert len(measured) == 2
    assert found["runs"][1] == found["runs"][3]
