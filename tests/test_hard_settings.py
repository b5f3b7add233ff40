"""Hard settings: every recipe × the settings with which VAEs are known to give NaN. It trains, or stops with a sentence."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch

import legato
from legato.data import DataOptions
from legato.data.sources import open_source
from legato.definition import find
from legato.errors import Mistake
from legato.recipe import RECIPES
from legato.training import fitting
from legato.training.guard import Diverged, Guard, finite_json
from legato.training.learner import Learner
from legato.training.options import TrainingOptions, check, plan, suited
from legato.training.task import Task, defined, learner_of
from made_runs import OF_IMAGES, OF_PAIRS

find("vae")  # fills RECIPES

ROWS, STEPS = 24, 3
TINY: dict[str, Any] = {"width": 8, "depth": 1}

OF_POPULATIONS = {"factor_vae", "beta_tc_vae", "dip_vae", "info_vae", "wae_mmd", "swae"}
RNG = np.random.default_rng(0)
PLAIN = RNG.standard_normal((ROWS, 2)) @ RNG.standard_normal((2, 6)) + 0.3 * RNG.standard_normal((ROWS, 6))
BYTES = RNG.integers(0, 256, (ROWS, 1, 8, 8)).astype(np.uint8)


def table() -> np.ndarray:
    """Columns of scale 10⁶ and 10⁻⁶, far from 0, one constant, one with a row 10⁶ deviations out."""
    found = PLAIN * np.array([1e6, 1.0, 1e-6, 1e6, 1e3, 1.0]) + np.array([1e9, 0.0, 0.0, -1e6, 0.0, 1e5])
    found[:, 1], found[3, 5] = 3.0, 1e6
    return found


# name -> (rows, what is asked for, the recipes that are refused)
SETTINGS: dict[str, tuple[Any, dict[str, Any], set[str]]] = {
    "columns of 1e6, constant ones, outliers": (table(), {"learning_rate": 1e-2}, OF_IMAGES),
    "16-bit images in bfloat16": (RNG.integers(0, 65536, (ROWS, 1, 8, 8)).astype(np.uint16), {"precision": "bfloat16"}, set()),
    "half precision rows, batch 2": (PLAIN.astype(np.float16), {"batch_size": 2, "learning_rate": 1e-2}, OF_IMAGES),
    "equal images, one latent": (np.full((ROWS, 1, 8, 8), 255, np.uint8), {"latent_dim": 1, "batch_size": 2}, set()),
    "batch 1": (BYTES, {"batch_size": 1}, OF_POPULATIONS),
    "learning rate 1": (BYTES, {"learning_rate": 1.0}, set()),
    "a KL of tens of thousands": (PLAIN, {"kl": 1e4}, OF_IMAGES),
}
NEEDS_TWO = {
    "factor_vae",
    "flow_vae",
    "iaf_vae",
    "flow_prior_vae",
    "ladder_vae",
    "hierarchical_vamp_vae",
    "vmf_vae",
    "power_spherical_vae",
}
MAY_DIVERGE = ("learning rate 1",)  # no rate that a person would take: a run may end, by a sentence


pytestmark = pytest.mark.usefixtures("alone")


def begun(name: str, rows: Any, asked: dict[str, Any], steps: int = STEPS) -> Task:
    """A training in memory, of rows with two classes."""
    training = {key: asked[key] for key in ("learning_rate", "batch_size", "precision") if key in asked}
    options = TrainingOptions(steps=steps, **{"batch_size": 8, **training})
    check(options)
    dataset = open_source(rows, DataOptions(), np.arange(len(rows)) % 2)
    own = {key: value for key, value in asked.items() if key not in (*training, "kl")}
    definition, data = defined(name, dataset, {**TINY, **own})
    options = suited(options, definition.words.net)
    size = min(options.batch_size or 1, len(data.split("train")))
    made = plan(options, steps, size, training.get("precision", "float32"))
    return Task(made, definition, data, learner_of(made, definition, data, torch.device("cpu"), None))


def worsened(task: Task, most: float) -> float:
    """The rate of a batch, nats, after the encoder's weights were made larger until it is above `most`, where it can be."""
    model, batch, rate = task.learner.model, task.batches().at(0), 0.0
    with torch.no_grad():
        for _ in range(100 if model.latent.has_density else 0):
            rate = model(batch.x, 1, batch.given).kl.mean().item()
            if rate > most:
                break
            for weight in model.latent.parameters():
                weight.mul_(1.1)
    task.learner.average.load_state_dict(model.state_dict())
    return rate


