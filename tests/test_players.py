"""Laws of objectives with more than one player: who moves whom, what a critic converges to, what is resumed."""

from __future__ import annotations

import json
import math
import pickle
import re
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.distributions import Normal
from torch.testing import assert_close

import legato
from legato.batch import Batch
from legato.checkpoint import existing, read
from legato.definition import define
from legato.errors import Mistake
from legato.objectives import Multiplier, TotalCorrelation, critic
from legato.objectives.adversaries import permuted
from legato.run import Run
from legato.setting import DataSpec
from legato.tensors import read_tensors
from legato.trace import Seen, Trace
from legato.training.learner import Learner
from legato.training.options import Plan
from made_runs import blobs, metrics, train

PLAN = Plan(
    total=50, batch_size=16, learning_rate=0.01, warmup_steps=5, weight_decay=0.0, clip=1e6, ema=0.9, seed=3, snapshots=0
)
DATA = DataSpec((1, 8, 8), "bytes", "discretized-logistic")


pytestmark = pytest.mark.usefixtures("alone")


def learner(name: str = "factor_vae", made: Plan = PLAN, **chosen) -> Learner:
    torch.manual_seed(0)
    words = {"latent_dim": 3, "net": "mlp", "width": 16, "depth": 1, **chosen}
    return Learner(define(name, DATA, **words).build(DATA), made, torch.device("cpu"))


def images(seed: int = 0, n: int = 16) -> Tensor:
    return torch.from_numpy(blobs(n, seed)[0][:, None] / np.float32(255))


def held(module: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in module.parameters()]


def judge_of(learnt: Learner) -> nn.Module:
    return learnt.players[0].module


# ------------------------------------------------------------------------------------------- who moves whom


@pytest.mark.parametrize("side", [0, 1])
def test_the_step_of_the_model_moves_no_weight_of_the_critic_and_that_of_the_critic_none_of_the_model(side):
    learnt = learner()
    both = (learnt.model, judge_of(learnt))
    before = [held(one) for one in both]
    trace = learnt.model(images())
    losses = (learnt.objective(trace, learnt.objective.at(9, 50)).total, learnt.players[0].loss(trace.detach()).mean())
    learnt.sides[side].differentiate(losses[side])
    assert all(weight.grad is not None for weight in both[side].parameters())
    assert all(weight.grad is None for weight in both[1 - side].parameters())
    learnt.sides[side].move(9)
    assert not any(map(torch.equal, held(both[side]), before[side]))
    assert all(map(torch.equal, held(both[1 - side]), before[1 - side]))


def test_a_step_is_both_players_at_the_weights_that_both_had_before_it():
    """As if each had been alone with the other as it was: a Jacobi step, of which no order is to be remembered."""
    together, alone = learner(), (learner(), learner())
    together.step(Batch(images()), 0)
    for side, one in enumerate(alone):
        other = one.sides[1 - side]
        other.move = lambda step: None
        one.step(Batch(images()), 0)
    assert all(map(torch.equal, held(together.model), held(alone[0].model)))
    assert all(map(torch.equal, held(judge_of(together)), held(judge_of(alone[1]))))


def test_without_gamma_the_model_is_the_plain_vae_to_the_last_bit(runs, sources, tmp_path):
    train("factor_vae", sources, tmp_path / "r", gamma=0.0)
    found, expected = (read_tensors(Run(path).model) for path in (tmp_path / "r", runs["vae"]))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    lines, plain = ([line for line in metrics(path) if "train" in line] for path in (tmp_path / "r", runs["vae"]))
    for line, other in zip(lines, plain, strict=True):
        assert {name: line["train"][name] for name in other["train"]} == other["train"]


def test_with_gamma_the_model_is_another():
    learnt = [learner(gamma=gamma) for gamma in (0.0, 6.0)]
    for each in learnt:
        each.step(Batch(images()), 0)
    assert not all(map(torch.equal, held(learnt[0].model), held(learnt[1].model)))


