"""Stopped anywhere, by whatever means, and resumed: bit for bit the run that was never stopped."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import legato
from legato import checkpoint, cli, codebooks
from legato.batch import Batch
from legato.data.batches import TrainingBatches
from legato.errors import Mistake, Stopped
from legato.run import Run
from legato.training import loop, setup
from legato.training.learner import Learner
from legato.training.stop import Stop
from made_runs import arguments, metrics, train
from patience import PATIENCE
from stopped_runs import assert_same, resume, stopping_after

LONG: dict[str, Any] = {"steps": 600, "checkpoint_minutes": 0.001}  # a checkpoint every 60 ms
# Three seconds at least on any chip, so that it is not done before it is stopped; what is computed is the same.
SLOWLY = """
import sys, time
from legato.training.learner import Learner
step = Learner.step
Learner.step = lambda *of: (time.sleep(0.005), step(*of))[1]
from legato.cli import main
main()
"""


# ------------------------------------------------------------------------------------------- within this process


@pytest.mark.parametrize("name", ["vae", "warmup_vae", "factor_vae", "geco_vae", "bernoulli", "table", "shaped", "grid"])
def test_a_run_stopped_at_random_steps_and_resumed_is_the_run_that_was_never_stopped(name, runs, sources, tmp_path, capsys):
    """39 steps in epochs of 7 and a rest: stops fall within epochs, before validations, twice at the same step."""
    rng = random.Random(name)
    stops = sorted(rng.choices(range(1, 40), k=4))
    stops = [0, *stops, stops[-1]]
    with stopping_after(stops[0]), pytest.raises(Stopped):
        train(name, sources, tmp_path / "r")
    for before, until in pairwise(stops):
        with stopping_after(until - before):
            assert resume(tmp_path / "r") == 128 + signal.SIGTERM
        told = capsys.readouterr()
        assert told.out.splitlines() == [f"resuming {tmp_path / 'r'} at step {before} of 40"]
        assert told.err.splitlines() == [
            f"legato: stopped at step {until} of 40, all saved: go on with `legato train --resume --out {tmp_path / 'r'}`"
        ]
        assert checkpoint.existing(tmp_path / "r" / "checkpoint")[-1].name == f"step-{until:09d}"
    assert resume(tmp_path / "r") == 0
    assert_same(tmp_path / "r", runs[name])


def test_a_codebook_whose_rows_are_put_elsewhere_at_every_step_is_resumed_bit_for_bit(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(codebooks, "ALIVE", 5.0)  # of an even share of the tokens: most rows count as dead
    train("vq_vae", sources, tmp_path / "whole", steps=6)
    with stopping_after(3), pytest.raises(Stopped):
        train("vq_vae", sources, tmp_path / "r", steps=6)
    assert resume(tmp_path / "r") == 0
    assert_same(tmp_path / "r", tmp_path / "whole")
    counts = checkpoint.read(checkpoint.existing(tmp_path / "r" / "checkpoint")[-1]).tensors["model.latent.q.family.counts"]
    assert (counts == 1).float().mean() > 0.5  # those that were put elsewhere in the last step


def test_what_other_threads_draw_meanwhile_changes_nothing_of_a_run_and_nothing_of_theirs(runs, sources, tmp_path):
    """As a notebook's page does that is open beside a training: torch has one generator for all threads."""
    space, ended, drawn = legato.load(runs["vae"]), threading.Event(), []

    def draw() -> None:
        while not ended.is_set():
            drawn.append(space.sample(2, seed=7))

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        train("table", sources, tmp_path / "r")
    finally:
        ended.set()
        thread.join()
    assert_same(tmp_path / "r", runs["table"])
    assert len(drawn) > 10
    assert all((one == drawn[0]).all() for one in drawn)


