"""Laws of groups of latents above each other: temperatures and draws level by level, and the rate of each."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.testing import assert_close

from legato.cli import run
from legato.definition import define
from legato.errors import Mistake
from legato.loading import load
from legato.measures import evaluate
from legato.measures.likelihood import score
from legato.setting import DataSpec
from legato.trace import Given

LEVELLED = ("ladder_vae", "hierarchical_vamp_vae", "hierarchy_vae")
IMAGES = DataSpec((1, 8, 8), "bytes", "discretized-logistic", classes=("a", "b"), count=100)


@pytest.fixture(autouse=True)
def _alone():
    """One thread: the tensors are tiny, and other processes want the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def model(name: str, **chosen):
    """A model whose weights are drawn, so that no level is its start: q, p and what z tells differ at every place."""
    torch.manual_seed(3)
    small = {"width": 6, "depth": 0} | ({} if name == "hierarchy_vae" else {"net": "mlp"})
    made = define(name, IMAGES, latent_dim=4, **{**small, **chosen}).build(IMAGES).model.eval()
    for weight in made.latent.parameters():
        if not weight.any():
            nn.init.normal_(weight, 0, 0.05)
    for weight in made.likelihood.parameters():
        if not weight.any():
            nn.init.normal_(weight, 0, 0.05)
    return made


def chances(latent, code):
    """μ and σ of each level's prior where the levels above are the code's, (n, d) each: an own way down."""
    if not hasattr(latent, "down"):
        top = torch.zeros(len(code), latent.widths[0]), torch.ones(len(code), latent.widths[0])
        every, above = [top], latent.widths[0]
        for p, width in zip(latent.below, latent.widths[1:], strict=True):
            of = p(code[:, :above], Given())
            every.append((of.mean, of.stddev))
            above += width
        return tuple(torch.cat(each, 1) for each in zip(*every, strict=True))
    parts, found = latent.down.split(code), []

    def choose(level, h, mu, sigma):
        found.append((mu.flatten(1), sigma.flatten(1)))
        return parts[level]

    latent.down.run(len(code), choose)
    return tuple(torch.cat(each, 1) for each in zip(*found, strict=True))


def sizes(latent):
    """Numbers of each level."""
    return latent.down.sizes if hasattr(latent, "down") else latent.widths


# ------------------------------------------------------------------------------------------------ temperatures


def test_at_temperature_one_a_ladder_draws_as_its_prior_does_bit_for_bit():
    latent = model("ladder_vae").latent
    rng = np.random.default_rng(5)
    top = torch.from_numpy(latent.top.draw(9, rng, 1.0))
    torch.manual_seed(int(rng.integers(2**63)))
    expected = top
    for below in latent.below:
        expected = torch.cat([expected, below(expected).sample()], -1)
    for said in (1.0, 1, [1, 1], "1,1", np.float32(1)):
        assert np.array_equal(latent.draw_prior(9, np.random.default_rng(5), said), expected.detach().numpy())


def test_at_temperature_one_a_hierarchy_draws_as_its_prior_does_bit_for_bit():
    latent = model("hierarchy_vae").latent
    torch.manual_seed(int(np.random.default_rng(5).integers(2**63)))
    expected = latent.prior().sample((9,)).numpy()
    for said in (1.0, "1", [1] * len(latent.levels)):
        assert np.array_equal(latent.draw_prior(9, np.random.default_rng(5), said), expected)


@pytest.mark.parametrize("name", ["ladder_vae", "hierarchy_vae"])
def test_at_temperature_zero_a_draw_is_the_chain_of_the_prior_s_means(name):
    latent = model(name).latent
    first, second = (torch.from_numpy(latent.draw_prior(3, np.random.default_rng(seed), 0)) for seed in (0, 1))
    assert torch.equal(first, second)
    assert torch.equal(first, first[:1].expand_as(first))
    with torch.no_grad():
        mu, _ = chances(latent, first)
    assert_close(first, mu, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["ladder_vae", "hierarchy_vae"])
def test_each_level_s_deviations_are_its_own_temperature_times_the_prior_s(name):
    latent = model(name).latent
    each = [0.5, 2.0, 0.0, 1.5][: len(latent.levels)]
    code = torch.from_numpy(latent.draw_prior(500, np.random.default_rng(7), each))
    with torch.no_grad():
        mu, sigma = chances(latent, code)
    for away, temperature in zip(((code - mu) / sigma).split(sizes(latent), 1), each, strict=True):
        if temperature == 0:
            assert away.abs().max() < 1e-4
            continue
        total = float(away.double().square().sum()) / temperature**2
        low, high = stats.chi2(away.numel()).ppf([1e-4, 1 - 1e-4])
        assert low < total < high


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_a_flat_code_at_temperature_t_has_deviation_t(temperature):
    latent = model("vae").latent
    code = latent.draw_prior(4000, np.random.default_rng(1), temperature, np.float64)
    low, high = stats.chi2(code.size).ppf([1e-4, 1 - 1e-4])
    assert low < (code**2).sum() / temperature**2 < high


# --------------------------------------------------------------------------------------- levels that are kept


