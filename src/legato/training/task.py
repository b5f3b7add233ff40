"""A recipe under training and its data: what a RUN's job and a fit in memory share. No folder is needed.

Covered: batches, one step, what training looks at, the validation. Not covered: where anything is written (loop.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from legato.batch import Batch
from legato.data.batches import TrainingBatches
from legato.data.dataset import Dataset
from legato.data.factors import factors_of
from legato.data.partners import Partners
from legato.data.preparation import prepare
from legato.data.prepared import Prepared
from legato.definition import Definition, define
from legato.devices import drawing, memory_of_card, using_threads
from legato.errors import Mistake
from legato.ranks import now
from legato.recipe import Sentence
from legato.training.compiled import CompiledStep, Lowered, Uncompiled, lowered
from legato.training.engine import Eager, Engine
from legato.training.graphed import Graphed
from legato.training.learner import Learner
from legato.training.options import Plan
from legato.training.replayed import replayed
from legato.training.resident import supply
from legato.training.shared import SharedLearner
from legato.training.start import Start
from legato.training.validation import IMAGES, WEIGHED, effective_draws, solve_scale, validate
from legato.types import Rows


@dataclass(frozen=True)
class Task:
    """A learner, its plan and its data."""

    plan: Plan
    definition: Definition
    data: Prepared
    learner: Learner
    lowered: Lowered | None = None  # where the step is a compiled one, or a replay of the plain one

    def __post_init__(self) -> None:
        if self.learner.model.pairs:
            self._partners(self.data.split("train").all())  # what has none, or would be cut in two, is refused at once

    def engine(self, sums: Sequence[float] = (), counted: int = 0) -> Engine:
        """The plan's engine on the training split; `sums` of `counted` steps' figures have been made already."""
        batches = self.batches()
        if self.learner.device.type != "cuda":
            make = None if self.lowered is None else CompiledStep(self.learner, self.lowered)
            return Eager(self.learner, batches, sums, counted, make)
        there = supply(batches, self.learner.device, memory_of_card(self.learner.device))
        return (Graphed if self.plan.engine == "graphed" else Eager)(self.learner, there, sums, counted)

    def compile(self) -> Lowered:
        """The step of this task's batches as a compiled one, for the threads of now. Raises `Uncompiled`."""
        return lowered(self.learner, self.batches().at(0))

    def compiled(self) -> Lowered | None:
        """The step that the plan wants compiled, None for another engine or device. Raises `Mistake` where it cannot be had."""
        if self.plan.engine != "compiled" or self.learner.device.type != "cpu":
            return None
        try:
            with using_threads(self.plan.threads):
                return self.compile()
        except Uncompiled as error:
            raise Mistake(f"this training's step is a compiled one: {error}; --engine eager does without") from error

    def replayed(self) -> Lowered | None:
        """The plain step's operations, to be asked for without all that leads to them; None where that is another step."""
        with using_threads(self.plan.threads):
            return replayed(self.learner, self.batches().at(0))

    def batches(self) -> TrainingBatches:
        """The training split, in the order of the plan's seed."""
        # of all rows: `chosen` are numbers in the source, not in the split
        everyone, model = self.data.split("all").all(), self.learner.model
        known = self.data.numbered if model.infers_class else self.data.labels
        labels = known(everyone) if model.classes else None
        chosen = self.data.split("train").all()
        plan, data = self.plan, self.data
        partners = self._partners(chosen) if model.pairs else None
        return TrainingBatches(data.dataset.rows, chosen, data.preparation, plan.batch_size, plan.seed, labels, partners)

    def _partners(self, chosen: Rows) -> Partners:
        """Pairs among the training rows. Raises `Mistake` for batches that would cut one in two."""
        if self.plan.batch_size % (whole := 2 * now().world):
            raise Mistake(f"rows come in pairs: `batch_size` must be a multiple of {whole}, got {self.plan.batch_size}")
        ids = self.data.dataset.ids
        return Partners(factors_of([ids[int(row)] for row in chosen]), self.learner.model.pairs)

    def some(self, split: str, most: int, one: int | None = None) -> Iterator[Batch]:
        """Up to `most` evaluation rows of a split, drawn once and for all whatever the run's seed, on the device.

        `one`: of that class alone.
        """
        data = self.data if one is None else self.data.of_class(one)
        rows, size = data.split(split).draw(most, "training looks at"), self.learner.model.together(self.plan.batch_size)
        labelled = self.learner.model.needs_label or one is not None
        for at in range(0, len(rows), size):
            yield data.batch(rows[at : at + size], labelled).to(self.learner.device)

    def solve_scale(self) -> None:
        """Settles on training rows what the averaged model's likelihood solves."""
        solve_scale(self.learner.average, self.some("train", IMAGES))

    def validate(self) -> dict[str, Any]:
        """The averaged model on the validation images, its solved scale first solved on training images."""
        self.solve_scale()
        model, objective = self.learner.average, self.learner.objective
        found = validate(model, self.some("validation", IMAGES), objective.is_likelihood)
        if not objective.weighs:
            return found
        few = self.some("validation", max(WEIGHED // objective.draws, 1))
        return {**found, "effective_draws": effective_draws(model, few, objective.draws)}


def defined(recipe: str | Sentence, dataset: Dataset, chosen: dict[str, Any]) -> tuple[Definition, Prepared]:
    """The recipe with every word filled in, and the data as its likelihood needs them, prepared by their training rows."""
    rows, training = dataset.rows, dataset.splits["train"].all()
    # by the likelihood that fits the data: the recipe's own is known only when it is built
    data = Prepared(dataset, prepare(dataset.kind, dataset.likelihood, rows, training))
    definition = define(recipe, data.spec, **chosen)
    if dataset.kind not in (
        "reals",
        "counts",
    ):  # these are prepared alike for every likelihood: once is enough to read them all
        data = Prepared(dataset, prepare(dataset.kind, definition.words.likelihood, rows, training))
    return definition, data


def learner_of(
    plan: Plan, definition: Definition, data: Prepared, device: torch.device, module: str | None, start: Start | None = None
) -> Learner:
    """The recipe at its starting weights: those of `start`, or what the plan's seed fixes."""
    with drawing(device, plan.seed):
        learner = _kind(plan)(definition.build(data.spec, module), plan, device)
    if start is not None:
        learner.begin(start.of(learner.model))
    return learner


def _kind(plan: Plan) -> type[Learner]:
    if now().world == 1:
        return Learner
    if not plan.shard:
        return SharedLearner
    # Here: FSDP takes a while to import, and few have a use for it.
    from legato.training.sharded import ShardedLearner

    return ShardedLearner
