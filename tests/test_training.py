"""Training: the plan, the one step, what is skipped, what is logged, what is refused. Resuming has a file of its own."""

from __future__ import annotations

import copy
import json
import math
import os
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

import legato
from legato.adamw import SWEEP_EVERY, AdamW
from legato.batch import Batch
from legato.data import DataOptions
from legato.data.batches import TrainingBatches
from legato.data.preparation import Preparation
from legato.definition import define
from legato.errors import Mistake
from legato.run import Run
from legato.setting import DataSpec
from legato.tensors import read_tensors
from legato.training import TrainingOptions, begin, execute, length, loop, probe, record, setup, task
from legato.training.guard import ENOUGH, INSANE, RECENT, TOO_MANY, WINDOW, Diverged, Guard
from legato.training.learner import Learner
from legato.training.options import Plan, check, plan
from legato.training.side import seed_of
from legato.training.validation import IMAGES, SCALE_SEED, SEED, solve_scale, validate
from made_runs import SMALL, blobs, metrics, train

PLAN = Plan(
    total=1000, batch_size=8, learning_rate=0.01, warmup_steps=100, weight_decay=0.1, clip=5.0, ema=0.9, seed=3, snapshots=12
)


@pytest.fixture(autouse=True)
def _alone():
    """One thread: the tensors are tiny, and other processes want the cores."""
    torch.set_num_threads(1)


def learner(name: str = "vae", made: Plan = PLAN, kind: str = "bytes", **chosen: Any) -> Learner:
    """A tiny recipe on 1×8×8 images."""
    torch.manual_seed(0)
    data = DataSpec((1, 8, 8), kind, {"bytes": "discretized-logistic", "binary": "bernoulli", "reals": "gaussian"}[kind])
    return Learner(define(name, data, **{"latent_dim": 3, "net": "mlp", "width": 16, "depth": 1, **chosen}).build(data), made,
                   torch.device("cpu"))  # fmt: skip


def images(n: int = 8, seed: int = 0) -> Tensor:
    return torch.from_numpy(blobs(n, seed)[0][:, None] / np.float32(255))


def job_of(name: str, sources: dict[str, Path], out: Path, **other: Any) -> setup.Job:
    """A job that is on disk and has not run."""
    options = TrainingOptions(steps=other.pop("steps", 40), batch_size=32)
    words = {"latent_dim": 3, "net": "mlp", "width": 16, "depth": 1, **other}
    job = begin(Run(out), name, str(sources["grey"]), DataOptions(), options, words, torch.device("cpu"))
    with job.run.writing():
        record(job, options, overwrite=False)
    return job


# ----------------------------------------------------------------------------------------------------- the plan


def test_learning_rate_rises_to_its_peak_and_falls_along_a_cosine_to_a_hundredth():
    rates = [PLAN.rate(step) for step in range(PLAN.total)]
    assert rates[0] == pytest.approx(0.01 / 100)
    assert rates[49] == pytest.approx(0.005)
    assert rates[99] == rates[100] == pytest.approx(0.01)  # the end of the warm-up is the start of the cosine
    assert rates[550] == pytest.approx(0.01 * 0.505)  # half-way: (1 + 0.01)/2 of the peak
    assert PLAN.rate(1000) == pytest.approx(0.0001)
    assert rates[-1] == pytest.approx(0.0001, rel=1e-3)
    assert (np.diff(rates[:100]) > 0).all()
    assert (np.diff(rates[100:]) < 0).all()


def test_warm_up_takes_at_most_a_tenth_of_the_run():
    assert plan(TrainingOptions(warmup_steps=200), 10_000, 8).warmup_steps == 200
    assert plan(TrainingOptions(warmup_steps=200), 500, 8).warmup_steps == 50
    assert plan(TrainingOptions(), 5, 8).warmup_steps == 0
    assert plan(TrainingOptions(), 5, 8).rate(0) == pytest.approx(1e-3)


@pytest.mark.parametrize("total", [2_000, 8_600, 123_457])
def test_snapshots_are_twelve_and_even_in_the_logarithm_of_the_step(total: int):
    steps = np.array(sorted(plan(TrainingOptions(), total, 8).milestones()))
    assert steps[0] == 1
    assert steps[-1] == total
    assert len(steps) == 12
    even = np.log(total) / 11 * np.arange(12)
    assert (np.abs(np.log(steps) - even) <= np.log((steps + 0.5) / steps) + 1e-9).all()  # to half a step