def test_the_order_of_the_data_and_their_coins_are_those_of_the_uninterrupted_run(sources, tmp_path, monkeypatch):
    seen: list[tuple[int, str]] = []
    at = TrainingBatches.at

    def told(self: TrainingBatches, step: int, *part: int) -> Batch:
        batch = at(self, step, *part)
        seen.append((step, hashlib.sha256(batch.x.numpy().tobytes()).hexdigest()))
        return batch

    monkeypatch.setattr(TrainingBatches, "at", told)
    train("bernoulli", sources, tmp_path / "whole")
    whole, seen[:] = seen.copy(), []
    with stopping_after(17), pytest.raises(Stopped):
        train("bernoulli", sources, tmp_path / "r")
    assert resume(tmp_path / "r") == 0
    assert seen == whole
    assert [step for step, _ in whole] == list(range(40))
    assert len({batch for _, batch in whole}) == 40


def test_a_run_killed_before_its_first_checkpoint_starts_again(runs, sources, tmp_path, monkeypatch):
    def killed(self: loop.Loop) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Loop, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train("vae", sources, tmp_path / "r")
    monkeypatch.undo()
    with open(tmp_path / "r" / "metrics.jsonl", "ab") as file:
        file.write(b'{"step": 41, "tra')  # and a line that was being written
    assert resume(tmp_path / "r") == 0
    assert_same(tmp_path / "r", runs["vae"])


def test_a_run_killed_while_its_first_file_was_written_does_not_keep_its_place(runs, sources, tmp_path):
    out = tmp_path / "r"
    out.mkdir()
    (out / ".lock").write_text("1")
    (out / ".recipe.json.1.partial").write_bytes(b"half")
    assert resume(out) == 2
    assert cli.run(arguments("vae", sources["grey"], out)) == 0
    assert [path.name for path in out.rglob(".*")] == [".lock"]
    assert_same(out, runs["vae"])


def test_a_run_killed_while_an_old_checkpoint_was_deleted_keeps_two(runs, tmp_path):
    """After its last step too, when no further checkpoint is written."""
    out = tmp_path / "r"
    shutil.copytree(runs["vae"], out)
    shutil.copytree(checkpoint.existing(out / "checkpoint")[-1], out / "checkpoint" / "step-000000020")
    (out / "checkpoint" / "step-000000010").mkdir()
    (out / "codes.safetensors").unlink()
    assert resume(out) == 0
    assert [path.name for path in checkpoint.existing(out / "checkpoint")] == ["step-000000020", "step-000000040"]
    assert_same(out, runs["vae"])


@pytest.mark.parametrize("missing", [["codes.safetensors"], ["codes.safetensors", "model.safetensors"]])
def test_a_run_killed_after_its_last_step_is_finished(missing, runs, tmp_path):
    shutil.copytree(runs["vae"], tmp_path / "r")
    for name in missing:
        (tmp_path / "r" / name).unlink()
    assert resume(tmp_path / "r") == 0
    assert_same(tmp_path / "r", runs["vae"])


def test_a_finished_run_is_not_trained_further(runs, tmp_path, capsys):
    shutil.copytree(runs["vae"], tmp_path / "r")
    assert resume(tmp_path / "r") == 2
    assert "is finished: all 40 steps are done" in capsys.readouterr().err
    assert_same(tmp_path / "r", runs["vae"])


def test_the_skips_of_a_guard_are_resumed(sources, tmp_path, monkeypatch):
    """Steps 5 to 8 have no finite gradient; one stop falls among them."""
    at = TrainingBatches.at

    def spoilt(self: TrainingBatches, step: int, *part: int) -> Batch:
        batch = at(self, step, *part)
        return replace(batch, x=batch.x * (np.nan if 5 <= step < 9 else 1))

    monkeypatch.setattr(TrainingBatches, "at", spoilt)
    train("vae", sources, tmp_path / "whole")
    with stopping_after(7), pytest.raises(Stopped):
        train("vae", sources, tmp_path / "r")
    assert resume(tmp_path / "r") == 0
    assert_same(tmp_path / "r", tmp_path / "whole")
    assert [line["skipped"] for line in metrics(tmp_path / "r") if "train" in line][4:10] == [0, 1, 2, 3, 4, 4]


