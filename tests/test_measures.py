"""Measures: intervals that cover what they should, and a scorecard whose figures are each other's sums."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import legato
from legato.errors import Mistake
from legato.latent_space import LatentSpace
from legato.measures import Estimate, absent, bootstrap, evaluate, mean_over
from legato.measures.likelihood import Scores, score
from legato.measures.rate import THRESHOLDS, active_units, kl_per_dimension
from legato.measures.scorecard import BATCH
from legato.measures.tails import trust
from legato.model import LatentVariableModel
from legato.trace import NOTHING
from made_runs import RUNS

SINGLE = ("elbo", "rate", "distortion", "nll", "bits_per_dim", "ess", "untrusted_share")
KEYS = {*SINGLE, "trust", "active_units", "kl_per_dimension", "rate_per_level", "codebook_perplexity", "data", "run"}
FIELDS = {"value", "low", "high", "n", "unit", "method"}
POINTS = ("autoencoder", "pulled_autoencoder", "wae_mmd", "swae", "wae_gan", "rae_l2", "rae_gp", "rae_sn", "topk_autoencoder")
LIKENESSES = ("vae_gan", "log_cosh_vae", "ssim_vae")  # trained for another fidelity than log p(x|z)
ONE_SCALE = ("sigma_vae", "table", *LIKENESSES, "tokenizer_kl", "tokenizer_vq", "tokenizer_fsq")  # a Gaussian's σ, for all
BELOW = ("ladder_vae", "hierarchy_vae", "hierarchical_vamp_vae")  # the lower rung's rate follows what was drawn above it
WITH_RATE = [name for name in RUNS if name not in (*POINTS, *LIKENESSES)]


@pytest.fixture(autouse=True)
def _alone():
    """One thread: the tensors are tiny, and other processes want the cores."""
    torch.set_num_threads(1)


def load(path) -> LatentSpace:
    return legato.load(path, device="cpu")


def prepared(space: LatentSpace, n: int | None = None) -> torch.Tensor:
    """The first n test rows as every evaluation sees them."""
    data = space.data()
    return torch.from_numpy(data.rows(data.split("test").all()[:n]))


def scored(space: LatentSpace, x: torch.Tensor, k: int, **how: Any) -> Scores:
    return score(space.model, x.split(BATCH), k, **how)


# ------------------------------------------------------------------------------------------------ estimates


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
@settings(deadline=None, derandomize=True)
def test_a_mean_has_the_normal_interval_of_its_values(values):
    found = mean_over(np.array(values), "nats", "a method")
    n, mean = len(values), math.fsum(values) / len(values)
    half = 1.959964 * math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
    scale = max(1.0, max(map(abs, values)))
    assert found.value == pytest.approx(mean, abs=1e-9 * scale)
    assert found.high - found.value == pytest.approx(half, rel=1e-6, abs=1e-9 * scale)
    assert found.value - found.low == pytest.approx(half, rel=1e-6, abs=1e-9 * scale)
    assert (found.n, found.unit) == (n, "nats")
    assert "a method" in found.method
    assert str(n) in found.method


def test_an_interval_covers_the_truth_in_95_of_100_repetitions():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        found = mean_over(rng.normal(3, 2, 200), "nats", "m")
        hits += found.low <= 3 <= found.high
    assert abs(hits / 2000 - 0.95) < 5 * math.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize("factor", [4, 25])
def test_an_interval_shrinks_with_the_root_of_n(factor):
    rng = np.random.default_rng(1)
    small, large = (mean_over(rng.normal(size=n), "nats", "m") for n in (4000, 4000 * factor))
    assert (small.high - small.low) / (large.high - large.low) == pytest.approx(math.sqrt(factor), rel=0.05)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(Mistake, match="1 of 3 examples have no finite value"):
        mean_over(np.array([1.0, value, 2.0]), "nats", "m")


def test_one_example_has_a_value_and_no_interval():
    found = mean_over(np.array([4.5]), "nats", "m")
    assert (found.value, found.low, found.high, found.n) == (4.5, None, None, 1)
    assert "no interval" in found.method
    json.dumps(found.to_json(), allow_nan=False)


@given(st.floats(-10, 10).filter(lambda f: abs(f) > 1e-3))
@settings(deadline=None, derandomize=True)
def test_another_unit_keeps_low_below_high(factor):
    found = Estimate(2.0, 1.0, 4.0, 9, "nats", "m").scaled(factor, "bits", "m2")
    assert found.value == pytest.approx(2 * factor)
    assert [found.low, found.high] == pytest.approx(sorted([factor, 4 * factor]))
    assert (found.n, found.unit, found.method) == (9, "bits", "m2")


def test_what_does_not_apply_is_null_with_a_why_in_any_unit():
    for found in (absent("no density", "nats"), absent("no density").scaled(2, "nats", "m")):
        assert found.to_json()["value"] is None
        assert found.to_json()["why"] == "no density"
        assert "no density" in str(found)
    assert "why" not in mean_over(np.array([1.0, 2.0]), "nats", "m").to_json()


def test_the_bootstrap_of_a_mean_agrees_with_the_normal_interval():
    values = np.random.default_rng(2).normal(5, 3, 900)
    normal = mean_over(values, "nats", "m")
    found = bootstrap(lambda weights: weights @ values, values.mean(), 900, "nats", "m", draws=4000)
    assert found.low == pytest.approx(normal.low, abs=0.02)
    assert found.high == pytest.approx(normal.high, abs=0.02)


def test_the_bootstraps_weights_are_of_a_resample():
    def looked_at(weights: np.ndarray) -> np.ndarray:
        assert weights.shape == (400, 30)
        assert np.allclose(weights.sum(1), 1)
        assert np.allclose(weights * 30, np.rint(weights * 30))
        assert abs((weights == 0).mean() - (29 / 30) ** 30) < 0.02  # a resample leaves a third of the rows out
        return weights[:, 0]

    bootstrap(looked_at, 0.0, 30, "nats", "m")


# ------------------------------------------------------------------------------------------------ active units


def test_active_units_are_the_dimensions_whose_means_vary_by_more_than_the_threshold():
    rng = np.random.default_rng(0)
    mu = rng.normal(size=(4000, 4)) * np.sqrt([1.0, 0.05, 0.005, 1e-6]) + [3, -100, 0, 7]
    assert [active_units(mu, threshold).value for threshold in THRESHOLDS] == [3, 2, 1]
    for threshold in THRESHOLDS:
        by_hand = sum(float(np.mean((column - column.mean()) ** 2)) > threshold for column in mu.T)
        found = active_units(mu, threshold)
        assert found.value == by_hand == found.low == found.high
        assert found.n == 4000


def test_a_dimension_at_the_threshold_is_uncertain():
    mu = np.random.default_rng(0).normal(size=(300, 1)) * 0.1
    found = active_units(mu, float(mu.var()))
    assert (found.low, found.high) == (0, 1)


def test_the_interval_of_active_units_counts_those_of_resampled_images(monkeypatch):
    mu = np.random.default_rng(0).normal(size=(9, 5)) * np.linspace(0.2, 1.5, 5) + 3
    statistics = []
    monkeypatch.setattr("legato.measures.rate.bootstrap", lambda statistic, *_: statistics.append(statistic))
    active_units(mu, 0.5)
    resampled = np.random.default_rng(1).integers(0, 9, (200, 9))
    weights = np.stack([np.bincount(rows, minlength=9) / 9 for rows in resampled])
    by_hand = [sum(mu[rows].var(0) > 0.5) for rows in resampled]
    assert list(statistics[0](weights)) == by_hand
    assert len(set(by_hand)) > 2


def test_kl_per_dimension_is_each_columns_mean():
    kl = np.random.default_rng(0).random((50, 3))
    found = kl_per_dimension(kl)
    assert [one.value for one in found] == pytest.approx(list(kl.mean(0)))
    assert kl_per_dimension(None).why is not None


# ------------------------------------------------------------------------------------------------ importance weights


class Fixed(LatentVariableModel):
    """A model whose log-weights are on a tape (k, B)."""

    def __init__(self, space: LatentSpace, tape: torch.Tensor) -> None:
        super().__init__(space.model.latent, space.model.likelihood)
        self.tape, self.calls = tape, []

    def trace(self, x, encoded, draws, given=NOTHING):
        made = super().trace(x, encoded, draws, given)
        made.__dict__["log_w"] = self.tape[sum(self.calls) :][:draws, : len(x)]
        self.calls.append(draws)
        return made


@pytest.mark.parametrize(
    ("weights", "ess"), [([0.25] * 12, 12.0), ([7.0] + [0.0] * 11, 1.0), ([1.0, 1.0, 2.0, 0.0], 16 / 6), ([3.0], 1.0)]
)
def test_effective_sample_size_is_k_for_equal_weights_and_1_for_one_that_dominates(weights, ess, runs):
    space, k = load(runs["binary"]), len(weights)
    x = prepared(space, 2)
    tape = (torch.tensor(weights, dtype=torch.double) + 1e-300).log()[:, None].expand(k, 2) - 700  # far below what exp can hold
    found = score(Fixed(space, tape), [x], k, chunk=6)
    assert found.ess == pytest.approx([ess, ess])
    assert found.log_px == pytest.approx([math.log(sum(weights) / k) - 700] * 2)


@pytest.mark.parametrize(("k", "chunk"), [(1, 4096), (7, 1), (30, 64), (30, 4096), (5, 100)])
def test_exactly_k_draws_are_used_and_the_encoder_runs_once_per_batch(k, chunk, runs, monkeypatch):
    space, calls, draws = load(runs["binary"]), [], []
    x = prepared(space)
    encode, trace = type(space.model.latent).encode, LatentVariableModel.trace
    monkeypatch.setattr(
        type(space.model.latent), "encode", lambda self, x, given=NOTHING: calls.append(len(x)) or encode(self, x, given)
    )

    def counted(self, x, encoded, n, given=NOTHING):
        draws.append((n, n * len(x)))
        return trace(self, x, encoded, n, given)

    monkeypatch.setattr(LatentVariableModel, "trace", counted)
    score(space.model, x.split(10), k, chunk=chunk)
    assert calls == [len(batch) for batch in x.split(10)]
    assert sum(n for n, _ in draws) == k * len(calls)
    assert max(size for _, size in draws) <= max(chunk, 10)


def test_the_size_of_a_chunk_does_not_change_an_estimate_from_the_same_draws(runs, monkeypatch):
    """The draws come from a tape, since each chunk asks the generator anew."""
    space, k = load(runs["bernoulli"]), 24
    x = prepared(space)
    noise = torch.randn(k, len(x), 3, generator=torch.Generator().manual_seed(0))
    draw, found = type(space.model.latent).draw, []
    for chunk in (len(x), 5 * len(x), 4096):
        used = [0]

        def taped(self, encoded, draws, given, used=used):
            z, (rung,) = draw(self, encoded, draws, given)
            z = encoded.mean + encoded.stddev * noise[used[0] : used[0] + draws]
            used[0] += draws
            return z, (type(rung)(encoded, rung.p, z),)

        monkeypatch.setattr(type(space.model.latent), "draw", taped)
        found.append(score(space.model, [x], k, chunk=chunk))
    for other in found[1:]:
        for name in ("log_px", "distortion", "rate", "ess"):
            assert np.allclose(getattr(other, name), getattr(found[0], name), rtol=1e-5)


@pytest.mark.parametrize("name", ["vae", "bernoulli", "table"])
def test_the_chunk_moves_an_estimate_by_less_than_its_noise(name, runs):
    space = load(runs[name])
    x = prepared(space)
    whole, parts = scored(space, x, 200), scored(space, x, 200, chunk=300)
    spread = np.std([scored(space, x, 200, seed=s).log_px.mean() for s in range(1, 6)])
    assert whole.log_px.mean() == pytest.approx(parts.log_px.mean(), abs=8 * spread + 1e-4)
    assert np.allclose(whole.rate, parts.rate)


def test_scoring_is_deterministic_under_its_seed_and_leaves_the_generator_alone(runs):
    space = load(runs["vae"])
    x = prepared(space)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = scored(space, x, 4, seed=9)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert np.array_equal(scored(space, x, 4, seed=9).log_px, first.log_px)
    assert not np.array_equal(scored(space, x, 4, seed=10).log_px, first.log_px)


def test_a_score_of_the_measures_is_the_score_of_the_latent_space(runs):
    space = load(runs["bernoulli"])
    data = space.data()
    rows = data.split("test").all()
    found = scored(space, prepared(space), 6, seed=2)
    assert np.allclose(space.score(data.dataset.rows[rows], rows, k=6, seed=2), found.log_px, rtol=1e-5)
    assert_close(
        torch.tensor(space.encode(data.dataset.rows[rows], rows)[0]).double(), torch.tensor(found.mu), rtol=1e-4, atol=1e-5
    )


# ------------------------------------------------------------------------------------------------ the scorecard


def figures(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Every estimate of a scorecard."""
    single = [found[name] for name in SINGLE]
    kl = found["kl_per_dimension"]
    return [*single, *found["active_units"].values(), *(kl if isinstance(kl, list) else [kl])]