@pytest.mark.parametrize(("total", "snapshots"), [(1, 12), (7, 12), (40, 12), (40, 1), (40, 0), (40, 3)])
def test_snapshots_of_a_short_run_are_steps_of_it_and_hold_the_last(total: int, snapshots: int):
    made = plan(TrainingOptions(snapshots=snapshots), total, 8)
    assert made.milestones() <= set(range(1, total + 1))
    assert len(made.milestones()) <= snapshots
    assert (total in made.milestones()) == (snapshots > 0)
    assert total in made.validations()
    assert made.validations() <= set(range(1, total + 1))


def test_a_run_keeps_the_snapshots_of_its_plan_and_the_last_is_the_model(runs):
    run = Run(runs["vae"])
    milestones = Plan.from_json(run.stored("training")).milestones()
    assert sorted(path.name for path in run.snapshots.iterdir()) == [f"step-{s:09d}.safetensors" for s in sorted(milestones)]
    assert (run.snapshots / "step-000000040.safetensors").read_bytes() == run.model.read_bytes()


def test_minutes_are_turned_into_steps_once_and_recorded(sources, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(length, "steps_for", lambda minutes, *_: asked.append(minutes) or 17)
    train("vae", sources, tmp_path / "timed", steps=None, minutes=0.25)
    train("vae", sources, tmp_path / "counted", steps=17)
    timed, counted = Run(tmp_path / "timed"), Run(tmp_path / "counted")
    assert asked == [pytest.approx(0.25, abs=0.02)]  # but for what it took to get ready
    assert timed.stored("training")["total"] == 17
    assert timed.stored("training")["asked"]["minutes"] == 0.25
    assert timed.model.read_bytes() == counted.model.read_bytes()
    assert metrics(timed.path) == metrics(counted.path)


def test_the_probe_leaves_no_trace_in_the_run(sources, tmp_path, monkeypatch):
    """The probe draws, moves weights and reads the clock; none of it may reach the run that follows."""
    train("vae", sources, tmp_path / "timed", steps=None, minutes=0.03)
    total = Run(tmp_path / "timed").stored("training")["total"]
    train("vae", sources, tmp_path / "counted", steps=total)
    assert Run(tmp_path / "timed").model.read_bytes() == Run(tmp_path / "counted").model.read_bytes()


class Clock:
    """Time that passes only in steps and validations."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now

    def spend(self, seconds: float) -> Callable[..., None]:
        def pass_time(*_: object) -> None:
            self.now += seconds

        return pass_time


@pytest.mark.parametrize(("minutes", "per_step", "per_validation", "validations"), [(5, 0.004, 0.1, 25), (1, 0.03, 0.5, 30)])
def test_the_steps_of_a_budget_fill_it(monkeypatch, minutes, per_step, per_validation, validations):
    clock = Clock()
    monkeypatch.setattr(probe, "time", clock)
    steps = probe.steps_for(minutes, clock.spend(per_step), clock.spend(per_validation), validations)
    spent = (clock.now - 100) + steps * per_step + validations * per_validation
    assert 60 * minutes - 2 * per_step <= spent <= 60 * minutes


def test_a_budget_too_small_for_anything_is_one_step(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(probe, "time", clock)
    assert probe.steps_for(0.001, clock.spend(1.0), clock.spend(1.0), 5) == 1


def test_steps_get_half_of_the_budget_however_slow_validation_is(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(probe, "time", clock)
    assert probe.steps_for(10, clock.spend(0.5), clock.spend(60.0), 22) == 600


def test_no_schedule_is_refused_for_the_length_of_the_probe(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(length, "steps_for", lambda *_: 40_000)
    options, words = TrainingOptions(minutes=60, max_passes=1e6), {"warmup": 20_000, "latent_dim": 2, "width": 4, "depth": 1}
    job = begin(Run(tmp_path / "r"), "warmup_vae", str(sources["grey"]), DataOptions(), options, words, torch.device("cpu"))
    assert job.plan.total == 40_000


def test_what_is_learnt_does_not_depend_on_the_clock(runs, sources, tmp_path, monkeypatch):
    """A clock that jumps by up to three minutes a reading saves at other steps, and changes nothing else."""
    rng, now = np.random.default_rng(0), [0.0]

    def monotonic() -> float:
        now[0] += rng.uniform(0, 180)
        return now[0]

    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=monotonic))
    train("vae", sources, tmp_path / "r")
    assert Run(tmp_path / "r").model.read_bytes() == Run(runs["vae"]).model.read_bytes()
    assert metrics(tmp_path / "r") == metrics(runs["vae"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 5, "minutes": 1}, ["--steps", "--minutes", "one of"]),
        ({"epochs": -1.0}, ["--epochs", "-1"]),
        ({"minutes": math.nan}, ["--minutes", "nan"]),
        ({"minutes": math.inf}, ["--minutes", "inf"]),
        ({"steps": 0}, ["--steps", "0"]),
        ({"batch_size": 0}, ["--batch-size", "between 1"]),
        ({"learning_rate": -0.1}, ["--learning-rate", "-0.1"]),
        ({"learning_rate": math.nan}, ["--learning-rate", "nan"]),
        ({"ema": 1.0}, ["--ema", "1"]),
        ({"clip": 0.0}, ["--clip"]),
        ({"seed": -1}, ["--seed", "-1"]),
        ({"checkpoint_minutes": 0.0}, ["--checkpoint-minutes"]),
    ],
)
def test_an_option_that_means_nothing_is_named(options, words):
    with pytest.raises(Mistake) as caught:
        check(TrainingOptions(**options))
    assert all(word in str(caught.value) for word in words)


# ----------------------------------------------------------------------------------------------------- the step


def by_hand(learnt: Learner, batches: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and their average after these steps: the formulas of AdamW, of clipping and of the average, in float64."""
    made, model = learnt.plan, copy.deepcopy(learnt.model)
    weights = list(model.parameters())
    first, second = ([torch.zeros_like(w, dtype=torch.double) for w in weights] for _ in "mv")
    precise, average = ([w.detach().double().clone() for w in weights] for _ in "pa")
    for step, x in enumerate(batches):
        torch.manual_seed(seed_of(made.seed, step))
        trace = model(x, 1)
        (-trace.log_px.mean(0) + trace.kl).mean().backward()
        gradients = [w.grad.double() for w in weights]
        norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
        for w, g, m, v, p, a in zip(weights, gradients, first, second, precise, average, strict=True):
            g = g * min(1.0, made.clip / norm)
            m.mul_(0.9).add_(g, alpha=0.1)
            v.mul_(0.99).add_(g * g, alpha=0.01)
            p.mul_(1 - made.rate(step) * made.weight_decay)
            p -= made.rate(step) * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.99 ** (step + 1))).sqrt() + 1e-8)
            w.data.copy_(p)
            w.grad = None
            decay = min(made.ema, (1 + step) / (10 + step))
            a.mul_(decay).add_(p, alpha=1 - decay)
    return precise, average