def test_a_damaged_checkpoint_is_named_and_without_it_the_one_before_leads_to_the_same_end(runs, sources, tmp_path, capsys):
    for stop in (10, 10):
        with stopping_after(stop):
            _ = resume(tmp_path / "r") if (tmp_path / "r").exists() else _stopped(sources, tmp_path / "r")
    older, newer = checkpoint.existing(tmp_path / "r" / "checkpoint")
    tensors = newer / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"\xff")
    capsys.readouterr()
    assert resume(tmp_path / "r") == 2
    told = capsys.readouterr().err
    assert f"checkpoint `{newer}` is damaged: delete it and --resume goes on from `{older}`" in told
    shutil.rmtree(newer)
    assert resume(tmp_path / "r") == 0
    assert_same(tmp_path / "r", runs["vae"])


def _stopped(sources: dict[str, Path], out: Path, name: str = "vae", **other: Any) -> Path:
    with stopping_after(10), pytest.raises(Stopped):
        train(name, sources, out, **other)
    return out


def test_lost_lines_of_the_metrics_are_not_filled_with_zeros(sources, tmp_path):
    out = _stopped(sources, tmp_path / "r")
    lines = (out / "metrics.jsonl").read_bytes()
    (out / "metrics.jsonl").write_bytes(lines[:100])
    assert resume(out) == 2
    assert (out / "metrics.jsonl").read_bytes() == lines[:100]


def test_data_that_changed_are_refused(sources, tmp_path):
    copy = tmp_path / "grey.npz"
    shutil.copy(sources["grey"], copy)
    out = _stopped({"grey": copy}, tmp_path / "r")
    with np.load(copy) as file:
        images, labels = file["images"].copy(), file["labels"]
    images[0, 0, 0] ^= 1
    np.savez(copy, images=images, labels=labels)
    with pytest.raises(Mistake, match="is not what"):
        legato.training.resume(Run(out), torch.device("cpu"))
    shutil.copy(sources["grey"], copy)
    assert resume(out) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "50"], ["--steps is 40", "cannot become 50"]),
        (["--learning-rate", "0.1"], ["--learning-rate is 0.01", "0.1"]),
        (["--width", "12"], ["--width is 24", "12"]),
        (["--likelihood", "gaussian"], ["--likelihood is discretized-logistic", "gaussian"]),
        (["--data", "mnist"], ["--data is", "mnist"]),
        (["--split-seed", "4"], ["--split-seed is 0", "4"]),
        (["--overwrite"], ["--resume", "--overwrite", "one of them"]),
    ],
)
def test_a_changed_option_is_refused_and_not_ignored(words, said, sources, tmp_path, capsys):
    out = _stopped(sources, tmp_path / "r")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert cli.run(["train", "--resume", "--out", str(out), *words]) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in said)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize("words", [["beta_vae"], ["vae", "--latent-dim", "7"], ["vae", "--beta", "2"]])
def test_another_recipe_or_another_option_of_it_is_refused(words, sources, tmp_path):
    out = _stopped(sources, tmp_path / "r")
    assert cli.run(["train", words[0], "--resume", "--out", str(out), *words[1:]]) == 2


def test_the_same_options_said_again_are_no_change(runs, sources, tmp_path):
    out = _stopped(sources, tmp_path / "r")
    assert cli.run([*arguments("vae", sources["grey"], out), "--resume"]) == 0
    assert_same(out, runs["vae"])