@pytest.mark.parametrize("name", RUNS)
def test_a_scorecard_has_its_keys_and_every_figure_an_interval_or_a_why(name, runs):
    space = load(runs[name])
    found = evaluate(space, k=5)
    assert found.keys() == KEYS
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["active_units"].keys() == {"0.001", "0.01", "0.1"}
    for one in figures(found):
        assert one.keys() == (FIELDS if one["value"] is not None else FIELDS | {"why"})
        if one["value"] is None:
            assert one["low"] is None
            assert one["high"] is None
            assert len(one["why"]) > 10
        else:
            assert one["low"] <= one["value"] <= one["high"]
            assert one["n"] == found["data"]["n"] == 31
            assert one["unit"]
            assert one["method"]
    assert found["run"]["recipe"] == space.definition.name
    assert (found["run"]["k"], found["run"]["seed"]) == (5, 0)
    assert found["data"]["split"] == "test"
    assert (found["data"]["checksum"] is not None) == (name == "bernoulli")
    assert (found["run"]["likelihood_scale"] is not None) == (name in ONE_SCALE)


@pytest.mark.parametrize("name", WITH_RATE)
def test_the_elbo_is_minus_rate_and_distortion_and_the_nll_is_below_it(name, runs):
    space = load(runs[name])
    found = evaluate(space, k=50)
    elbo, rate, distortion, nll = (found[key]["value"] for key in ("elbo", "rate", "distortion", "nll"))
    assert elbo == pytest.approx(-(rate + distortion), rel=1e-9)
    # one code has all of q's weight
    assert nll < -elbo or (space.model.latent.has_choice and nll == pytest.approx(-elbo, rel=1e-9))
    if isinstance(found["kl_per_dimension"], list):  # else the rate has no closed form
        assert sum(one["value"] for one in found["kl_per_dimension"]) == pytest.approx(rate, rel=1e-6)
    assert rate > 0
    assert 1 <= found["ess"]["value"] <= 50
    assert "k = 50" in found["nll"]["method"]


