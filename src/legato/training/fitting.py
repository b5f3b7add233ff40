"""Training in memory: to an end that is known (`fit`), or a pass over rows whenever some come (`go_on`). Nothing is written.

Covered: how long, at which rate, and what is kept of it. Not covered: one step (learner.py); what a person calls
(legato/estimator.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from legato.batch import Batch
from legato.data.dataset import Dataset
from legato.data.preparation import Preparation
from legato.data.prepared import Prepared
from legato.definition import Definition, module_of
from legato.devices import generators_kept, suited_precision, using_threads
from legato.errors import tell
from legato.latent_space import LatentSpace
from legato.progress import progress
from legato.recipe import Recipe, Sentence
from legato.streams import random_stream
from legato.training.alarms import Alarms
from legato.training.codes import OF_ALL, enough, summarise
from legato.training.engine import chosen as chosen_engine
from legato.training.guard import finite_json
from legato.training.learner import Learner
from legato.training.length import EPOCHS
from legato.training.options import LEAST_STEPS, Plan, TrainingOptions, check, plan, suited
from legato.training.replayed import may_replay
from legato.training.start import Start, start_of
from legato.training.task import Task, defined, learner_of
from legato.training.validation import IMAGES, validate
from legato.unsaved import Unsaved, What

ENDLESS = 10**9  # steps: the rate has then hardly begun to fall after a million (by three parts in a million)
BATCHES, SMALL = 4, 32  # of few rows: batches in an epoch, rows in the smallest; larger ones cost time and give no more steps


@dataclass(frozen=True)
class Fitted:
    """The result of a training in memory. `learner` and `step`: how it goes on where rows may still come; else None and 0."""

    space: LatentSpace
    kept: Unsaved
    learner: Learner | None = None
    step: int = 0


def begin(
    recipe: str | Sentence,
    dataset: Dataset,
    options: TrainingOptions,
    chosen: dict[str, Any],
    device: torch.device,
    threads: int,
    endless: bool = False,
) -> Task:
    """A task of all the rows. Its steps are those that were said, else 20 epochs and at least 300; or it has no end.

    Without an end the learning rate stays at its peak, and a weight that follows a share of the run has arrived from the start.
    """
    check(options)
    definition, data = defined(recipe, dataset, chosen)
    few = options.batch_size is None
    options = suited(options, definition.words.net)
    # Few rows still make several steps a pass; a size that a person said is kept.
    size = min(options.batch_size or 1, len(dataset), max(len(dataset) // BATCHES, SMALL) if few else len(dataset))
    total = ENDLESS if endless else _steps(options, len(dataset) // size)
    # `best` needs validations along the way, and a fit in memory makes one, at its end.
    engine = chosen_engine(options.engine, device)
    precision = suited_precision(options.precision, device)
    whole = replace(plan(options, total, size, precision, threads, "eager" if endless else engine), keep="last")
    task = _task(whole, definition, data, device, endless, start_of(options.start))
    replays = not endless and may_replay(whole.engine, bool(module_of(definition.name)), device, total)
    return replace(task, lowered=task.replayed() if replays else task.compiled())


def _task(
    whole: Plan, definition: Definition, data: Prepared, device: torch.device, endless: bool, start: Start | None = None
) -> Task:
    learner = learner_of(whole, definition, data, device, module_of(definition.name), start)
    if endless:
        learner.objective.endless()  # a share of so many steps would never come to its end
    return Task(whole, definition, data, learner)


def _steps(options: TrainingOptions, per_epoch: int) -> int:
    if options.steps is not None:
        return options.steps
    if options.epochs is not None:
        return max(round(options.epochs * per_epoch), 1)
    return max(round(EPOCHS * per_epoch), LEAST_STEPS)


def fit(task: Task) -> Fitted:
    """The whole plan. Raises `Mistake` where the training diverges."""
    engine, total = task.engine(), task.plan.total
    with (
        using_threads(task.plan.threads),
        generators_kept(),
        progress(f"fitting {task.definition.name}", total, unit="steps") as bar,
    ):
        for step in range(total):
            engine.step(step)
            bar(step + 1)
        engine.look()  # a run that has diverged says so
        task.learner.guard.refuse_idle(total)
        return Fitted(*_space(task, total))


def go_on(task: Task, step: int) -> Fitted:
    """One pass over the task's rows, each once, from `step` on: in batches of equal sizes, none above the plan's."""
    rows = task.data.split("train").all()
    rng = random_stream(task.plan.seed, "partial fit", str(step))  # a stream for each pass, else all would come in one order
    with using_threads(task.plan.threads), generators_kept():
        # Equal sizes: a last batch of a row or two would move the weights as far as a full one.
        parts = np.array_split(rng.permutation(rows), math.ceil(len(rows) / task.plan.batch_size))
        task.learner.objective.refuse_batch(len(parts[-1]))  # the shortest; before any weight has moved
        for some in parts:
            x = task.data.preparation.training(task.data.dataset.take(some), rng)
            task.learner.step(Batch(torch.from_numpy(x), rows=torch.from_numpy(some)).to(task.learner.device), step)
            step += 1
        return Fitted(*_space(task, step), task.learner, step)


def again(fitted: Fitted, dataset: Dataset, options: TrainingOptions, device: torch.device, threads: int) -> Task:
    """A task of other rows that goes on from where `fitted` is, with its sentence and its preparation.

    After `fit` it begins a training without an end, at the weights that were fitted.
    """
    space, data = fitted.space, Prepared(dataset, fitted.space.preparation)
    if fitted.learner is not None:
        return Task(fitted.learner.plan, space.definition, data, fitted.learner)
    options = suited(options, space.definition.words.net)
    size = space.kept.stored("training")["batch_size"]
    whole = replace(plan(options, ENDLESS, size, suited_precision(options.precision, device), threads), keep="last")
    task = _task(whole, space.definition, data, device, endless=True)
    for model in (task.learner.model, task.learner.average):  # the average too, else it would begin where nothing was fitted
        model.load_state_dict(space.model.state_dict())
    return task


def _space(task: Task, step: int) -> tuple[LatentSpace, Unsaved]:
    """The averaged model as it is after `step` steps, with what a RUN would keep beside it."""
    task.solve_scale()  # first, for validation and all later use read the scale that this settles
    model = task.learner.result
    files: dict[What, dict[str, Any]] = {
        "recipe": task.definition.to_json(),
        "data": task.data.to_json(),
        "training": {**task.plan.to_json(), "total": step},
    }
    found = validate(model, task.some("train", IMAGES), task.learner.objective.is_likelihood)
    finite_json(found, step)  # nothing that is not finite passes for a fit
    seen = {"step": step, "weights": task.learner.weights(step - 1), "validation": found}
    if alarms := Alarms(task.learner).of(seen):
        seen["alarms"] = alarms
        for says in alarms.values():
            tell(says)
    codes = {name: value.cpu() for name, value in summarise(model, task.some("train", enough(model, OF_ALL))).items()}
    kept = Unsaved(files, [seen], codes)
    return space_of(Recipe(model, task.learner.objective), task.data.preparation, kept), kept


def space_of(recipe: Recipe, preparation: Preparation, kept: Unsaved) -> LatentSpace:
    """A latent space of what lies in memory."""
    shape = tuple(kept.stored("data")["shape"])
    return LatentSpace(recipe, preparation, shape, kept, Definition.from_json(kept.stored("recipe")))