@pytest.mark.parametrize(("words", "threads"), [([], 1), (["--threads", "2"], 2)])
def test_a_resumed_run_computes_with_the_threads_it_was_started_with_unless_others_are_said(
    words, threads, sources, tmp_path, monkeypatch
):
    out, before, used = _stopped(sources, tmp_path / "r", threads=1), torch.get_num_threads(), set()
    step = Learner.step
    monkeypatch.setattr(Learner, "step", lambda *of: (used.add(torch.get_num_threads()), step(*of))[1])
    try:
        torch.set_num_threads(2)
        assert cli.run(["train", "--resume", "--out", str(out), "--device", "cpu", *words]) == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert used == {threads}
    assert Run(out).stored("training")["threads"] == 1


OWN = '''
import pathlib
from legato import Recipe, Distortion, Rate
from legato.vocabulary import flat
pathlib.Path({witness!r}).touch()
def tiny(data, latent_dim=2):
    """My own."""
    return Recipe(flat(data, latent_dim), Distortion() + Rate())
'''


def test_a_recipe_of_ones_own_is_imported_by_a_resume_only_where_its_module_is_named(sources, tmp_path, monkeypatch, capsys):
    """A RUN may come from elsewhere: what its recipe.json says must not choose what code is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    witness = tmp_path / "witness"
    (tmp_path / "resumed_models.py").write_text(OWN.format(witness=str(witness)))
    with stopping_after(10):
        assert cli.run(arguments("resumed_models:tiny", sources["grey"], tmp_path / "r")) == 128 + signal.SIGTERM
    assert f"legato train --resume --out {tmp_path / 'r'} --module resumed_models" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "resumed_models")
    witness.unlink()
    assert resume(tmp_path / "r") == 2
    assert "--module resumed_models" in capsys.readouterr().err
    assert not witness.exists()
    assert cli.run(["train", "--resume", "--out", str(tmp_path / "r"), "--module", "resumed_models"]) == 0
    assert witness.exists()
    monkeypatch.delitem(sys.modules, "resumed_models")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("at", [0, 1, 17, 38])
def test_a_signal_ends_the_step_under_way_saves_it_and_no_other_is_begun(number, at, runs, sources, tmp_path, monkeypatch):
    """Counted in steps, which no busy machine makes more: what a signal costs is the rest of one step and a checkpoint."""
    begun: list[int] = []
    step = Learner.step

    def signalled(self: Learner, x: torch.Tensor, i: int) -> Any:
        begun.append(i)
        if i == at:
            os.kill(os.getpid(), number)
        return step(self, x, i)

    monkeypatch.setattr(Learner, "step", signalled)
    with pytest.raises(Stopped) as stopped:
        train("vae", sources, tmp_path / "r")
    assert stopped.value.number == number
    assert begun == list(range(at + 1))
    assert checkpoint.existing(tmp_path / "r" / "checkpoint")[-1].name == f"step-{at + 1:09d}"
    assert resume(tmp_path / "r") == 0
    assert begun == list(range(40))
    assert_same(tmp_path / "r", runs["vae"])


# ------------------------------------------------------------------------------------------- processes


@pytest.fixture(scope="module")
def long(sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted run that the children's are compared with."""
    out = tmp_path_factory.mktemp("long") / "r"
    train("vae", sources, out, **LONG)
    return out