def test_at_one_draw_the_bound_is_the_sampled_elbo(runs):
    """log w = log p(x|z) + log p(z) − log q(z|x): with the rate in place of its draws it is the ELBO, equal in expectation."""
    space = load(runs["bernoulli"])
    x = prepared(space)
    gaps = np.concatenate([(f := scored(space, x, 1, seed=s)).log_px + f.distortion + f.rate for s in range(40)])
    assert abs(gaps.mean()) < 5 * gaps.std() / math.sqrt(len(gaps))
    assert gaps.std() > 0.1
    assert scored(space, x, 1).ess == pytest.approx(np.ones(len(x)))


def test_the_nll_falls_with_k(runs):
    space = load(runs["bernoulli"])
    values = [evaluate(space, k=k, split="all")["nll"]["value"] for k in (1, 10, 100)]
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize(("name", "dimensions"), [("vae", 64), ("colour", 192)])
def test_bits_per_dimension_are_the_nll_in_bits_over_the_dimensions(name, dimensions, runs):
    found = evaluate(load(runs[name]), k=5)
    factor = 1 / (dimensions * math.log(2))
    for part in ("value", "low", "high"):
        assert found["bits_per_dim"][part] == pytest.approx(found["nll"][part] * factor)
    assert 2 < found["bits_per_dim"]["value"] < 9
    assert found["bits_per_dim"]["unit"] == "bits per dimension"