def test_each_gradient_is_cut_for_itself():
    learnt = learner(made=replace(PLAN, clip=1e-3))
    trace = learnt.model(images())
    losses = (learnt.objective(trace, [1.0, 1.0, 6.0]).total, learnt.players[0].loss(trace.detach()).mean())
    norms = [side.differentiate(loss) for side, loss in zip(learnt.sides, losses, strict=True)]
    assert norms[0] > 10 * norms[1] > 1e-2
    for side in learnt.sides:
        assert math.sqrt(sum(float(weight.grad.square().sum()) for weight in side.weights)) == pytest.approx(1e-3, rel=1e-4)


@pytest.mark.parametrize("side", [0, 1])
def test_a_step_that_is_not_sane_for_one_player_is_taken_by_none(side):
    learnt = learner()
    for step in range(3):
        assert learnt.step(Batch(images(step)), step) is not None
    before = held(learnt.model), held(judge_of(learnt)), held(learnt.average)
    differentiate = learnt.sides[side].differentiate
    learnt.sides[side].differentiate = lambda loss: differentiate(loss * math.nan)
    assert learnt.step(Batch(images()), 3) is None
    assert learnt.guard.skipped == 1
    for was, module in zip(before, (learnt.model, judge_of(learnt), learnt.average), strict=True):
        assert all(map(torch.equal, held(module), was))
        assert all(weight.grad is None for weight in module.parameters())
    learnt.sides[side].differentiate = differentiate
    assert learnt.step(Batch(images()), 4) is not None
    assert [len(norms) for norms in learnt.guard.histories] == ([4, 5] if side == 0 else [5, 4])


def test_no_gradient_reaches_the_model_through_what_a_critic_sees():
    learnt = learner()
    seen = learnt.model(images()).detach()
    assert not any(one.requires_grad for one in (seen.x, seen.code, seen.decoded))
    assert torch.equal(seen.decoded, learnt.model.decode(seen.code))


# ------------------------------------------------------------------------------------------- what a critic learns


def correlated(of: Tensor, n: int) -> Tensor:
    """Draws of N(0, of), (1, n, d)."""
    return (torch.randn(n, len(of)) @ torch.linalg.cholesky(of).T)[None]


def matrix(*above: float) -> Tensor:
    """The 3 × 3 correlations whose upper triangle is given."""
    found = torch.eye(3)
    found[[0, 0, 1], [1, 2, 2]] = found[[1, 2, 2], [0, 0, 1]] = torch.tensor(above)
    return found


