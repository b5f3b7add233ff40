"""Alarms of a training: each sounds on a planted case, none on a healthy one, once for a run, in one line."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import legato
from legato.alarm import Alarm
from legato.codebooks import FiniteScalars, ResidualQuantised, VectorQuantised
from legato.errors import Stopped
from legato.families import MIN_SCALE, Homoscedastic
from legato.likelihoods import Heavy
from legato.measures.likelihood import effective_sample_size
from legato.measures.tails import dominated
from legato.player import Player
from legato.posteriors import Sparse
from legato.recipe import RECIPES
from legato.training.alarms import EARLIEST, LINES, Alarms, alone, collapsed, dead, won
from legato.training.validation import effective_draws
from stopped_runs import assert_same, resume, stopping_after

LOG_2 = math.log(2)


def names(alarms) -> list[str]:
    """What sounds; every one says so in one line, and what to do."""
    found = list(alarms)
    assert all(isinstance(one, Alarm) and "\n" not in one.says and len(one.says) < 300 for one in found)
    return [one.name for one in found]


def validation(kl=None, std_mu=(1.0,) * 4, rate=8.0, **more):
    return {"distortion": 80.0, "rate": rate, "elbo": -88.0, "std_mu": list(std_mu), "sigma": None, "kl": kl, **more}


# ---------------------------------------------------------------------------------------------------- what a line tells


@pytest.mark.parametrize(
    ("kl", "sounds"),
    [
        ([2.0, 1.0, 3.0, 0.5], []),
        ([2.0, 1.0, 0.009, 0.0], []),  # half of them, not most
        ([2.0, 0.009, 0.009, 0.0], ["unused latents"]),
        ([0.0099] * 4, ["collapsed"]),
    ],
)
def test_dimensions_below_a_hundredth_of_a_nat_are_told_where_most_are(kl, sounds):
    assert names(collapsed(validation(kl), 4, standard=True)) == sounds


def test_without_a_kl_per_dimension_the_variance_of_means_tells_and_without_a_standard_prior_the_rate_of_all():
    """Var μ = 0.01 is Std μ = 0.1; on a sphere of many dimensions every coordinate varies less than that."""
    assert names(collapsed(validation(None, (0.11, 0.11, 0.09, 0.09)), 4, standard=True)) == []
    assert names(collapsed(validation(None, (0.11, 0.09, 0.09, 0.09)), 4, standard=True)) == ["unused latents"]
    assert names(collapsed(validation(None, (0.01,) * 4, rate=0.041), 4, standard=False)) == []
    assert names(collapsed(validation(None, (0.01,) * 4, rate=0.039), 4, standard=False)) == ["collapsed"]
    assert names(collapsed(validation(None, (0.01,) * 4, rate=None), 4, standard=False)) == []


def usage(unused, tokens=16_000, size=256):
    return validation([5.0] * 4, usage={"perplexity": 3.0, "unused": unused, "size": size, "tokens": tokens})


def test_dead_codes_are_told_above_what_chance_leaves():
    """Even use of K values by n tokens leaves a share (1 − 1/K)ⁿ, about e^{−n/K}, unchosen."""
    assert names(dead(usage(0.6))) == ["dead codes"]
    assert names(dead(usage(0.4))) == []
    few = 128  # half as many tokens as values: 0.61 are left by chance
    assert np.isclose((1 - 1 / 256) ** few, math.exp(-few / 256), atol=2e-3)
    assert names(dead(usage(math.exp(-0.5) + 0.1, tokens=few))) == []
    assert names(dead(validation([1.0]))) == []


def test_one_weight_of_many_is_told():
    assert names(alone(validation(effective_draws=1.2), 50)) == ["one weight is all"]
    assert names(alone(validation(effective_draws=1.3), 50)) == []
    assert names(alone(validation(), 1)) == []


# ---------------------------------------------------------------------------------------------------- what a family tells


def test_a_scale_at_its_floor_is_told_of_a_likelihood_that_learns_or_solves_it_alone():
    for family in (Homoscedastic("learned", (3,)), Homoscedastic("solved", (3,)), Heavy((3,))):
        assert names(family.alarms()) == []
        with torch.no_grad():
            family.log_scale[1] = math.log(MIN_SCALE / 10)
        assert names(family.alarms()) == ["scale at its floor"]
        assert "1 of 3 columns (number 2)" in family.alarms()[0].says
    image = Homoscedastic("solved")
    image.solve(torch.tensor(0.0))  # every image is given back as it was
    assert names(image.alarms()) == ["scale at its floor"]
    assert names(Homoscedastic(MIN_SCALE).alarms()) == []  # a person chose it


def test_units_that_are_hardly_on_are_told_where_most_are():
    family = Sparse((8,), k=2)
    assert names(family.alarms()) == []
    family.fired[:4] = 0.0
    assert names(family.alarms()) == []
    family.fired[4] = 0.0
    assert names(family.alarms()) == ["dead units"]
    assert "--latent-dim 3" in family.alarms()[0].says


# ---------------------------------------------------------------------------------------------------- figures behind them


def test_usage_counts_every_token_in_its_own_book():
    """By a loop over tokens; a residual code's books and FSQ's numbers each have a row of counts."""
    torch.manual_seed(0)
    grid = VectorQuantised((3, 2, 4), 5)
    books = ResidualQuantised((4, 3), 5, books=2)
    levels = FiniteScalars(4)
    for family, event, groups in ((grid, (3, 2, 4), 1), (books, (4, 3), 2), (levels, (6,), 6), (levels, (2, 3, 3), 2)):
        of = family(torch.randn(7, *event), event)
        counts, index = family.usage(of), of.index
        per_group = index.reshape(7, groups, -1)
        for group in range(groups):
            for value in range(family.size):
                assert counts[group, value] == sum(int(i == value) for i in per_group[:, group].flatten().tolist())


def test_perplexity_is_that_of_the_counts():
    from legato.training.validation import _usage

    even = _usage(torch.full((2, 8), 3.0))
    assert even == {"perplexity": 8.0, "unused": 0.0, "size": 8, "tokens": 24.0}
    one = torch.zeros(1, 8)
    one[0, 3] = 5.0
    assert _usage(one) == {"perplexity": 1.0, "unused": 7 / 8, "size": 8, "tokens": 5.0}
    skewed = torch.tensor([[6.0, 2.0, 0.0]])
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert math.isclose(_usage(skewed)["perplexity"], expected, rel_tol=1e-5)


def test_validation_and_evaluation_tell_one_perplexity():
    """Of books that are used otherwise, and of grids: a figure under one name has one formula."""
    from legato.measures.rate import codebook_perplexity
    from legato.training.validation import _usage

    for family, event in (
        (ResidualQuantised((4, 3), 5, books=2), (8, 3)),
        (FiniteScalars(4), (6,)),
        (FiniteScalars(4), (2, 3, 3)),
    ):
        theta = torch.linspace(0.1, 3, 2).repeat_interleave(math.prod(event) // 2).reshape(event) * torch.randn(30, *event)
        of = family(theta[:, : family.shape(event)[0]], event)
        found = codebook_perplexity(of.index.flatten(1).double().numpy(), family.books_of(event)).value
        assert math.isclose(_usage(family.usage(of))["perplexity"], found, rel_tol=1e-5)


def test_effective_draws_are_those_of_the_weights_and_lie_between_one_and_k():
    log_w = torch.randn(9, 6, dtype=torch.double)

    def model(x, k, given):
        return SimpleNamespace(log_w=log_w[:k])

    from legato.batch import Batch

    model.parameters = lambda: iter([torch.zeros(1)])
    batch = [Batch(torch.zeros(6, 2))]
    weights = log_w.exp()
    expected = (weights.sum(0).square() / weights.square().sum(0)).mean()
    assert math.isclose(effective_draws(model, batch, 9), expected.item(), rel_tol=1e-5)
    log_w[3] += 1000  # e¹⁰⁰⁰ times the others: in floats it would be infinite
    assert effective_draws(model, batch, 9) == 1.0
    log_w.zero_()
    assert effective_draws(model, batch, 9) == 9.0


def test_an_estimate_says_so_where_one_weight_is_all():
    heavy, light = torch.zeros(1000, 10), torch.zeros(1000, 10)
    heavy[7] = 100.0
    assert dominated(effective_sample_size(light).numpy(), 1000) == ""
    said = dominated(effective_sample_size(heavy).numpy(), 1000)
    assert "10 of 10" in said
    assert "\n" not in said
    assert dominated(np.ones(10), 1) == ""  # of one draw there is nothing to weigh


# ---------------------------------------------------------------------------------------------------- once, and when


class Fake:
    """A learner with a critic, as `Alarms` asks it."""

    def __init__(self, total=4000, loss=None, charges=True):
        self.plan = SimpleNamespace(total=total, warmup_steps=100)
        self.players = [Player("critic", torch.nn.Linear(1, 1), lambda seen: seen, blind=LOG_2)]
        self.objective = SimpleNamespace(settled=lambda total: 0.5 * total, charges_rate=charges, draws=1)
        latent = SimpleNamespace(event=(4,), standard_prior=True)
        self.average = SimpleNamespace(latent=latent, alarms=list)


def test_nothing_is_judged_before_schedules_rest_and_everything_is_told_once():
    alarms = Alarms(Fake())
    lost = {"validation": validation([0.0] * 4)}
    assert alarms.ready == 2000
    assert alarms.of({"step": 1999, **lost}) == {}
    (says,) = alarms.of({"step": 2000, **lost}).values()
    assert "collapsed" in says
    assert alarms.of({"step": 3000, **lost}) == {}
    assert Alarms(Fake(total=100)).ready == EARLIEST  # a run of 100 steps is never judged
    assert Alarms(Fake(charges=False)).of({"step": 4000, **lost}) == {}  # nobody paid for its rate


def test_a_critic_has_won_after_so_many_lines_in_a_row_and_a_resumed_run_counts_on():
    lines = [{"step": 2000 + i, "players": {"critic": 0.001}} for i in range(2 * LINES)]
    whole = Alarms(Fake())
    told = [whole.of(line) for line in lines]
    assert [i for i, found in enumerate(told) if found] == [LINES - 1]
    assert list(told[LINES - 1]) == ["critic has won"]
    for cut in (3, LINES - 1, LINES, LINES + 4):
        again = Alarms(Fake())
        again.recall([line | ({"alarms": found} if found else {}) for line, found in zip(lines[:cut], told, strict=False)])
        assert [again.of(line) for line in lines[cut:]] == told[cut:]


def test_a_critic_that_can_hardly_tell_or_wins_now_and_then_has_not_won():
    healthy = Alarms(Fake())
    assert not any(healthy.of({"step": 2000 + i, "players": {"critic": 0.6}}) for i in range(40))
    at_times = Alarms(Fake())
    losses = [0.001 if i % LINES else 0.3 for i in range(60)]
    assert not any(at_times.of({"step": 2000 + i, "players": {"critic": loss}}) for i, loss in enumerate(losses))
    skipped = Alarms(Fake())
    assert not any(skipped.of({"step": 2000 + i, "players": {"critic": None}}) for i in range(40))
    assert names([won("critic", 0.001, LOG_2)]) == ["critic has won"]


def test_every_critic_says_what_its_loss_is_where_it_is_blind():
    from legato.definition import define
    from legato.setting import DataSpec

    spec = DataSpec((1, 8, 8), "bytes", "discretized-logistic", classes=("no", "yes"), factors=True)
    for name in RECIPES:
        built = define(name, spec, width=8, depth=1).build(spec)
        for player in built.objective.players:
            for weight in player.module.parameters():
                torch.nn.init.zeros_(weight)  # all logits are 0
            x = torch.rand(4, 1, 8, 8)
            loss = player.loss(built.model(x).detach(torch.Generator().manual_seed(0)))
            assert torch.allclose(loss, torch.tensor(player.blind))


# ---------------------------------------------------------------------------------------------------- in a training


def rows(n=300, kind="healthy"):
    rng = np.random.default_rng(0)
    found = rng.standard_normal((n, 2)) @ rng.standard_normal((2, 6)) + 0.3 * rng.standard_normal((n, 6))
    if kind == "noise":
        found = rng.standard_normal((n, 6))
    return found.astype(np.float32)


SHORT = {"net": "mlp", "width": 16, "depth": 1, "batch_size": 64, "steps": 260, "threads": 1, "engine": "eager"}


def test_a_collapsed_run_is_told_once_and_keeps_it(tmp_path, capsys):
    """Rows without structure, at β = 100: no latent is worth its price."""
    legato.train("vae", data=rows(kind="noise"), out=tmp_path / "run", latent_dim=4, beta=100.0, learning_rate=1e-2, **SHORT)
    told = [line for line in capsys.readouterr().err.splitlines() if "all 4 latents have collapsed" in line]
    assert len(told) == 1
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    kept = [line for line in lines if "alarms" in line]
    assert len(kept) == 1
    assert told[0] == f"legato: {kept[0]['alarms']['collapsed']}"
    assert kept[0]["step"] >= EARLIEST


@pytest.mark.parametrize("recipe", ["vae", "iwae", "wae_mmd"])
def test_a_healthy_run_is_told_nothing(recipe, tmp_path, capsys):
    legato.train(recipe, data=rows(), out=tmp_path / "run", latent_dim=2, **SHORT, learning_rate=1e-2)
    assert "alarms" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "legato:" not in capsys.readouterr().err


def test_a_codebook_of_far_too_many_rows_tells_its_perplexity_and_its_dead_codes(tmp_path, capsys):
    """Two clusters need two rows of 8 by gradient, where nothing revives the others."""
    two = np.repeat(np.array([[3.0] * 6, [-3.0] * 6], np.float32), 150, 0)
    two += 0.01 * np.random.default_rng(0).standard_normal(two.shape).astype(np.float32)
    own = {"latent_dim": 1, "token_dim": 2, "codebook_size": 8}
    legato.train("gradient_vq_vae", data=two, out=tmp_path / "run", **own, **SHORT)
    assert "never chosen" in capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    last = [line["validation"]["usage"] for line in lines if "validation" in line][-1]
    assert 1 <= last["perplexity"] < 4
    assert last["unused"] > 0.5


def test_a_fit_in_memory_is_told_too(capsys):
    from legato import VAE

    own = {name: value for name, value in SHORT.items() if name != "engine"}
    fitted = VAE("vae", latent_dim=4, beta=100.0, learning_rate=1e-2, random_state=0, **own).fit(rows(kind="noise"))
    assert "all 4 latents have collapsed" in capsys.readouterr().err
    (line,) = fitted.space_.kept.read_metrics()
    assert list(line["alarms"]) == ["collapsed"]


def test_a_run_that_is_stopped_after_its_alarm_is_not_told_again_and_ends_as_one_that_never_was(tmp_path, capsys):
    asked = {"latent_dim": 4, "beta": 100.0, **SHORT, "learning_rate": 1e-2, "device": "cpu"}
    np.save(tmp_path / "x.npy", rows(kind="noise"))  # rows in memory could not be opened again
    legato.train("vae", data=str(tmp_path / "x.npy"), out=tmp_path / "whole", **asked)
    assert capsys.readouterr().err.count("have collapsed") == 1
    for steps in (100, 240):
        out = tmp_path / f"stopped {steps}"
        with stopping_after(steps), pytest.raises(Stopped):
            legato.train("vae", data=str(tmp_path / "x.npy"), out=out, **asked)
        assert capsys.readouterr().err.count("have collapsed") == (steps > EARLIEST)
        assert resume(out) == 0
        assert capsys.readouterr().err.count("have collapsed") == (steps < EARLIEST)
        assert_same(out, tmp_path / "whole")