@pytest.mark.parametrize(
    ("name", "word"),
    [("bernoulli", "binary"), ("binary", "binary"), ("sigma_vae", "density"), ("table", "density"), ("autoencoder", "point")],
)
def test_what_has_no_bits_says_why(name, word, runs):
    assert word in evaluate(load(runs[name]), k=2)["bits_per_dim"]["why"]


def test_an_autoencoder_has_a_distortion_and_nothing_that_needs_a_density(runs):
    space = load(runs["autoencoder"])
    found = evaluate(space, k=5)
    data = space.data()
    rows = data.split("test").all()
    assert found["distortion"]["value"] == pytest.approx(space.distortion(data.dataset.rows[rows], rows).mean(), rel=1e-6)
    for one in figures(found):
        assert one["value"] is None or one is found["distortion"]


def test_the_distortion_is_the_mean_over_the_draws_and_the_rate_the_formulas(runs):
    space, k = load(runs["bernoulli"]), 40
    x = prepared(space)
    found = scored(space, x, k)
    with torch.no_grad():
        mu, log_sigma = space.model.latent.q.net(x).reshape(len(x), 2, 3).double().unbind(1)
        rate = (0.5 * (mu**2 + (2 * log_sigma).exp() - 1) - log_sigma).sum(1)
        z = mu + log_sigma.exp() * torch.randn(4000, len(x), 3, generator=torch.Generator().manual_seed(0)).double()
        logits = space.model.likelihood.net(z.float().reshape(-1, 3)).reshape(4000, *x.shape)
        log_px = -torch.nn.functional.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
    assert np.allclose(found.rate, rate, rtol=1e-4)
    per_draw = log_px.flatten(2).sum(2)
    error = (per_draw.std(0) / math.sqrt(k)).numpy()
    assert (np.abs(found.distortion + per_draw.mean(0).numpy()) < 5 * error).all()
    exact = (torch.logsumexp(per_draw + _ratio(z, mu, log_sigma), 0) - math.log(4000)).numpy()
    assert np.abs(scored(space, x, 4000).log_px - exact).max() < 0.5
    assert abs((scored(space, x, 4000).log_px - exact).mean()) < 0.05