@pytest.mark.parametrize("clip", [0.5, 1e6])
def test_a_step_is_adamw_with_clipping_and_the_average_is_a_moving_one(clip: float):
    made = Plan(**{**PLAN.to_json(), "clip": clip, "warmup_steps": 2, "ema": 0.3})
    learnt, batches = learner(made=made), [images(8, seed) for seed in range(6)]
    weights, average = by_hand(learnt, batches)
    for step, x in enumerate(batches):
        assert learnt.step(Batch(x), step) is not None
    for found, expected in zip(learnt.model.parameters(), weights, strict=True):
        assert_close(found.detach().double(), expected, rtol=1e-4, atol=2e-6)
    for found, expected in zip(learnt.average.parameters(), average, strict=True):
        assert_close(found.double(), expected, rtol=1e-4, atol=2e-6)


def test_one_step_is_that_of_torchs_unfused_adamw_with_betas_0_9_and_0_99():
    learnt = learner()
    model = copy.deepcopy(learnt.model)
    plain = torch.optim.AdamW(model.parameters(), lr=PLAN.rate(0), betas=(0.9, 0.99), weight_decay=0.1, fused=False)
    torch.manual_seed(seed_of(PLAN.seed, 0))
    trace = model(images(), 1)
    (-trace.log_px.mean(0) + trace.kl).mean().backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), PLAN.clip)
    plain.step()
    learnt.step(Batch(images()), 0)
    for found, expected in zip(learnt.model.parameters(), model.parameters(), strict=True):
        assert_close(found, expected, rtol=1e-5, atol=1e-8)


