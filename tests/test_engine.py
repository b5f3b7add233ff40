"""The graphed engine against the eager one: the same step in tensors, and nothing in it that a card could not capture.

On the CPU a step is not captured but made again at each replay: the meaning is then the graph's, bit for bit. What a capture
refuses is refused by `tests/fake_capture.py`, on a device that computes nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import legato
from fake_capture import META, capturable
from legato.batch import Batch
from legato.data import open_source
from legato.devices import choose
from legato.errors import Mistake, Stopped
from legato.run import Run
from legato.training import resident
from legato.training.engine import Eager, chosen
from legato.training.graphed import WARM, Graphed
from legato.training.guard import ENOUGH, TOO_MANY, Diverged, Guard
from legato.training.options import Plan, TrainingOptions, plan, suited
from legato.training.resident import Ahead, Resident, supply
from legato.training.task import Task, defined, learner_of
from legato.training.verdict import Verdict
from made_runs import OF_CLASSES, RUNS, small, train, write_sources
from stopped_runs import assert_same as assert_same_run
from stopped_runs import resume, stopping_after

EVERY = RUNS | OF_CLASSES
CPU = torch.device("cpu")


class Again:
    """A graph on the CPU: `replay` does the work again."""

    def __init__(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> None:
        self.replay = work


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_sources(tmp_path_factory.mktemp("sources"))


def task_of(name: str, sources: dict[str, Path], device: torch.device = CPU, **other: Any) -> Task:
    recipe, kind, own = EVERY[name]
    words = small(**{**own, **other})
    words = {key: value for key, value in words.items() if key not in ("device", "threads")}
    steps, options = words.pop("steps"), {key: words.pop(key) for key in ("batch_size", "learning_rate")}
    definition, data = defined(recipe, open_source(str(sources[kind])), words)
    made = plan(suited(TrainingOptions(**options), definition.words.net), steps, options["batch_size"])
    return Task(made, definition, data, learner_of(made, definition, data, device, None))


def graphed(task: Task, **how: Any) -> Graphed:
    return Graphed(task.learner, Resident(task.batches(), CPU), record=Again, **how)


def eager(task: Task) -> Eager:
    """As on a card, where rates are rounded to float32."""
    for side in task.learner.sides:
        side.optimiser.rounds = True
    return Eager(task.learner, Resident(task.batches(), CPU))


def assert_same(one: Task, other: Task) -> None:
    """All that a checkpoint holds, to the bit; the average to rounding, since on the CPU one pass makes it (learner.py)."""
    mine, theirs = one.learner.tensors(), other.learner.tensors()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        if name.startswith("average."):
            torch.testing.assert_close(value, theirs[name], rtol=1e-6, atol=1e-7, msg=name)
        else:
            assert torch.equal(value, theirs[name]), name
    assert one.learner.guard.state() == other.learner.guard.state()


@pytest.mark.parametrize("name", EVERY)
def test_graphed_steps_are_the_eager_ones(name: str, sources: dict[str, Path]) -> None:
    one, other = task_of(name, sources), task_of(name, sources)
    first, second = graphed(one), eager(other)
    for step in range(12):
        first.step(step)
        second.step(step)
    assert first.graph is not None
    assert first.look() == second.look()
    assert_same(one, other)


def test_graphed_goes_on_from_a_checkpoint_to_the_bit(sources: dict[str, Path]) -> None:
    """Stopped after 9 of 20 steps: guard, sums, schedules and rows are taken up where they were."""
    whole, begun, resumed = (task_of("factor_vae", sources) for _ in range(3))
    there, first = graphed(whole), graphed(begun)
    for step in range(20):
        there.step(step)
    for step in range(9):
        first.step(step)
    sums, counted = first.look()
    kept = {name: value.clone() for name, value in begun.learner.tensors().items()}
    resumed.learner.restore(kept, begun.learner.guard.state())
    again = graphed(resumed, sums=sums, counted=counted)
    for step in range(9, 20):
        again.step(step)
    assert again.look() == there.look()
    assert_same(resumed, whole)


@pytest.mark.parametrize("name", ["vae", "geco_vae", "factor_vae", "vq_vae"])
def test_a_step_that_is_not_finite_moves_nothing(name: str, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(name, sources)
    engine = graphed(task)
    for step in range(6):
        engine.step(step)
    engine.look()
    before = {key: value.clone() for key, value in task.learner.tensors().items()}
    figures, cut = engine.look(), engine.batches.cut
    monkeypatch.setattr(engine.batches, "cut", lambda: dataclasses.replace(cut(), x=cut().x * math.nan))
    engine.step(6)
    assert engine.look() == figures
    assert task.learner.guard.skipped == 1
    for key, value in task.learner.tensors().items():
        # the codebook follows finite tokens whatever becomes of the step, in either engine
        if "family" not in key:
            assert torch.equal(value, before[key]), key


def test_the_verdict_is_the_guards() -> None:
    """Over 400 steps of two players with spikes, NaN and a lasting change, from an empty memory and from one that was told."""
    rng = np.random.default_rng(3)
    norms = np.exp(rng.normal(size=(400, 2)))
    norms[rng.random((400, 2)) < 0.03] *= 1e4
    norms[rng.random((400, 2)) < 0.02] = np.nan
    norms[200:] *= 30
    guard = Guard(2)
    verdict = Verdict(guard, CPU)
    for step, pair in enumerate(norms):
        if step == 150:  # as at a resume
            told = Guard(2)
            verdict.tell(told)
            assert told.state() == guard.state()
            verdict = Verdict(told, CPU)
        assert bool(verdict.accepts(torch.from_numpy(pair))) == guard.accepts(*pair), step
    told = Guard(2)
    verdict.tell(told)
    assert told.state() == guard.state()


def test_the_verdict_ends_a_run_where_the_guard_does() -> None:
    guard, verdict = Guard(), Verdict(Guard(), CPU)
    norms = [1.0] * ENOUGH + [math.nan] * TOO_MANY
    for norm in norms:
        guard.accepts(norm)
    with pytest.raises(Diverged) as ended:
        guard.accepts(math.nan)
    for norm in [*norms, math.nan, 1.0, 1.0]:  # the host looks later: what follows is neither done nor remembered
        taken = bool(verdict.accepts(torch.tensor([norm]).double()))
    assert not taken
    told = Guard()
    with pytest.raises(Diverged, match="lower --learning-rate") as late:
        verdict.tell(told)
    assert str(late.value) == str(ended.value)
    assert told.state() == guard.state()


def test_a_run_that_diverges_stops_in_either_engine(sources: dict[str, Path]) -> None:
    task = task_of("vae", sources)
    engine = graphed(task)
    task.learner.sides[0].weights[0].data.fill_(math.nan)
    for step in range(40):
        engine.step(step)
    with pytest.raises(Diverged, match="26 of the last 26 steps"):
        engine.look()


@pytest.fixture
def on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole runs are made by the graphed engine, on the CPU."""
    monkeypatch.setattr(Task, "engine", lambda task, sums=(), counted=0: graphed(task, sums=sums, counted=counted))