def _ratio(z: torch.Tensor, mu: torch.Tensor, log_sigma: torch.Tensor) -> torch.Tensor:
    """log p(z) − log q(z|x), (draws, B)."""
    return (-0.5 * z**2 + 0.5 * ((z - mu) / log_sigma.exp()) ** 2 + log_sigma).sum(2)


@pytest.mark.parametrize("k", [20, 21, 100])
def test_a_likelihood_says_of_how_many_examples_it_is_not_to_be_trusted(k, runs):
    space = load(runs["bernoulli"])
    found, k_hat = evaluate(space, k=k), scored(space, prepared(space), k).k_hat
    share = found["untrusted_share"]
    if k < 21:
        assert share["value"] is None
        assert "21" in share["why"]
        assert "not known" in found["trust"]
        assert "not known" in found["nll"]["method"]
    else:
        assert share["value"] == pytest.approx((k_hat > 0.7).mean())
        assert share["n"] == 31
        assert found["trust"] == trust(k_hat)
        assert f"above 0.7 for {share['value']:.1%}" in found["nll"]["method"]


@pytest.mark.parametrize("name", RUNS)
def test_with_k_auto_every_example_is_counted_once_in_the_method_and_what_is_exact_is_the_same(name, runs):
    space = load(runs[name])
    found, plain = (evaluate(space, k=k, limit=15, seed=1) for k in ("auto", 50))
    assert found == evaluate(space, k="auto", limit=15, seed=1)
    assert found.keys() == KEYS
    assert found["run"]["k"] == "auto"
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    if name not in WITH_RATE:
        assert found["nll"]["value"] is None
        assert name in LIKENESSES or found["distortion"] == plain["distortion"]
        assert name in POINTS or "mean of 250 draws" in found["distortion"]["method"]
        return
    exact = isinstance(plain["kl_per_dimension"], list) and name not in BELOW
    assert found["rate"]["value"] == pytest.approx(plain["rate"]["value"], rel=1e-5 if exact else 0.2)
    assert [one["value"] for one in found["active_units"].values()] == [one["value"] for one in plain["active_units"].values()]
    method = found["nll"]["method"]
    counts = [int(n) for n in re.findall(r"(\d+) (?:examples with k|by annealed)", method)]
    assert sum(counts) == found["nll"]["n"] == 15
    assert found["nll"]["value"] < plain["nll"]["high"]
    assert found["ess"]["value"] is None