def trained(task: Task) -> Learner:
    """The learner after its steps. Raises `Mistake` as the loop does."""
    engine = task.engine()
    for step in range(task.plan.total):
        engine.step(step)
    sums, _ = engine.look()
    task.learner.guard.refuse_idle(task.plan.total)
    finite_json({"train": sums, "validation": task.validate()}, task.plan.total)
    return task.learner


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_recipe_trains_or_stops_with_a_sentence(setting, name):
    rows, asked, refused = SETTINGS[setting]
    if "latent_dim" in asked and name in NEEDS_TWO:
        asked = asked | {"latent_dim": 2}
    if name in refused or name in OF_PAIRS:
        with pytest.raises(Mistake) as told:
            trained(begun(name, rows, asked))
        assert "\n" not in str(told.value)
        return
    task = begun(name, rows, asked)
    if "kl" in asked:
        worsened(task, asked["kl"])
    if setting in MAY_DIVERGE:
        with suppress(Diverged):
            trained(task)
        return
    learner = trained(task)
    for module in (learner.model, learner.average, learner.objective):
        assert all(t.isfinite().all() for t in module.state_dict().values() if t.is_floating_point())
    assert learner.guard.skipped == 0


def test_a_kl_of_tens_of_thousands_is_one_and_falls():
    """Without this the setting above could be none: after 60 steps the rate is a hundredth of what it was."""
    task = begun("vae", PLAIN, {"learning_rate": 1e-2}, steps=60)
    before = worsened(task, 1e4)
    assert 1e4 < before < 1e6
    assert task.learner.model(task.batches().at(0).x).kl.mean() > 1e4
    learner = trained(task)
    assert learner.model(task.batches().at(0).x).kl.mean().item() < before / 100


@pytest.mark.parametrize("name", sorted(OF_POPULATIONS))
def test_a_population_of_one_is_refused_before_a_step_and_named(name, tmp_path):
    with pytest.raises(Mistake, match=r"is of a population, and a batch of 1 example is none: --batch-size 2 or more"):
        legato.train(name, BYTES, tmp_path / "run", batch_size=1, steps=2, threads=1, **TINY)
    assert not (tmp_path / "run").exists()


def test_one_more_row_of_a_population_is_refused_too():
    model = legato.Autoencoder("wae_mmd", latent_dim=2, steps=3, threads=1, random_state=0, **TINY).fit(PLAIN)
    with pytest.raises(Mistake, match="is of a population"):
        model.partial_fit(PLAIN[:1])


def test_a_run_of_skipped_steps_alone_does_not_pass_for_one_that_was_trained():
    guard = Guard()
    assert not guard.accepts(math.inf)
    with pytest.raises(Diverged, match="no step of 1 could be taken"):
        guard.refuse_idle(1)
    guard.refuse_idle(2)


def test_a_fit_in_memory_is_refused_where_its_figures_are_no_numbers(monkeypatch):
    monkeypatch.setattr(fitting, "validate", lambda *asked: {"elbo": math.nan})
    with pytest.raises(Mistake, match="lower --learning-rate"):
        legato.VAE(latent_dim=2, steps=3, threads=1, random_state=0, **TINY).fit(PLAIN)
    assert json.loads(finite_json({"a": [1.0]}, 3)) == {"a": [1.0]}
    for bad in (math.nan, math.inf):
        with pytest.raises(Diverged, match="step 3 gave a figure that is not finite"):
            finite_json({"a": [1.0, bad]}, 3)