def test_adamw_is_torchs_own_bit_for_bit_and_leaves_a_weight_without_a_gradient():
    ours = [torch.nn.Parameter(torch.randn(7, 3)), torch.nn.Parameter(torch.randn(5)), torch.nn.Parameter(torch.randn(2))]
    theirs = [torch.nn.Parameter(w.detach().clone()) for w in ours]
    mine = AdamW(ours, betas=(0.9, 0.99), weight_decay=0.1)
    plain = torch.optim.AdamW(theirs, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    for step in range(5):
        for index in range(3 if step % 2 else 2):
            ours[index].grad = torch.randn_like(ours[index])
            theirs[index].grad = ours[index].grad.clone()
        plain.param_groups[0]["lr"] = rate = 0.1 / (step + 1)
        mine.step(rate)
        plain.step()
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a, b)
            a.grad = b.grad = None
    assert [int(step) for step in mine.steps] == [5, 5, 2]
    other = AdamW(ours, betas=(0.9, 0.99), weight_decay=0.1)
    other.restore({name: value.clone() for name, value in mine.tensors().items()})
    for name, value in other.tensors().items():
        assert torch.equal(value, mine.tensors()[name])


def test_a_sweep_clears_what_would_decay_below_the_normal_numbers_and_nothing_else():
    learnt = learner()
    weight = learnt.sides[0].optimiser.weights[0]
    for step in range(800):
        weight.grad = torch.full_like(weight, float(step < 2)) + torch.eye(*weight.shape)
        learnt.sides[0].optimiser.step(1e-3)
        if step % SWEEP_EVERY == 0:
            learnt.sides[0].optimiser.sweep()
        mean, square = learnt.sides[0].optimiser.means[0], learnt.sides[0].optimiser.squares[0]
        tiny = torch.finfo(torch.float32).tiny
        assert not any(((value != 0) & (value.abs() < tiny)).any() for value in (mean, square)), step
    assert (mean == 0).any()
    assert_close(mean.diagonal(), torch.ones(min(weight.shape)))


def test_gradients_are_cut_to_the_norm_and_keep_their_direction(monkeypatch):
    found: dict[float, Tensor] = {}
    for clip in (1e9, 2.0):
        learnt = learner(made=Plan(**{**PLAN.to_json(), "clip": clip}))
        gradient = lambda: torch.cat([p.grad.flatten() for p in learnt.sides[0].weights])  # noqa: B023, E731
        monkeypatch.setattr(learnt.sides[0].optimiser, "step", lambda *_: found.update({clip: gradient()}))  # noqa: B023
        learnt.step(Batch(images()), 0)
    assert found[1e9].norm() > 20
    assert found[2.0].norm() == pytest.approx(2.0, rel=1e-4)
    assert_close(found[2.0] / 2, found[1e9] / found[1e9].norm(), rtol=1e-4, atol=1e-7)


def test_the_average_starts_short_and_ends_at_its_decay():
    made = Plan(**{**PLAN.to_json(), "ema": 0.999})
    assert made.averaging(0) == pytest.approx(0.1)
    assert made.averaging(90) == pytest.approx(0.91)


def test_the_average_moves_every_step_at_first_and_then_once_in_eight_by_as_much():
    made = Plan(**{**PLAN.to_json(), "ema": 0.999, "total": 100_003})
    assert all(made.averaging(step) is not None for step in range(96))
    assert [made.averaging(step) is None for step in range(96, 112)] == [*[True] * 7, False] * 2
    assert made.averaging(100_000 - 1) == pytest.approx(0.999**8)
    assert made.averaging(made.total - 1) == pytest.approx(0.999**3)  # the last step is never left waiting
    every = math.prod(min(0.999, (1 + step) / (10 + step)) for step in range(made.total))
    found = math.prod(decay for step in range(made.total) if (decay := made.averaging(step)) is not None)
    assert found == pytest.approx(every)


def test_neighbouring_seeds_and_steps_have_unrelated_generators():
    seeds = {seed_of(seed, step) for seed in range(40) for step in range(1000)}
    assert len(seeds) > 40_000 - 3  # 32 bits: 0.2 collisions are expected
    assert all(0 <= seed < 2**32 for seed in seeds)


# ----------------------------------------------------------------------------------------------------- the guard


def copies(learnt: Learner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learnt.tensors().items()}