@pytest.mark.parametrize("name", ["vae", "factor_vae", "geco_vae", "grid", "conditional_vae", "m2_vae"])
@pytest.mark.usefixtures("on_a_card")
def test_a_graphed_run_that_was_stopped_is_the_one_that_was_not(name: str, sources: dict[str, Path], tmp_path: Path) -> None:
    train(name, sources, tmp_path / "whole")
    with stopping_after(2), pytest.raises(Stopped):  # before its capture
        train(name, sources, tmp_path / "run")
    with stopping_after(7):
        resume(tmp_path / "run")
    assert resume(tmp_path / "run") == 0
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.usefixtures("on_a_card")
def test_a_graphed_run_that_diverges_ends_as_any_does(
    sources: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found out at the next line of metrics: nothing has moved since."""
    monkeypatch.setattr(Plan, "log_every", lambda plan: 35)
    cut = Resident.cut
    monkeypatch.setattr(Resident, "cut", lambda rows: dataclasses.replace(cut(rows), x=cut(rows).x * math.nan))
    with pytest.raises(Mistake, match=r"26 of the last 26 steps had a gradient that is not finite.*no checkpoint had been"):
        train("vae", sources, tmp_path / "run")


# ------------------------------------------------------------------------------------------------- capture


@pytest.mark.parametrize("name", EVERY)
def test_a_step_holds_nothing_that_a_card_cannot_capture(name: str, sources: dict[str, Path]) -> None:
    task = task_of(name, sources, META)
    engine = Graphed(task.learner, Resident(task.batches(), META), record=Again)
    with capturable() as seen:
        engine.tick()
    assert {"_fused_adamw_", "_foreach_add_", "sort"} <= seen  # to the optimiser, the average and the guard's median


@pytest.mark.parametrize("net", ["residual", "conv", "strided"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretized-logistic", "continuous-bernoulli"])
def test_nets_and_likelihoods_can_be_captured(net: str, likelihood: str, sources: dict[str, Path]) -> None:
    task = task_of("vae", sources, META, net=net, likelihood=likelihood, width=4, depth=1)
    engine = Graphed(task.learner, Resident(task.batches(), META), record=Again)
    with capturable() as seen:
        engine.tick()
    assert {"_fused_adamw_", "_foreach_add_", "sort"} <= seen  # to the optimiser, the average and the guard's median


@pytest.mark.parametrize(
    ("what", "work"),
    [
        ("item", lambda x: x.sum().item()),
        ("float", lambda x: float(x.sum())),
        ("a branch", lambda x: 1 if x.sum() > 0 else 2),
        ("nonzero", lambda x: x[x > 0]),
        ("cpu", lambda x: x.cpu()),
        ("numpy", lambda x: x.tolist()),
        ("a constant from the host", lambda x: x + torch.tensor([1.0, 2.0]).to(x.device)),
        ("a tensor of the host", lambda x: x * torch.ones(2)),
        ("bincount", lambda x: torch.bincount(x.long())),
        ("unique", torch.unique),
    ],
)
def test_the_fake_capture_refuses(what: str, work: Callable[[torch.Tensor], object]) -> None:
    x = torch.zeros(2, device=META)
    with pytest.raises((RuntimeError, NotImplementedError)), capturable():
        work(x)


def test_a_recipe_that_cannot_be_captured_goes_on_eagerly(sources: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    def refuses(work: Callable[[], None], generators: Sequence[torch.Generator]) -> Again:
        raise RuntimeError("operation not permitted when stream is capturing\nand more lines")

    one, other = task_of("vae", sources), task_of("vae", sources)
    eager(one)  # its rates are rounded, as they are once it goes on so
    first, second = Graphed(one.learner, Resident(one.batches(), CPU), record=refuses), eager(other)
    for step in range(10):
        first.step(step)
        second.step(step)
    assert first.look() == second.look()
    assert_same(one, other)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "cannot be captured (operation not permitted when stream is capturing)" in said[0]


# ------------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("kind", ["grey", "binary", "colour", "table"])
def test_rows_on_the_device_are_those_of_the_host(kind: str, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows in the same order, and the same values where none is drawn."""
    monkeypatch.setattr(resident, "BLOCK", 100)  # the last block is not full
    task = task_of("vae", {**sources, "grey": sources[kind]}, likelihood="auto")
    host, there = task.batches(), Resident(task.batches(), CPU)
    for step in (0, 3, host.per_epoch, 2 * host.per_epoch + 1):
        mine, theirs = host.at(step), there.at(step)
        assert torch.equal(torch.as_tensor(mine.rows), torch.as_tensor(theirs.rows))
        assert torch.equal(mine.x, theirs.x)


def test_pixels_on_the_device_are_functions_of_seed_and_step_and_have_their_chance(sources: dict[str, Path]) -> None:
    task = task_of("bernoulli", sources)
    one, other = Resident(task.batches(), CPU), Resident(task.batches(), CPU)
    other.at(5)
    assert torch.equal(one.at(2).x, other.at(2).x)
    assert not torch.equal(one.at(2).x, one.at(2 + one.per_epoch).x)
    halves = torch.cat([one.at(2, rank, 2).x for rank in range(2)])
    assert torch.equal(halves, one.at(2).x)
    batches = task.batches()
    expected = torch.from_numpy(batches.rows[batches.chosen].mean(0) / 255)
    steps = 40 * one.per_epoch
    mean = torch.stack([one.at(step).x.mean(0) for step in range(steps)]).mean(0)
    error = (expected * (1 - expected) / (steps * batches.batch_size)).sqrt() + 1e-3  # rows left out of a pass
    assert float(((mean - expected).abs() / error).max()) < 5


def test_rows_that_do_not_fit_are_cut_on_the_host_and_brought_ahead(sources: dict[str, Path]) -> None:
    task = task_of("conditional_vae", sources)
    batches = task.batches()
    assert isinstance(supply(batches, CPU, 3 * batches.size), Resident)
    there = supply(batches, CPU, 3 * batches.size - 1)
    assert isinstance(there, Ahead)
    for step in (0, 1, 2, 7, 3):  # in turn, and out of it as at a resume
        mine, theirs = task.batches().at(step), there.at(step)
        for part in ("x", "label", "rows"):
            assert torch.equal(getattr(mine, part), getattr(theirs, part))
    assert isinstance(there.cut(), Batch)


# ------------------------------------------------------------------------------------------------- what a person says


def test_the_engine_is_chosen_by_the_device() -> None:
    assert chosen("auto", CPU) == "eager"
    assert chosen("auto", torch.device("cuda")) == "graphed"
    assert chosen("eager", torch.device("cuda")) == "eager"
    with pytest.raises(Mistake, match=r"--engine graphed captures CUDA graphs, and the device is cpu"):
        chosen("graphed", CPU)


def test_a_graph_or_tf32_on_the_cpu_is_refused_before_anything_is_written(sources: dict[str, Path], tmp_path: Path) -> None:
    for option, said in ({"engine": "graphed"}, "--engine graphed"), ({"precision": "tf32"}, "tf32 is a precision of NVIDIA"):
        with pytest.raises(Mistake, match=said):
            legato.train("vae", str(sources["grey"]), tmp_path / "run", **small(**option))
        assert not (tmp_path / "run").exists()


def test_a_run_says_its_engine_and_one_of_before_is_eager(sources: dict[str, Path], tmp_path: Path) -> None:
    legato.train("vae", str(sources["grey"]), tmp_path / "run", **small(steps=2))
    assert Run(tmp_path / "run").stored("training")["engine"] == "eager"
    assert choose("cpu").type == "cpu"
    assert WARM < 10