@pytest.mark.parametrize("name", LEVELLED)
def test_levels_that_are_kept_are_those_of_the_code_and_the_rest_is_drawn_from_the_prior_below_them(name):
    latent = model(name).latent
    rng, count = np.random.default_rng(2), len(latent.levels)
    code = torch.from_numpy(latent.draw_prior(400, rng))
    assert torch.equal(latent.continued(code, count, rng, [1.0] * count), code)
    edges = [0, *np.cumsum(sizes(latent))]
    for keep in range(count):
        found = latent.continued(code, keep, rng, [1.0] + [0.5] * (count - 1))  # a VampPrior has but one temperature
        assert torch.equal(found[:, : edges[keep]], code[:, : edges[keep]])
        assert not torch.equal(found[:, edges[keep] :], code[:, edges[keep] :])
        if keep:
            with torch.no_grad():
                mu, sigma = chances(latent, found)
            away = ((found - mu) / sigma / 0.5)[:, edges[keep] :].double()
            low, high = stats.chi2(away.numel()).ppf([1e-4, 1 - 1e-4])
            assert low < float(away.square().sum()) < high


@pytest.mark.parametrize("name", ["ladder_vae", "hierarchy_vae"])
def test_a_code_of_which_all_is_kept_decodes_to_the_reconstruction(name, runs):
    space = load(runs[name], device="cpu")
    x = space.data().dataset.take(np.arange(6))
    code, count = space.encode(x)[0], len(space.model.latent.levels)
    assert np.array_equal(space.decode(space.redrawn(code, count)), space.reconstruct(x))
    some = space.redrawn(code, 1, seed=4)
    assert np.array_equal(some, space.redrawn(code, 1, seed=4))
    assert not np.array_equal(some, space.redrawn(code, 1, seed=5))


# --------------------------------------------------------------------------------------------- rates by level


@pytest.mark.parametrize("name", ["ladder_vae", "hierarchy_vae"])
def test_rates_of_levels_are_their_divergences_and_add_up_to_the_rate(name):
    made, x = model(name), torch.rand(5, 1, 8, 8)
    found = score(made, [x], k=1, seed=6)
    torch.manual_seed(6)
    with torch.no_grad():
        rungs = made(x).rungs
    for level, rung in enumerate(rungs):
        q, p = rung.q, rung.p
        kl = (p.stddev / q.stddev).log() + (q.variance + (q.mean - p.mean) ** 2) / (2 * p.variance) - 0.5
        expected = kl.double().sum(-1).expand(1, 5)[0]
        assert_close(torch.from_numpy(found.levels)[:, level], expected, rtol=1e-5, atol=1e-5)
    assert_close(found.levels.sum(1), found.rate, rtol=1e-6, atol=1e-6)
    assert found.levels.min() > 0


def test_evaluate_says_the_rate_of_each_level_and_of_one_group_why_there_is_none(runs, capsys):
    found = evaluate(load(runs["hierarchy_vae"], device="cpu"), k=3, limit=12)
    each = [one["value"] for one in found["rate_per_level"]]
    assert len(each) == len(found["run"]["levels"])
    assert sum(each) == pytest.approx(found["rate"]["value"], rel=1e-6)
    flat = evaluate(load(runs["vae"], device="cpu"), k=1, limit=4)
    assert flat["rate_per_level"]["why"] == "the latents are one group and have no levels"
    assert "levels" not in flat["run"]
    assert run(["evaluate", str(runs["ladder_vae"]), "--k", "2", "--limit", "9", "--threads", "1"]) == 0
    assert "rate per level, the top first, nats:" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------- refusals


REFUSED = {
    "temperatures of levels that are none": (lambda s: s.sample(2, temperature=[1, 0.5]), "one group of latents and no levels"),
    "levels kept of one group": (lambda s: s.redrawn(np.zeros((1, 3)), 1), "one group of latents, no levels to keep"),
    "a temperature in words": (lambda s: s.sample(2, temperature="hot"), "a number, 0 or more, or one for each level; got hot"),
    "a temperature that is endless": (lambda s: s.sample(2, temperature=math.inf), "0 or more"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_levels_is_refused_of_one_group_in_a_line(name, runs):
    call, words = REFUSED[name]
    with pytest.raises(Mistake, match=words) as told:
        call(load(runs["vae"], device="cpu"))
    assert "\n" not in str(told.value)


def test_other_numbers_of_levels_are_refused_in_a_line(runs):
    space = load(runs["ladder_vae"], device="cpu")
    for call, words in (
        (lambda: space.sample(2, temperature=[1, 1, 1]), "2 levels, and 3 temperatures were given: give one for each"),
        (lambda: space.sample(2, temperature=[1, 0.5], origin="codes"), "all levels at once"),
        (lambda: space.redrawn(np.zeros((1, 3)), 3), "2 levels, of which 0 to 2 may be kept; got 3"),
        (lambda: space.redrawn(np.zeros((1, 7)), 1), r"must have shape \(N, 3\)"),
    ):
        with pytest.raises(Mistake, match=words):
            call()


def test_a_prior_without_a_mean_takes_no_temperature(runs):
    with pytest.raises(Mistake, match="has none: leave it at 1"):
        load(runs["flow_prior_vae"], device="cpu").sample(2, temperature=0.5)


def test_commands_take_temperatures_and_levels_to_keep(runs, tmp_path, capsys):
    path = str(runs["ladder_vae"])
    for said in (["sample", path, "--temperature", "0.5,1", "--n", "4"], ["reconstruct", path, "--keep", "1", "--n", "3"]):
        out = tmp_path / f"{said[0]}.png"
        assert run([*said, "--out", str(out), "--threads", "1"]) == 0
        assert out.stat().st_size > 100
    for said, words in (
        (["sample", path, "--temperature", "0.5,hot"], "--temperature. Expected a number, or one for each level"),
        (["reconstruct", path, "--temperature", "0.5"], "say with --keep how many are not"),
        (["reconstruct", path, "--keep", "5"], "of which 0 to 2 may be kept"),
    ):
        assert run([*said, "--threads", "1"]) == 2
        assert words in capsys.readouterr().err