@pytest.mark.parametrize("norm", [math.nan, math.inf, "insane"])
def test_a_step_with_a_gradient_that_is_not_finite_or_insane_changes_nothing_but_the_count(norm, monkeypatch):
    learnt = learner()
    for step in range(ENOUGH):
        assert learnt.step(Batch(images(8, step)), step) is not None
    before = copies(learnt)
    factor = 1e4 if norm == "insane" else norm
    hook = next(learnt.model.parameters()).register_hook(lambda gradient: gradient * factor)
    assert learnt.step(Batch(images()), ENOUGH) is None
    hook.remove()
    after = learnt.tensors()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert learnt.guard.skipped == 1
    assert learnt.step(Batch(images()), ENOUGH + 1) is not None
    assert not all(torch.equal(learnt.tensors()[name], value) for name, value in before.items())


def test_insane_is_above_fifty_times_the_running_median():
    guard = Guard()
    for i in range(ENOUGH):
        assert guard.accepts(2.0 if i % 2 else 1.0)
    assert guard.accepts(INSANE * 1.5)
    assert not guard.accepts(INSANE * 1.5 * 1.4)
    assert guard.skipped == 1


def test_before_a_median_means_anything_only_what_is_not_finite_is_skipped():
    guard = Guard()
    assert [guard.accepts(norm) for norm in (1.0, 1e9, math.nan, math.inf, 1e-9)] == [True, True, False, False, True]


@pytest.mark.parametrize("steps_before", [ENOUGH, WINDOW, 10 * WINDOW])
def test_a_lasting_change_of_scale_is_accepted_before_it_is_too_many(steps_before: int):
    guard = Guard()
    for _ in range(steps_before):
        guard.accepts(1.0)
    outcomes = [guard.accepts(1e3) for _ in range(2 * RECENT)]
    assert not outcomes[0]
    assert outcomes.count(False) <= TOO_MANY
    assert all(outcomes[WINDOW:])


def test_too_many_skips_among_recent_ones_end_the_run_and_few_do_not():
    guard = Guard()
    for i in range(400):  # a fifth of them, for ever
        guard.accepts(math.nan if i % 5 == 0 else 1.0)
    assert guard.skipped == 80
    while sum(guard.outcomes) < TOO_MANY:
        assert not guard.accepts(math.inf)
    guard.accepts(1.0)
    with pytest.raises(Diverged, match="26 of the last 100"):
        guard.accepts(math.inf)


def test_a_guard_comes_back_from_json_as_it_was():
    guard, other = Guard(), Guard()
    for i in range(300):
        guard.accepts(math.nan if i % 9 == 0 else 1 / (i + 1))
    other.restore(json.loads(json.dumps(guard.state())))
    assert other.state() == guard.state()
    assert [other.accepts(norm) for norm in (0.1, 1e5)] == [guard.accepts(norm) for norm in (0.1, 1e5)]
    assert other.histories[0].maxlen == WINDOW


def test_a_diverging_run_stops_with_one_line_that_names_the_last_good_checkpoint(sources, tmp_path, monkeypatch):
    job = job_of("vae", sources, tmp_path / "r", steps=200)
    step, reached = job.learner.step, []

    def broken(batch: Batch, at: int) -> Tensor | None:
        reached.append(at)
        return step(batch if at < 60 else Batch(batch.x * math.nan), at)

    monkeypatch.setattr(job.learner, "step", broken)
    run = loop.Loop(job, checkpoint_minutes=1e9)
    log = run._log_validation
    monkeypatch.setattr(run, "_log_validation", lambda: (log(), run.save()))
    with pytest.raises(Mistake) as caught:
        run.run()
    last = max(step for step in job.plan.validations() if step <= 60 + TOO_MANY)
    assert str(caught.value).count("\n") == 0
    assert f"step-{last:09d}" in str(caught.value)
    assert "--learning-rate" in str(caught.value)
    assert reached[-1] == 60 + TOO_MANY
    assert all(torch.isfinite(value).all() for value in read_tensors(job.run.model).values())


def test_a_figure_that_is_not_finite_stops_the_run_instead_of_entering_the_metrics(sources, tmp_path, monkeypatch):
    job = job_of("vae", sources, tmp_path / "r")
    monkeypatch.setattr(task, "validate", lambda *_: {"elbo": math.nan, "distortion": 1.0})
    with pytest.raises(Mistake, match="step 1 gave a figure that is not finite"):
        execute(job)
    assert all("NaN" not in line for line in job.run.metrics.read_text().splitlines())


@pytest.mark.parametrize("name", ["vae", "vq_vae"])
def test_the_average_holds_no_graph_of_the_steps_before(name):
    learnt = learner(name)
    for step in range(3):
        assert learnt.step(Batch(images()), step) is not None
    assert [held for held in learnt.average.state_dict(keep_vars=True).values() if held.grad_fn or held.requires_grad] == []