class Quadratic(nn.Module):
    """θ₀ + zᵀΘz, (B, 3) -> (B, 1): what the best critic of a Gaussian is one of."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(6, 1)
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, z: Tensor) -> Tensor:
        rows, columns = torch.triu_indices(3, 3)
        return self.map(z[:, rows] * z[:, columns])


def fitted(draws: Tensor) -> float:
    """The total correlation that the best quadratic critic finds between fixed draws and one dealing of them."""
    term = TotalCorrelation(Quadratic())
    optimiser = torch.optim.LBFGS(term.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        torch.manual_seed(1)
        loss = term.player.loss(seen_of(draws)).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    return term.log_ratio(draws).mean().item()


def seen_of(code: Tensor) -> Seen:
    return Trace(code[0], Normal(code, 1.0), code, ()).detach()


@pytest.mark.parametrize("correlations", [matrix(0.0, 0.0, 0.0), matrix(0.6, 0.0, 0.0), matrix(0.7, -0.4, 0.1)])
def test_the_best_critic_of_a_gaussian_gives_its_total_correlation_in_closed_form(correlations):
    """−½ log det R, within four standard errors of sixteen fits; what a fit of 7 numbers to n draws is off by is 7/n."""
    n, fits = 4_000, 16
    found = []
    for seed in range(fits):
        torch.manual_seed(100 + seed)
        found.append(fitted(correlated(correlations, n)))
    exact = -0.5 * torch.logdet(correlations).item()
    assert abs(np.mean(found) - exact) < 4 * np.std(found, ddof=1) / math.sqrt(fits) + 7 / n


def test_a_trained_net_is_as_far_from_the_total_correlation_as_its_own_normalisers_say():
    """By Jensen, for any T: −log E_q e^(T* − T) ≤ E_q T − TC ≤ log E_∏ e^T, and both bounds are 0 at T* = log q/∏ q_j."""
    correlations = matrix(0.7, -0.4, 0.1)
    term = TotalCorrelation(critic(3, width=32, depth=2))
    optimiser = torch.optim.Adam(term.parameters(), lr=3e-3, betas=(0.5, 0.9))
    for _ in range(600):
        optimiser.zero_grad()
        term.player.loss(seen_of(correlated(correlations, 1000))).mean().backward()
        optimiser.step()
    with torch.no_grad():
        draws = correlated(correlations, 100_000)
        found, apart = term.log_ratio(draws)[0], term.log_ratio(torch.randn(1, 100_000, 3))[0]
    exact = -0.5 * torch.logdet(correlations)
    z, outer = draws[0], torch.linalg.inv(correlations) - torch.eye(3)
    best = exact - 0.5 * torch.einsum("ni,ij,nj->n", z, outer, z)
    low, high = -math.log((best - found).exp().mean()), math.log(apart.exp().mean())
    error = 4 * (best.std().item() + apart.exp().std().item() + (best - found).exp().std().item()) / math.sqrt(len(z))
    assert -0.05 < low <= high + 2 * error < 0.05 + 2 * error
    assert low - error < found.mean() - exact < high + error
    assert best.std() == pytest.approx(math.sqrt(0.5 * (correlations - torch.eye(3)).square().sum()), rel=0.02)


def test_a_critic_that_cannot_tell_pays_log_two_and_the_term_is_the_mean_logit():
    term = TotalCorrelation(critic(3, width=8, depth=1))
    code = torch.randn(2, 5, 3)
    with torch.no_grad():
        for weight in term.critic.parameters():
            weight.zero_()
        assert_close(term.player.loss(seen_of(code)), torch.full((5,), math.log(2)))
        term.critic[-1].bias.fill_(1.5)
        assert_close(term.log_ratio(code), torch.full((2, 5), 1.5))


# ------------------------------------------------------------------------------------------- dealt anew


def test_dealing_keeps_every_marginal_to_the_bit_and_leaves_no_dependence():
    of, n = matrix(0.9, 0.8, 0.7), 20_000
    code = correlated(of, n)
    dealt = permuted(code)
    assert torch.equal(dealt.sort(1).values, code.sort(1).values)
    for seen in (dealt[0], dealt[0].square()):  # of n independent rows a correlation is N(0, 1/n)
        assert np.abs(np.triu(np.corrcoef(seen.numpy().T), 1)).max() < 5 / math.sqrt(n)


def test_all_dealings_of_two_dimensions_are_equally_likely():
    code = torch.arange(3.0).view(1, 3, 1).expand(1, 3, 2)
    counts = Counter(tuple(permuted(code).flatten().tolist()) for _ in range(7_200))
    assert len(counts) == 36
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_what_a_critic_draws_is_a_function_of_seed_and_step():
    first, second = learner(), learner()
    second.step(Batch(images()), 7)
    lost = []
    for learnt in (first, learner()):
        torch.rand(len(lost) + 1)  # whatever was drawn meanwhile
        lost.append(learnt.step(Batch(images()), 7))
    assert torch.equal(*lost)
    assert not torch.equal(learner().step(Batch(images()), 8), lost[0])


# ------------------------------------------------------------------------------------------- stored, refused


def test_the_critic_is_in_the_checkpoint_and_not_in_the_run(runs):
    run = Run(runs["factor_vae"])
    stored = read(existing(run.checkpoints)[-1]).tensors
    judge = [name for name in stored if name.startswith("objective.terms.2.critic.")]
    assert len(judge) == 8
    assert sum(name.startswith("critic.optimiser.") for name in stored) == 3 * len(judge)
    assert read_tensors(run.model).keys() == read_tensors(Run(runs["vae"]).model).keys()
    space = legato.load(run.path, device="cpu")
    assert space.encode(blobs(4)[0])[0].shape == (4, 3)
    lines = [line for line in metrics(run.path) if "train" in line]
    assert all(line["train"].keys() == line["weights"].keys() == {"distortion", "rate", "total correlation"} for line in lines)
    assert lines[0]["players"]["critic"] == pytest.approx(math.log(2), abs=0.02)
    assert lines[-1]["weights"]["total correlation"] == 6.0


def test_a_recipe_tells_the_critics_weights_beside_the_models():
    told = repr(define("factor_vae", DATA, latent_dim=3, critic_width=8, critic_depth=1).build(DATA))
    assert re.search(r"objective +1 · distortion \+ 1 · rate \+ 6 · total correlation", told)
    assert re.search(rf"critic +{(3 + 1) * 8 + (8 + 1)} weights", told)


def test_a_run_from_elsewhere_that_asks_for_a_critic_beyond_any_memory_is_refused(runs, tmp_path):
    shutil.copytree(runs["factor_vae"], tmp_path / "r")
    said = json.loads((tmp_path / "r" / "recipe.json").read_text())
    (tmp_path / "r" / "recipe.json").write_text(json.dumps({**said, "critic_width": 10**8}))
    with pytest.raises(Mistake, match=r"asks for .* GB of weights"):
        legato.load(tmp_path / "r", device="cpu")


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"latent_dim": 1}, "between 2 latents or more, got 1"),
        ({"gamma": -1.0}, "the weight of `total correlation` must be a finite number, 0 or more"),
        ({"critic_width": 0}, "a critic has 1 unit or more"),
    ],
)
def test_what_no_critic_can_do_is_refused(chosen, sentence):
    with pytest.raises(Mistake, match=sentence) as refusal:
        define("factor_vae", DATA, **chosen).build(DATA)
    assert "\n" not in str(refusal.value)


# ------------------------------------------------------------------------------------------- weights that follow the loss

SCALE, LATENTS = 0.5, 4  # of p(x|z); more than what is worth its rate
SPREAD = torch.tensor([2.0, 1.5, 1.0, 0.6, 0.3, 0.2])


def rows(n: int = 256) -> Tensor:
    """(n, 6), Gaussian with the deviations of `SPREAD`."""
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(0)) * SPREAD


def distortion_at(price: float, x: Tensor) -> float:
    """The least distortion of a linear VAE where a nat of it is worth `price` nats of rate: reverse water-filling.

    Under λ D + R it is the VAE of noise τ = σ²/λ: a direction of variance s > τ is kept with a mean square error of τ, one of
    s ≤ τ is lost with an error of s. Cover & Thomas 2006, theorem 10.3.3; Lucas et al. 2019, https://arxiv.org/abs/1911.02469.
    """
    variances = np.linalg.eigvalsh(np.cov(x.numpy().T, bias=True))[::-1]
    error = np.minimum(SCALE**2 / price, variances[:LATENTS]).sum() + variances[LATENTS:].sum()
    return float(3 * math.log(2 * math.pi * SCALE**2) + error / (2 * SCALE**2))


@pytest.mark.parametrize("price", [2.5, 0.5])
def test_on_a_linear_gaussian_the_distortion_meets_its_target_and_lambda_is_the_multiplier_in_closed_form(price):
    x, data = rows(), DataSpec((6,), "reals", "gaussian")
    target = distortion_at(price, x)
    words = {"latent_dim": LATENTS, "net": "mlp", "depth": 0, "likelihood": "fixed-gaussian", "scale": SCALE}
    made = define("geco_vae", data, **words, target=target, tolerance=0.3).build(data)
    learnt = Learner(made, replace(PLAN, total=1200, warmup_steps=50), torch.device("cpu"))
    for step in range(learnt.plan.total):
        learnt.step(Batch(x), step)
    with torch.no_grad():
        found = -learnt.model(x, 1000).log_px.mean(1)  # as a batch has it, at each draw
    error = found.std().item() / math.sqrt(10)  # of ten steps, over which the multiplier averages
    assert abs(found.mean().item() - target) < 4 * error
    # d D / d log λ = −(active directions)/2λ, so that an error of D is one of λ.
    active = (torch.linalg.eigvalsh(torch.cov(x.T)) > SCALE**2 / price).sum().item()
    assert abs(math.log(float(learnt.objective.at(0, 1)[0]) / price)) < 4 * error * 2 * price / active


@pytest.mark.parametrize(("target", "most"), [(1e6, -0.04), (-1e6, 0.005)])
def test_far_from_its_target_log_lambda_moves_at_its_most_times_the_learning_rates_share(target, most):
    learnt = learner("geco_vae", target=target)
    paces = [learnt.plan.rate(step) / learnt.plan.learning_rate for step in range(20)]
    for step in range(20):
        learnt.step(Batch(images()), step)
    assert math.log(float(learnt.objective.at(0, 1)[0])) == pytest.approx(most * sum(paces), rel=1e-5)


def test_lambda_is_the_moving_average_of_the_excess_integrated_and_bounded():
    weight, average, log_value = Multiplier(10.0, tolerance=2.0), None, 0.0
    for found in (13.0, 9.0, 10.5, 10.0, -400.0):
        weight.follow(torch.tensor(found), pace=0.5)
        average = found - 10 if average is None else 0.9 * average + 0.1 * (found - 10)
        log_value += 0.005 * 0.5 * min(max(average / 2, -8), 1)
        assert math.log(float(weight.value(0, 1))) == pytest.approx(log_value, abs=1e-7)
    for _ in range(3000):
        weight.follow(torch.tensor(1e9), pace=1.0)
    assert float(weight.value(0, 1)) == pytest.approx(1e4, rel=1e-5)


def test_a_step_that_is_skipped_leaves_lambda_as_it_was():
    learnt = learner("geco_vae", target=10.0)
    learnt.step(Batch(images()), 0)
    before = {name: value.clone() for name, value in learnt.objective.state_dict().items()}
    assert len(before) == 3
    assert learnt.step(Batch(images() * math.nan), 1) is None
    assert all(torch.equal(value, before[name]) for name, value in learnt.objective.state_dict().items())


def test_lambda_lies_in_the_checkpoint_and_in_the_metrics_and_beta_is_its_inverse(runs):
    run = Run(runs["geco_vae"])
    stored = read(existing(run.checkpoints)[-1]).tensors
    told = [line["weights"]["distortion"] for line in metrics(run.path) if "weights" in line]
    assert told[0] != told[-1] == float(stored["objective.weights.0.log_value"].exp().float())
    assert legato.load(run.path, device="cpu").beta == 1 / told[-1]
    assert legato.load(runs["beta_vae"], device="cpu").beta == 4.0
    assert legato.load(runs["autoencoder"], device="cpu").beta == 0.0


def test_an_estimator_knows_the_price_that_was_found_and_so_does_its_pickle():
    data = rows().numpy()
    model = legato.VAE("geco_vae", latent_dim=2, net="mlp", width=8, depth=1, steps=20, target=-1e6, device="cpu").fit(data)
    assert 0 < model.space_.beta < 1
    assert pickle.loads(pickle.dumps(model)).space_.beta == model.space_.beta


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [({"tolerance": 0.0}, "`tolerance` is a positive number"), ({"target": math.nan}, "a finite number")],
)
def test_a_target_that_means_nothing_is_refused(chosen, sentence):
    with pytest.raises(Mistake, match=sentence):
        Multiplier(**{"target": 1.0, **chosen})
