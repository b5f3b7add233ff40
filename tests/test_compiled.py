"""The compiled step is the plain one: the same losses, gradients and weights, to rounding; resumed bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from legato.batch import Batch
from legato.definition import define
from legato.devices import drawing
from legato.errors import Mistake, Stopped
from legato.recipe import RECIPES
from legato.setting import DataSpec
from legato.training import compiled, compiling
from legato.training.compiled import CompiledStep, Lowered, Uncompiled, captured, lowered
from legato.training.compiling import choice
from legato.training.engine import Make
from legato.training.learner import Learner
from legato.training.options import TrainingOptions, plan
from made_runs import OF_EACH_IDEA, train
from stopped_runs import assert_same, resume, stopping_after

CPU = torch.device("cpu")
# whose net is run twice in a pass: on pseudo-inputs too, or for a slope
TWICE = ("rae_gp", "hamiltonian_vae", "vamp_vae", "hierarchical_vamp_vae")


def both_precisions(names: Iterable[str]) -> list[tuple[str, str]]:
    """Each in single precision; in half those of another arithmetic, and one of each file of recipes."""
    narrow = {*TWICE, *OF_EACH_IDEA}
    return [(name, "float32") for name in names] + [(name, "bfloat16") for name in names if name in narrow]


OPTIONS = {"flow_vae": {"transforms": 1}, "warmup_vae": {"free_bits": 0.1}}


@pytest.fixture
def compiler() -> None:
    """Skips where there is none."""
    if not shutil.which("g++"):
        pytest.skip("compiling a step needs g++")


def learner(name: str, precision: str = "float32", net: str = "mlp", **chosen) -> Learner:
    """A tiny recipe under training."""
    spec = DataSpec((1, 8, 8), "bytes", "discretized-logistic", classes=("no", "yes"), factors=True)
    chosen = {"latent_dim": 3, "width": 16, "depth": 1, "net": net, **OPTIONS.get(name, {}), **chosen}
    with drawing(CPU, 1):
        options = TrainingOptions(batch_size=16, precision=precision, clip=5.0)
        return Learner(define(name, spec, **chosen).build(spec), plan(options, 100, 16), CPU)


def batch(step: int) -> Batch:
    """Of two classes, another for each step."""
    generator = torch.Generator().manual_seed(step)
    x = torch.rand(16, 1, 8, 8, generator=generator)
    return Batch((x * 255).round() / 255, torch.arange(16) % 2, rows=torch.arange(16) + 16 * step)


def figures(make: Make) -> list[torch.Tensor]:
    """The figures of six steps."""
    return [found for step in range(6) if (found := make(batch(step), step)) is not None]


@pytest.mark.parametrize(("name", "precision"), both_precisions(RECIPES))
def test_a_captured_step_is_the_plain_one_bit_for_bit(name, precision):
    plain, other, rehearsed = (learner(name, precision=precision) for _ in range(3))
    graph, _ = captured(rehearsed, batch(0))  # not of the learner that will take it: as after a rehearsal
    found, expected = figures(CompiledStep(other, Lowered(graph))), figures(plain.step)
    if (plain.players or name in TWICE) and precision == "bfloat16":
        # eagerly weights are rounded once for both of their uses, whose gradients then meet in bfloat16
        assert_close(found, expected, rtol=1e-3, atol=1e-3)
        return
    assert_close(found, expected, rtol=0, atol=0)
    for (key, value), other_value in zip(plain.tensors().items(), other.tensors().values(), strict=True):
        assert torch.equal(value, other_value), key
    assert plain.guard.state() == other.guard.state()


def test_a_compiled_step_gives_the_plain_ones_losses_and_weights_to_rounding(compiler):
    """Of a recipe whose weight follows the loss, so that a number of the first step would show in the next."""
    plain, other = (learner("geco_vae", net="residual") for _ in range(2))
    before = {key: value.clone() for key, value in other.tensors().items()}
    found = lowered(other, batch(0))
    for key, value in other.tensors().items():
        assert torch.equal(value, before[key]), f"compiling moved {key}"
    close = {"rtol": 1e-4, "atol": 1e-5}
    assert_close(figures(CompiledStep(other, found)), figures(plain.step), **close)
    for (key, value), found in zip(plain.tensors().items(), other.tensors().values(), strict=True):
        assert_close(found, value, **close, msg=lambda said, key=key: f"{key}: {said}")


@pytest.mark.parametrize("name", ["vae", "factor_vae"])  # a critic draws from a generator of its own
def test_a_compiled_run_is_stopped_and_resumed_bit_for_bit_and_says_what_it_is(name, compiler, sources, tmp_path, capsys):
    train(name, sources, tmp_path / "whole", engine="compiled")
    assert "the step is compiled (in" in capsys.readouterr().err
    assert stored(tmp_path / "whole")["engine"] == "compiled"
    with stopping_after(23), pytest.raises(Stopped):
        train(name, sources, tmp_path / "cut", engine="compiled")
    assert resume(tmp_path / "cut") == 0
    assert_same(tmp_path / "cut", tmp_path / "whole")


def test_a_compiled_run_goes_on_without_a_compiler_only_where_that_is_said(sources, tmp_path, monkeypatch, capsys):
    with stopping_after(23), pytest.raises(Stopped):
        train("vae", sources, tmp_path / "cut")
    (tmp_path / "cut/training.json").write_text(json.dumps({**stored(tmp_path / "cut"), "engine": "compiled"}))
    monkeypatch.setattr(compiled, "_find", refusing)
    assert resume(tmp_path / "cut") == 2
    assert "is a compiled one: no C++ compiler is found" in (said := capsys.readouterr().err)
    assert "--engine eager does without" in said
    assert resume(tmp_path / "cut", "--engine", "eager") == 0
    assert (tmp_path / "cut/codes.safetensors").is_file()


def stored(run: Path) -> dict[str, Any]:
    return json.loads((run / "training.json").read_text())


def refusing() -> None:
    raise Uncompiled("no C++ compiler is found (g++ or clang++, or what CXX names)")


@pytest.mark.parametrize("said", ["auto", "compiled"])
def test_a_step_that_cannot_be_compiled_is_taken_as_it_is_unless_it_was_asked_for(said, sources, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compiled, "_find", refusing)
    monkeypatch.setattr(compiling, "LONG", 0.0)
    monkeypatch.setattr(compiling, "MANY", 1)
    if said == "compiled":
        with pytest.raises(Mistake, match=r"--engine compiled: no C\+\+ compiler is found .*; --engine eager trains without"):
            train("vae", sources, tmp_path / "r", engine=said)
        assert not (tmp_path / "r").exists()
        return
    train("vae", sources, tmp_path / "r", engine=said)
    assert "the step is not compiled: no C++ compiler" in capsys.readouterr().err
    assert stored(tmp_path / "r")["engine"] == "eager"


@pytest.mark.parametrize(
    ("said", "seconds", "quicker", "tried", "taken"),
    [
        ("auto", 60, 2.0, False, False),
        ("auto", 3600, 2.0, True, True),
        ("auto", 3600, 1.01, True, False),
        ("compiled", 6, 1.01, True, True),
        ("eager", 3600, 2.0, False, False),
    ],
)
def test_compiling_is_tried_where_a_run_is_long_and_taken_where_it_is_quicker(
    said, seconds, quicker, tried, taken, monkeypatch
):
    asked, made = [], lambda *_: None
    step = lambda _: None  # noqa: E731
    monkeypatch.setattr(compiling, "in_turns", lambda pair: [0.01, 0.01 / quicker])
    found = choice(said, seconds, step, lambda: (asked.append(1), (made, step))[1])
    assert (bool(asked), found.lowered is made) == (tried, taken)
    assert (found.line is not None) == tried