# ----------------------------------------------------------------------------------------------------- validation


def elbo_by_hand(learnt: Learner, batches: list[Tensor]) -> tuple[float, float]:
    """distortion and rate from μ and σ, one draw an image, by torch's own densities."""
    torch.manual_seed(SEED)
    distortion, rate = [], []
    with torch.no_grad():
        for x in batches:
            q = learnt.average.latent.posterior(x)
            mu, sigma = q.mean, q.stddev
            z = mu + sigma * torch.normal(torch.zeros(1, *mu.shape), torch.ones(1, *mu.shape))
            logits = learnt.average.likelihood.net(z.reshape(len(x), -1)).reshape(x.shape)
            distortion.append(binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1))
            rate.append((0.5 * (mu**2 + sigma**2 - 1) - sigma.log()).sum(1))
    return torch.cat(distortion).mean().item(), torch.cat(rate).mean().item()


@pytest.mark.parametrize("name", ["vae", "beta_vae", "warmup_vae", "noisy_autoencoder"])
def test_validation_is_the_elbo_at_beta_one_whatever_is_trained(name: str):
    learnt, x = learner(name, kind="binary"), (images(48) > 0.4).float()
    for step in range(30):
        learnt.step(Batch(x), step)
    found = validate(learnt.average, [Batch(x[:20]), Batch(x[20:])])
    distortion, rate = elbo_by_hand(learnt, [x[:20], x[20:]])
    assert found["distortion"] == pytest.approx(distortion, rel=1e-5)
    assert found["rate"] == pytest.approx(rate, rel=1e-4)
    assert found["elbo"] == pytest.approx(-(distortion + rate), rel=1e-5)
    assert sum(found["kl"]) == pytest.approx(found["rate"], rel=1e-4)
    q = learnt.average.latent.posterior(x)
    assert found["sigma"] == pytest.approx(q.stddev.log().mean(0).exp().tolist(), rel=1e-4)
    assert found["std_mu"] == pytest.approx(q.mean.std(0, unbiased=False).tolist(), rel=1e-4)


def test_validation_leaves_the_global_generator_alone_and_does_not_depend_on_it():
    learnt = learner()
    torch.manual_seed(7)
    before = torch.get_rng_state()
    found = validate(learnt.average, [Batch(images())])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    assert validate(learnt.average, [Batch(images())]) == found


@pytest.mark.parametrize("name", ["vae", "beta_vae", "warmup_vae", "sigma_vae", "noisy_autoencoder"])
def test_the_metrics_hold_the_elbo_and_its_parts_at_every_validation(runs, name: str):
    lines = [line["validation"] for line in metrics(runs[name]) if "validation" in line]
    assert len(lines) == len(Plan.from_json(Run(runs[name]).stored("training")).validations())
    for line in lines:
        assert line["elbo"] == pytest.approx(-(line["distortion"] + line["rate"]), rel=1e-9)
        assert [len(line[key]) for key in ("sigma", "std_mu", "kl")] == [3, 3, 3]


def test_an_autoencoder_logs_its_distortion_and_no_elbo(runs):
    for line in metrics(runs["autoencoder"]):
        if "validation" in line:
            assert math.isfinite(line["validation"]["distortion"])
            assert [line["validation"][key] for key in ("elbo", "rate", "sigma", "kl")] == [None] * 4
        else:
            assert list(line["train"]) == ["distortion"]


def test_the_metrics_hold_each_steps_loss_parts_weights_and_learning_rate(runs):
    lines = [line for line in metrics(runs["warmup_vae"]) if "train" in line]
    made = Plan.from_json(Run(runs["warmup_vae"]).stored("training"))
    assert [line["step"] for line in lines] == list(range(1, 41))
    assert [line["learning_rate"] for line in lines] == [made.rate(step) for step in range(40)]
    assert [line["weights"]["rate"] for line in lines] == [min(step / 10, 1.0) for step in range(40)]  # a quarter of the run
    assert {line["weights"]["distortion"] for line in lines} == {1.0}
    assert [line["skipped"] for line in lines] == [0] * 40
    assert lines[-1]["train"]["distortion"] < lines[0]["train"]["distortion"]


def test_beta_weighs_the_objective_and_is_recorded(runs):
    line = next(line for line in metrics(runs["beta_vae"]) if "train" in line)
    assert line["weights"] == {"distortion": 1.0, "rate": 4.0}