@pytest.mark.parametrize("split", ["train", "validation", "test", "all"])
def test_a_split_is_the_one_asked_for(split, runs):
    found = evaluate(load(runs["binary"]), k=1, split=split)
    sizes = {"train": 248, "validation": 31, "test": 31, "all": 310}
    assert found["data"]["n"] == found["elbo"]["n"] == sizes[split]


def test_a_limit_takes_a_sample_of_the_examples_and_changes_nothing_of_them(runs):
    space = load(runs["bernoulli"])
    few = evaluate(space, k=3, limit=7)
    assert few["data"]["n"] == few["nll"]["n"] == 7
    data = space.data()
    taken = np.sort(data.split("test").draw(7, "evaluated"))
    assert set(taken) != set(data.split("test").all()[:7])
    x = torch.from_numpy(data.rows(taken))
    assert few["rate"]["value"] == pytest.approx(scored(space, x, 1).rate.mean(), rel=1e-6)
    assert few["data"]["checksum"] != evaluate(space, k=3)["data"]["checksum"]
    assert evaluate(space, k=3, limit=1)["nll"]["low"] is None


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"k": 0}, ["`k`", "0"]),
        ({"k": "many"}, ["`k`", "auto", "many"]),
        ({"limit": 0}, ["`limit`", "0"]),
        ({"limit": -3}, ["`limit`", "-3"]),
        ({"split": "tset"}, ["did you mean `test`"]),
    ],
)
def test_what_cannot_be_evaluated_is_refused(how, words, runs):
    with pytest.raises(Mistake) as caught:
        evaluate(load(runs["vae"]), **how)
    assert all(word in str(caught.value) for word in words)


def test_the_figures_depend_on_the_seed_by_less_than_their_intervals(runs):
    space = load(runs["vae"])
    first, second = (evaluate(space, k=20, seed=seed) for seed in (0, 1))
    assert first == evaluate(space, k=20, seed=0)
    for name in ("elbo", "nll", "distortion"):
        assert first[name]["value"] != second[name]["value"]
        assert first[name]["low"] < second[name]["value"] < first[name]["high"]
    assert first["rate"]["value"] == second["rate"]["value"]


def test_a_diverged_run_is_told_and_not_averaged(runs):
    space = load(runs["binary"])
    with torch.no_grad():
        next(space.model.likelihood.parameters()).fill_(math.nan)
    with pytest.raises(Mistake, match="31 of 31 examples have no finite value"):
        evaluate(space, k=2)