class Child:
    """`legato …`, slowly, in a process of its own, which a test that fails does not leave behind."""

    def __init__(self, words: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SLOWLY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=PATIENCE)

    def wait_for(self, there: Any) -> None:
        until = time.monotonic() + PATIENCE
        while not there():
            assert time.monotonic() < until, "the child does not come to it"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.002)

    def end(self, number: int) -> tuple[int, str, str]:
        """Sends the signal: exit code, stdout, stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


def training(sources: dict[str, Path], out: Path) -> list[str]:
    return arguments("vae", sources["grey"], out, **LONG)


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_before_its_end_with_a_line_that_says_how_to_go_on(number, code, long, sources, tmp_path):
    out = tmp_path / "r"
    with Child(training(sources, out)) as child:
        child.wait_for(lambda: lines_of(out / "metrics.jsonl") > random.Random(number).randrange(3, 40))
        returned, _, err = child.end(number)
    assert returned == code
    done = int(checkpoint.existing(out / "checkpoint")[-1].name.removeprefix("step-"))
    assert 0 < done < LONG["steps"]
    assert err.splitlines() == [
        f"legato: stopped at step {done:,} of 600, all saved: go on with `legato train --resume --out {out}`"
    ]
    assert legato.load(out, device="cpu").latent_dim == 3  # the model as it was when it stopped
    assert resume(out) == 0
    assert_same(out, long)


@pytest.mark.parametrize("trial", range(3))
def test_kill_9_at_a_random_moment_loses_nothing_that_a_resume_does_not_make_again(trial, long, sources, tmp_path):
    """A checkpoint every 60 ms, so that many a kill falls into the writing of one; the last trial kills the resumed run too."""
    out, rng = tmp_path / "r", random.Random(trial)
    with Child(training(sources, out)) as child:
        if trial == 0:
            child.wait_for(lambda: lines_of(out / "metrics.jsonl") > 0)  # most likely before the first checkpoint
        else:
            child.wait_for(lambda: len(checkpoint.existing(out / "checkpoint")) > 0)
            time.sleep(rng.uniform(0, 0.6))
        assert child.end(signal.SIGKILL)[0] == -signal.SIGKILL
    if trial == 2:
        words = ["train", "--resume", "--out", str(out), "--checkpoint-minutes", "0.001"]
        before = [path.name for path in checkpoint.existing(out / "checkpoint")]
        with Child(words) as child:
            child.wait_for(lambda: [path.name for path in checkpoint.existing(out / "checkpoint")] != before)
            time.sleep(rng.uniform(0, 0.2))
            assert child.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert resume(out) == 0
    assert [path.name for path in out.rglob(".*")] == [".lock"]
    assert_same(out, long)


def test_what_a_killed_writer_or_reader_left_half_written_is_cleared(runs, sources, tmp_path):
    out = _stopped(sources, tmp_path / "r")
    halves = [".model.safetensors.1.partial", ".codes.safetensors.1.partial", "snapshots/.step-000000011.safetensors.1.partial"]
    for name in (*halves, ".codes.parquet.1.partial", "checkpoint/.step-000000012.partial"):
        path = out / name
        path.mkdir() if name.startswith("checkpoint") else path.write_bytes(b"half")
    assert resume(out) == 0
    assert sorted(path.name for path in out.rglob(".*")) == [".lock"]
    assert_same(out, runs["vae"])


def unasked(*given: Any) -> None:
    """Stands where nothing should come to."""
    raise AssertionError(f"this was asked for: {given}")


def test_a_run_in_use_refuses_a_second_writer_in_one_line_that_names_the_first_and_lets_readers_in(
    sources, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "r"
    words = arguments("vae", sources["grey"], out, steps=100_000, checkpoint_minutes=0.001, engine="eager")
    with Child(words) as child:
        child.wait_for(lambda: (out / "model.safetensors").is_file())
        monkeypatch.setattr(setup, "open_source", unasked)  # nothing is opened, timed or compiled for a run that is refused
        for how in ("--resume", "--overwrite"):
            assert cli.run([*words, how]) == 2
            told = capsys.readouterr().err.splitlines()
            assert len(told) == 1
            assert f"is being written by process {child.process.pid}" in told[0]
        assert cli.run(["sample", str(out), "--n", "4", "--out", str(tmp_path / "s.png"), "--device", "cpu"]) == 0
        assert legato.load(out, device="cpu").encode(np.zeros((2, 8, 8), np.uint8))[0].shape == (2, 3)
        assert child.process.poll() is None, "the child ended before it was asked to"
        assert child.end(signal.SIGTERM)[0] == 143


def test_a_second_signal_ends_the_process_as_if_nobody_listened():
    before = signal.getsignal(signal.SIGINT)  # ignored, where the tests run in a shell's background
    with Stop() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGINT)
        assert stop
        assert stop.signal == signal.SIGINT
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == before