def test_a_schedule_longer_than_the_run_is_refused_before_anything_is_written(sources, tmp_path):
    with pytest.raises(Mistake, match="a schedule of 100 steps outlives the run of 40"):
        train("warmup_vae", sources, tmp_path / "r", warmup=100)
    assert list(tmp_path.iterdir()) == []


def test_a_solved_scale_is_the_training_error_and_does_not_read_what_it_scores(runs):
    space = legato.load(runs["sigma_vae"], device="cpu")
    data, family = space.data(), space.model.likelihood.family
    x = torch.from_numpy(data.rows(data.split("train").draw(IMAGES, "training looks at")))
    torch.manual_seed(SCALE_SEED)
    with torch.no_grad():
        squares = []
        for batch in x.split(32):
            q = space.model.latent.posterior(batch)
            z = q.mean + q.stddev * torch.normal(torch.zeros(1, *q.mean.shape), torch.ones(1, *q.mean.shape))
            squares.append((batch - space.model.decode(z)[0]) ** 2)
    assert family.scale.item() == pytest.approx(math.sqrt(torch.cat(squares).mean().item()), rel=1e-4)
    test = data.dataset.rows[data.split("test").all()]
    whole = space.distortion(test)
    assert np.allclose(np.concatenate([space.distortion(row[None]) for row in test]), whole, rtol=1e-5)
    error = ((space.prepare(test) - space.decode(space.encode(test)[0])) ** 2).sum((1, 2, 3))
    sigma = family.scale.item()
    assert whole == pytest.approx(error / (2 * sigma**2) + 64 * math.log(sigma * math.sqrt(2 * math.pi)), rel=1e-4)


def test_only_a_solved_scale_is_solved():
    learnt = learner("vae", likelihood="gaussian")
    before = learnt.average.likelihood.family.log_scale.clone()
    solve_scale(learnt.average, [Batch(images())])
    assert torch.equal(learnt.average.likelihood.family.log_scale, before)


# ----------------------------------------------------------------------------------------------------- the data's order


def counted(n: int, batch_size: int, seed: int = 0, chosen: np.ndarray | None = None) -> TrainingBatches:
    """Batches whose rows hold their own number."""
    rows = np.arange(n, dtype=np.float64)[:, None]
    return TrainingBatches(rows, np.arange(n) if chosen is None else chosen, Preparation("reals"), batch_size, seed)


def test_every_row_is_seen_at_most_once_an_epoch_and_the_left_out_ones_differ():
    batches, left_out = counted(50, 8), []
    assert batches.per_epoch == 6
    for epoch in range(20):
        seen = np.concatenate([batches.at(6 * epoch + place).x[:, 0] for place in range(6)])
        assert len(set(seen)) == 48
        left_out.append(frozenset(range(50)) - set(seen))
    assert len(set(left_out)) > 15
    assert set().union(*left_out) > set(range(0, 50, 7)) or len(set().union(*left_out)) > 20


def test_epochs_are_shuffled_afresh_and_only_chosen_rows_are_seen():
    chosen = np.arange(3, 40, 3)
    batches = counted(50, len(chosen), chosen=chosen)
    orders = [tuple(batches.at(epoch).x[:, 0]) for epoch in range(10)]
    assert len(set(orders)) == 10
    assert all(sorted(order) == list(chosen) for order in orders)


def test_a_batch_is_a_function_of_seed_and_step():
    order = np.random.default_rng(0).permutation(30)
    straight = [counted(50, 8).at(step).x for step in range(30)]
    jumping = counted(50, 8)
    for step in order:
        assert np.array_equal(jumping.at(int(step)).x, straight[step])
        assert np.array_equal(counted(50, 8).at(int(step)).x, straight[step])
    assert not np.array_equal(counted(50, 8, seed=1).at(0).x, straight[0])


def test_a_batch_larger_than_the_data_is_the_data():
    batches = counted(5, 128)
    assert batches.per_epoch == 1
    assert sorted(batches.at(3).x[:, 0]) == [0, 1, 2, 3, 4]


# ----------------------------------------------------------------------------------------------------- where it is written


def test_a_run_that_is_there_is_refused_and_stays_as_it_is(runs, sources):
    before = {path: path.stat().st_mtime_ns for path in runs["vae"].rglob("*")}
    with pytest.raises(Mistake, match=r"holds a run already: .*--resume.*--overwrite"):
        train("vae", sources, runs["vae"])
    assert {path: path.stat().st_mtime_ns for path in runs["vae"].rglob("*")} == before


