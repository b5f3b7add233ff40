"""How long a run is, with how many threads, and which of its weights it keeps: timed once, fixed, recorded, said, resumed."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import legato
from legato import cli, devices, nets
from legato.defaults import NETS
from legato.errors import Mistake, Stopped
from legato.run import Run
from legato.training import length, options, threads
from legato.training.best import LOST, course, score
from legato.training.learner import Learner
from legato.training.length import Length, Rehearsal
from legato.training.options import FEW_ROWS, LEAST_STEPS, MOST_PASSES, TrainingOptions, check, most_steps, suited
from legato.training.task import Task
from legato.training.threads import Pace, timed
from made_runs import SMALL, arguments, metrics, train
from stopped_runs import assert_same, resume, stopping_after

CPU = torch.device("cpu")


@pytest.fixture
def two() -> Iterator[None]:
    """Two threads to choose from, of which nobody has said how many; afterwards the test's own."""
    before, said = torch.get_num_threads(), devices._SAID[:]
    devices._SAID.clear()
    torch.set_num_threads(2)
    yield
    devices._SAID[:] = said
    torch.set_num_threads(before)


class Machine:
    """Time that passes only in steps: seconds of one by the number of threads that it is made with."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.now, self.made = seconds, 100.0, dict.fromkeys(seconds, 0)

    def perf_counter(self) -> float:
        return self.now

    def step(self, _: int) -> None:
        count = torch.get_num_threads()
        self.made[count] += 1
        self.now += self.seconds[count]


# ----------------------------------------------------------------------------------------------------- threads


@pytest.mark.parametrize(
    ("one", "all_", "best"),
    [(0.011, 0.3, 1), (0.02, 0.011, 2), (0.02, 0.019, 1), (0.5, 0.26, 2), (1.2, 30.0, 1), (0.0004, 0.0003, 2), (0.1, 0.1, 1)],
)
def test_the_quicker_of_one_thread_and_all_is_taken_and_one_where_all_gain_little(one, all_, best, two, monkeypatch):
    machine = Machine({1: one, 2: all_})
    monkeypatch.setattr(threads, "time", machine)
    pace = timed(machine.step, 2)
    assert (pace.one, pace.all, pace.most) == (pytest.approx(one), pytest.approx(all_), 2)
    assert pace.best == best
    assert torch.get_num_threads() == 2
    allowed = threads.LONG + 3 * (one + all_) + 2 * threads.ROUNDS * threads.SLICE
    assert machine.now - 100 <= allowed, "the trial itself must not cost what it saves"
    assert machine.made[2] <= 2 or all_ < threads.CLEAR * one, "one slow round tells enough"


def test_a_trial_takes_turns_so_that_a_pause_of_the_machine_does_not_decide(two, monkeypatch):
    """All threads are twice as quick, and each kind meets the same pause in its first slice."""
    machine = Machine({1: 0.02, 2: 0.01})
    step, paused = machine.step, set[int]()

    def disturbed(i: int) -> None:
        step(i)
        if i > 3 and (count := torch.get_num_threads()) not in paused:
            paused.add(count)
            machine.now += 0.05

    monkeypatch.setattr(threads, "time", machine)
    assert timed(disturbed, 2).best == 2
    assert paused == {1, 2}


def never() -> Any:
    raise AssertionError("there is nothing to compile")


def nothing() -> Rehearsal:
    return Rehearsal(min, min, 0, lambda: None, never)


def rehearsing(machine: Machine, validations: int = 0) -> Any:
    return lambda: Rehearsal(machine.step, lambda: None, validations, lambda: None, never)


@pytest.mark.parametrize("asked", [{"steps": 70}, {"epochs": 3.0}, {}, {"minutes": 1.0}])
def test_threads_are_timed_however_the_length_is_said_and_the_choice_goes_into_the_steps_of_a_budget(asked, two, monkeypatch):
    machine = Machine({1: 0.01, 2: 0.3})
    monkeypatch.setattr(threads, "time", machine)
    monkeypatch.setattr(length, "time", machine)
    monkeypatch.setattr("legato.training.probe.time", machine)
    found = length.found(TrainingOptions(**asked, engine="eager"), 10**6, 100, CPU, rehearsing(machine))
    assert found.threads == 1
    assert found.pace is not None
    assert found.total == (pytest.approx((160 - machine.now) / 0.01, rel=0.01) if "minutes" in asked else asked.get("steps") or
                           round(asked.get("epochs", 20) * 10**4))  # fmt: skip


@pytest.mark.parametrize("how", ["said", "one core", "a GPU"])
def test_nothing_is_timed_where_threads_were_said_or_there_is_one_or_a_gpu_computes(how, two):
    if how == "said":
        devices.choose("cpu", 2)
    if how == "one core":
        torch.set_num_threads(1)
    device = torch.device("cuda") if how == "a GPU" else CPU

    def never() -> Rehearsal:
        raise AssertionError("there is nothing to time")

    found = length.found(TrainingOptions(steps=5), 100, 10, device, never)
    assert (found.threads, found.pace, found.total) == (torch.get_num_threads(), None, 5)


def test_the_choice_is_recorded_said_and_kept_by_resume_and_the_process_has_its_threads_back(
    two, sources, tmp_path, monkeypatch, capsys
):
    paces, used = [Pace(2, 0.0123, 0.3), Pace(2, 0.3, 0.1)], []
    monkeypatch.setattr(length, "timed", lambda step, most: paces.pop(0))
    step = Learner.step
    monkeypatch.setattr(Learner, "step", lambda *of: (used.append(torch.get_num_threads()), step(*of))[1])
    words = arguments("vae", sources["grey"], tmp_path / "r")
    at = words.index("--threads")
    with stopping_after(20):
        assert cli.run([*words[:at], *words[at + 2 :]]) == 128 + signal.SIGTERM
    told = capsys.readouterr().out
    assert "1 thread, chosen by timing: a step took 12 ms with 1 thread and 300 ms with all 2; --threads says otherwise" in told
    stored = Run(tmp_path / "r").stored("training")
    assert (stored["threads"], stored["pace"]) == (1, {"1": 0.0123, "2": 0.3})
    assert torch.get_num_threads() == 2
    assert resume(tmp_path / "r") == 0
    assert len(paces) == 1, "a resumed run is not timed again"
    assert set(used) == {1}
    assert len(used) == 40
    assert torch.get_num_threads() == 2


def test_two_runs_that_chose_alike_are_the_same_run_whatever_the_clock_said(two, runs, sources, tmp_path, monkeypatch):
    """What a trial draws and learns is thrown away: the run is that of `--threads 1`, which was timed for nothing."""
    monkeypatch.setattr(threads, "GAIN", 0.0)  # one thread always
    train("vae", sources, tmp_path / "r", threads=None)
    assert "pace" in Run(tmp_path / "r").stored("training")
    assert Run(tmp_path / "r").model.read_bytes() == Run(runs["vae"]).model.read_bytes()
    assert metrics(tmp_path / "r") == metrics(runs["vae"])


# ----------------------------------------------------------------------------------------------------- passes


@pytest.mark.parametrize(
    ("rows", "size", "passes", "steps"),
    [
        (455, 256, None, LEAST_STEPS),  # a pass is one step here, and a hundred of them would leave the net half trained
        (142, 142, None, LEAST_STEPS),
        (2_000, 256, None, max(MOST_PASSES * 7, LEAST_STEPS)),
        (FEW_ROWS - 1, 100, None, MOST_PASSES * 99),
        (FEW_ROWS, 100, None, None),  # no small source any more
        (455, 256, 748, 748),
        (455, 256, 0.5, 1),
        (55_000, 250, 2.5, 550),
    ],
)
def test_minutes_make_no_more_passes_over_a_small_source_than_the_cap_or_what_was_said(rows, size, passes, steps, monkeypatch):
    monkeypatch.setattr(length, "steps_for", lambda *_: 10**8)
    found = length.found(TrainingOptions(minutes=2, max_passes=passes), rows, size, CPU, nothing)
    assert found.total == (steps or 10**8)
    assert (found.affordable == 10**8) == (steps is not None and passes is None), "a cap that was said surprises nobody"
    monkeypatch.setattr(length, "steps_for", lambda *_: 5)
    assert length.found(TrainingOptions(minutes=2), rows, size, CPU, nothing).total == 5


@given(st.integers(1, 10**6), st.integers(1, 10**4))
def test_the_cap_is_at_least_the_passes_it_names_and_leaves_the_net_time_to_learn(rows, size):
    per_epoch = max(rows // size, 1)
    assert most_steps(rows, per_epoch, None) >= max(LEAST_STEPS, MOST_PASSES * per_epoch)
    assert most_steps(rows, per_epoch, 3) == 3 * per_epoch


@pytest.mark.parametrize("said", [{"steps": 5_000}, {"epochs": 4_000.0}])
def test_a_length_that_was_said_in_steps_or_epochs_is_what_was_said(said):
    found = length.found(TrainingOptions(**said, engine="eager"), 455, 256, CPU, nothing)
    assert found.total == max(said.values())


def test_a_cap_is_said_and_recorded_and_the_schedules_are_fitted_to_it(few, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(options, "MOST_PASSES", 8)
    monkeypatch.setattr(options, "LEAST_STEPS", 10)
    monkeypatch.setattr(length, "steps_for", lambda *_: 748 * 3)
    words = arguments("vae", few, tmp_path / "r", minutes=2, width=4)
    at = words.index("--steps")
    words = [*words[:at], *words[at + 2 :]]
    assert cli.run(words) == 0
    told = "8 passes, though there is time for 748: so few rows (96) are soon learnt by heart; --max-passes 748 says otherwise"
    printed = capsys.readouterr().out
    assert told in printed
    assert "is the last step's: this model may gain by more passes than the default cap (--max-passes)" in printed
    stored, last = Run(tmp_path / "r").stored("training"), metrics(tmp_path / "r")
    assert (stored["total"], stored["affordable"]) == (24, 748 * 3)
    assert last[-1]["step"] == 24
    rates = [line["learning_rate"] for line in last if "learning_rate" in line]
    assert rates[-1] < 0.02 * max(rates), "the cosine ends where the run does"
    assert cli.run([*words, "--overwrite", "--max-passes", "2"]) == 0
    assert Run(tmp_path / "r").stored("training")["total"] == 6
    printed = capsys.readouterr().out
    assert "there is time for" not in printed
    assert "default cap" not in printed
    train("table", {"table": few}, tmp_path / "told", steps=None, minutes=2, width=4)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"minutes": 1, "max_passes": 0.0}, "--max-passes must be a positive number, got 0"),
        ({"minutes": 1, "max_passes": float("nan")}, "--max-passes must be a positive number, got nan"),
        ({"steps": 5, "max_passes": 3.0}, "--max-passes belongs to --minutes"),
    ],
)
def test_a_cap_that_means_nothing_is_refused(options, words):
    with pytest.raises(Mistake, match=words):
        check(TrainingOptions(**options))


# ----------------------------------------------------------------------------------------------------- the best


def of(*elbos: float | None, distortion: float = 5.0) -> list[dict[str, Any]]:
    lines = [{"step": 10 * i + 1, "validation": {"elbo": elbo, "distortion": distortion}} for i, elbo in enumerate(elbos)]
    return [{"step": 0, "train": {}}, *lines]


def test_the_best_is_the_highest_elbo_and_of_an_autoencoder_the_least_distortion_and_of_equals_the_first():
    judged = course(of(-50.0, -20.0, -20.0, -32.0))
    assert judged is not None
    assert (judged.best.step, judged.best.score, judged.last.step) == (11, -20.0, 31)
    assert judged.lost
    plain = course([{"step": s, "validation": {"elbo": None, "distortion": d}} for s, d in ((1, 9.0), (2, 3.0), (3, 4.0))])
    assert plain is not None
    assert (plain.best.step, plain.figure(plain.best), plain.word) == (2, "3.00", "distortion")
    assert course([{"step": 1, "train": {}}]) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_the_best_is_no_worse_than_any_and_only_a_fall_that_counts_is_called_one(elbos):
    judged = course(of(*elbos))
    assert judged is not None
    assert judged.best.score == max(elbos)
    assert judged.best.step == 10 * elbos.index(max(elbos)) + 1
    assert judged.lost == (max(elbos) - elbos[-1] > LOST * (max(elbos) - elbos[0]))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 rows of 10 columns that three numbers and some noise explain: soon learnt by heart."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("few") / "few.npy"
    np.save(path, rng.normal(size=(120, 3)) @ rng.normal(size=(3, 10)) + 0.5 * rng.normal(size=(120, 10)))
    return path


STEPS = 120
WORDS = {"learning_rate": 0.02, "ema": 0.9, "width": 64, "depth": 2, "steps": STEPS, "snapshots": 3}


def overfitting(recipe: str, few: Path, out: Path, **other: Any) -> legato.latent_space.LatentSpace:
    """Large steps and many passes: the best validation is neither the first nor the last."""
    space = legato.train(recipe, str(few), out, **{**SMALL, **WORDS, **other})
    judged = course(space.run.read_metrics())
    assert judged is not None
    assert 10 < judged.best.step < STEPS, "nothing would be tested"
    return space


@pytest.mark.parametrize("recipe", ["sigma_vae", "autoencoder"])
def test_keep_best_takes_the_weights_of_the_best_validation_and_changes_nothing_else(recipe, few, tmp_path):
    if recipe == "autoencoder":  # which learns little by heart of rows that three numbers explain
        np.save(few := tmp_path / "noise.npy", np.random.default_rng(0).normal(size=(80, 10)))
    last, best = (overfitting(recipe, few, tmp_path / keep, keep=keep) for keep in ("last", "best"))
    assert metrics(last.run.path) == metrics(best.run.path)
    judged = course(last.run.read_metrics())
    assert judged is not None
    with stopping_after(judged.best.step), pytest.raises(Stopped):  # the last step's weights then are the best step's
        legato.train(recipe, str(few), tmp_path / "until", **{**SMALL, **WORDS})
    x = np.load(few)
    until = legato.load(tmp_path / "until", device="cpu")
    for space, same in ((best, True), (last, False)):
        assert np.array_equal(space.encode(x)[0], until.encode(x)[0]) == same
    trained_on = x[best.data().split("train").all()]
    assert np.allclose(best.codes()[0], best.encode(trained_on)[0].mean(0), atol=1e-4)
    assert (best.run.stored("training")["keep"], last.run.stored("training")["keep"]) == ("best", "last")


def test_a_run_that_keeps_the_best_is_bit_for_bit_the_same_when_stopped_and_resumed(few, tmp_path):
    overfitting("sigma_vae", few, tmp_path / "whole", keep="best")
    with stopping_after(7), pytest.raises(Stopped):
        overfitting("sigma_vae", few, tmp_path / "r", keep="best")
    for steps in (43, 60):  # before the best, and after it
        with stopping_after(steps):
            assert resume(tmp_path / "r") == 128 + signal.SIGTERM
    assert resume(tmp_path / "r") == 0
    assert_same(tmp_path / "r", tmp_path / "whole")


@pytest.mark.parametrize("keep", ["best", "last"])
def test_held_out_rows_that_become_impossible_end_no_run_that_has_a_best(keep, few, tmp_path, capsys, monkeypatch):
    validate, seen = Task.validate, []

    def worse(task):
        found = validate(task)
        seen.append(found["elbo"])
        return found if len(seen) < 4 else {**found, "distortion": math.inf, "elbo": -math.inf}

    monkeypatch.setattr(Task, "validate", worse)
    words = {**SMALL, **WORDS, "keep": keep}
    if keep == "last":
        with pytest.raises(Mistake, match="not finite"):
            legato.train("sigma_vae", str(few), tmp_path / "r", **words)
        return
    space = legato.train("sigma_vae", str(few), tmp_path / "r", **words)
    judged = course(space.run.read_metrics())
    assert judged is not None
    assert judged.best.score == pytest.approx(max(seen[:3]), abs=1e-6)
    assert "held out are impossible under these weights" in capsys.readouterr().err


def test_the_best_step_is_said_with_what_would_help(few, tmp_path, capsys):
    out = tmp_path / "r"
    words = arguments("sigma_vae", few, out, **WORDS)
    assert cli.run(words) == 0
    judged = course(Run(out).read_metrics())
    assert judged is not None
    line = capsys.readouterr().out.splitlines()[-2]
    assert line == (
        f"the best validation ELBO (β = 1) was {judged.best.score:.2f}, at step {judged.best.step} of {STEPS}, and later steps "
        f"overfit: --keep best takes its weights, --steps {judged.best.step} ends there"
    )
    assert cli.run([*words, "--overwrite", "--keep", "best"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].endswith(f"at step {judged.best.step} of {STEPS}: its weights are the model")
    assert f"validation elbo {judged.best.score:.2f}" in lines[-3]


def test_a_fall_of_the_elbo_that_nobody_paid_for_is_no_overfitting():
    judged = course(of(-50.0, -20.0, -90.0))
    assert judged is not None
    assert "overfit" in judged.told(kept=False, overfits=True)
    assert judged.told(kept=False, overfits=False) == "the best validation ELBO (β = 1) was -20.00, at step 11 of 21"
    assert course(of(-50.0, -20.0)).told(False, True) == "the best validation ELBO (β = 1) is the last step's"  # type: ignore[union-attr]


def test_the_score_is_the_elbo_at_beta_one_whatever_is_trained(runs):
    for name in ("beta_vae", "warmup_vae", "noisy_autoencoder"):
        for line in metrics(runs[name]):
            if "validation" in line:
                paid = line["validation"]["distortion"] + line["validation"]["rate"]
                assert score(line["validation"]) == pytest.approx(-paid, rel=1e-12)


def test_a_word_that_is_no_choice_of_keep_is_refused():
    with pytest.raises(Mistake, match=r"no choice of --keep is named `bset`: did you mean `best`"):
        check(TrainingOptions(keep="bset"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("total", "per_epoch", "minutes", "said"),
    [(68, 12, 2.0, True), (68, 12, None, False), (600, 90, 2.0, False), (130, 12, 2.0, False)],
)
def test_minutes_in_which_little_can_be_learnt_are_said_with_what_helps(total, per_epoch, minutes, said):
    lines = Length(total, per_epoch, 1, minutes=minutes).warnings(3_000)
    assert [line.startswith("68 steps in 2 minutes are few (5.7 passes)") and "--size" in line for line in lines] == [
        True
    ] * said


def test_a_net_brings_its_batch_and_its_rate_where_nobody_says_others():
    asked = TrainingOptions()
    assert (suited(asked, "strided").batch_size, suited(asked, "strided").learning_rate) == (32, 2e-3)
    assert (suited(asked, "residual").batch_size, suited(asked, "mlp").learning_rate) == (256, 1e-3)
    said = suited(TrainingOptions(batch_size=7, learning_rate=0.5), "strided")
    assert (said.batch_size, said.learning_rate) == (7, 0.5)
    assert NETS.keys() == nets.NETS.keys()


def test_a_picture_folder_is_trained_as_the_table_says(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (80, 3, 20, 20)).astype(np.uint8)
    legato.train("vae", data=rows, steps=2, latent_dim=2, out=tmp_path / "run", device="cpu")
    recipe, training = (json.loads((tmp_path / "run" / name).read_text()) for name in ("recipe.json", "training.json"))
    row = NETS["strided"]
    assert (recipe["net"], recipe["width"], recipe["depth"]) == ("strided", row.width, row.depth)
    assert (training["batch_size"], training["learning_rate"]) == (row.batch_size, row.learning_rate)
    assert training["asked"]["batch_size"] is None