def test_overwrite_replaces_a_run_and_leaves_nothing_of_the_old_one(sources, tmp_path):
    train("vae", sources, tmp_path / "r", steps=60)
    (tmp_path / "r" / "figures").mkdir()
    train("autoencoder", sources, tmp_path / "r", overwrite=True)
    train("autoencoder", sources, tmp_path / "fresh")
    names = [sorted(str(p.relative_to(run)) for p in run.rglob("*")) for run in (tmp_path / "r", tmp_path / "fresh")]
    assert names[0] == names[1]
    assert Run(tmp_path / "r").model.read_bytes() == Run(tmp_path / "fresh").model.read_bytes()


def test_overwrite_that_is_refused_for_a_mistake_leaves_the_old_run(sources, tmp_path):
    train("vae", sources, tmp_path / "r")
    before = Run(tmp_path / "r").model.read_bytes()
    with pytest.raises(Mistake, match="latent_dim"):
        train("vae", sources, tmp_path / "r", overwrite=True, latent_dim=0)
    assert Run(tmp_path / "r").model.read_bytes() == before
    assert legato.load(tmp_path / "r").latent_dim == 3


def test_a_folder_of_other_things_is_never_taken_not_even_with_overwrite(sources, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"x")
    for overwrite in (False, True):
        with pytest.raises(Mistake, match="holds files that are no run"):
            train("vae", sources, tmp_path / "photos", overwrite=overwrite)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_file_is_no_folder(sources, tmp_path):
    (tmp_path / "r").write_text("x")
    with pytest.raises(Mistake, match="is a file"):
        train("vae", sources, tmp_path / "r")
    assert (tmp_path / "r").read_text() == "x"


def test_an_empty_folder_is_taken(sources, tmp_path):
    (tmp_path / "r").mkdir()
    assert train("vae", sources, tmp_path / "r", steps=2).run.path == tmp_path / "r"


def test_without_out_the_first_free_name_is_taken(sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train("vae", sources, None, steps=1).run.path == Path("runs/vae-1")  # type: ignore[arg-type]
    assert train("vae", sources, None, steps=1).run.path == Path("runs/vae-2")  # type: ignore[arg-type]


def test_an_overwrite_that_was_killed_half_way_can_be_overwritten(sources, tmp_path, monkeypatch):
    train("vae", sources, tmp_path / "r")
    moved, rename = [], os.rename

    def killed(*arguments: Any) -> None:
        if len(moved) > 1:
            raise KeyboardInterrupt
        rename(*arguments)
        moved.append(arguments)

    monkeypatch.setattr(os, "rename", killed)
    monkeypatch.setattr(Run, "_settle", lambda run: None)  # the process is gone before it could put anything back
    with pytest.raises(KeyboardInterrupt):
        train("vae", sources, tmp_path / "r", overwrite=True)
    monkeypatch.undo()
    assert train("vae", sources, tmp_path / "r", overwrite=True).latent_dim == 3


def test_one_writer_at_a_time_and_the_lock_ends_with_it(tmp_path):
    run = Run(tmp_path / "r")
    with run.writing(), pytest.raises(Mistake, match=r"is being written by process \d+"), Run(tmp_path / "r").writing():
        pass
    with Run(tmp_path / "r").writing():
        pass


def test_the_seed_fixes_everything_and_another_gives_another_model(runs, sources, tmp_path):
    train("vae", sources, tmp_path / "same")
    train("vae", sources, tmp_path / "other", seed=1)
    expected = Run(runs["vae"]).model.read_bytes()
    assert Run(tmp_path / "same").model.read_bytes() == expected
    assert Run(tmp_path / "other").model.read_bytes() != expected


def test_training_leaves_the_global_generator_alone(sources, tmp_path):
    before = torch.get_rng_state()
    train("vae", sources, tmp_path / "r", steps=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_array_in_memory_trains_and_its_run_says_that_the_data_must_be_named_again(tmp_path):
    array = blobs(60)[0]
    space = legato.train("vae", array, tmp_path / "r", **{**SMALL, "steps": 3})
    assert space.data(array).dataset.fingerprint == space.data().dataset.fingerprint  # the model keeps them while it lives
    with pytest.raises(Mistake, match="data in memory"):
        legato.load(tmp_path / "r").data()
