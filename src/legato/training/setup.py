"""From what a person asked to a job that can run: data opened, recipe built, minutes probed, the RUN's JSON written.

Covered: a new run and a resumed one. Not covered: the loop itself.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from legato import checkpoint
from legato.data import DataOptions
from legato.data.batches import TrainingBatches
from legato.data.preparation import prepare
from legato.data.prepared import Prepared, reopen
from legato.data.sources import open_source
from legato.devices import auto_precision, drawing
from legato.errors import Mistake
from legato.files import write_json
from legato.recipe import Definition, Sentence, define, module_of
from legato.run import Run
from legato.training.learner import Learner
from legato.training.options import Plan, TrainingOptions, check, plan
from legato.training.probe import steps_for
from legato.training.validation import IMAGES, solve_scale, validate


@dataclass(frozen=True)
class Job:
    """A learner, its data, and where it writes; `state` is a checkpoint's, or empty at the start."""

    run: Run
    plan: Plan
    definition: Definition
    data: Prepared
    learner: Learner
    state: dict[str, Any]

    def batches(self) -> TrainingBatches:
        """The training split, in the order of the plan's seed."""
        return TrainingBatches(
            self.data.dataset.rows, self.data.split("train").all(), self.data.preparation, self.plan.batch_size, self.plan.seed
        )

    def some(self, split: str, most: int) -> Iterator[Tensor]:
        """Up to `most` evaluation rows of a split, drawn once and for all whatever the run's seed, on the device."""
        for x in self.data.batches(self.data.split(split).draw(most, "training looks at"), self.plan.batch_size):
            yield torch.from_numpy(x).to(self.learner.device)

    def validate(self) -> dict[str, Any]:
        """The averaged model on the validation images, its solved scale first solved on training images."""
        solve_scale(self.learner.average, self.some("train", IMAGES))
        return validate(self.learner.average, self.some("validation", IMAGES))


def begin(
    run: Run,
    recipe: str | Sentence,
    source: Any,
    data_options: DataOptions,
    options: TrainingOptions,
    chosen: dict[str, Any],
    device: torch.device,
    overwrite: bool = False,
    labels: Any = None,
) -> Job:
    """A new run, not yet on disk: everything that can be refused is refused before anything is written or cleared."""
    check(options)
    refuse_existing(run, overwrite)
    dataset = open_source(source, data_options, labels)
    raw = Prepared(dataset, prepare(dataset.kind, dataset.likelihood, dataset.rows, dataset.splits["train"].all()))
    definition = define(recipe, raw.spec, **chosen)
    data = Prepared(dataset, prepare(dataset.kind, definition.words.likelihood, dataset.rows, dataset.splits["train"].all()))
    size = min(options.batch_size, len(data.split("train")))
    total = _total(options, definition, data, run, size, device)
    made = plan(options, total, size, auto_precision(device))
    return _job(run, made, definition, data, device, {}, module_of(definition.name))


def record(job: Job, asked: TrainingOptions, overwrite: bool) -> None:
    """Writes what the run is: its sentence, its data, its plan. The caller holds the run's lock."""
    refuse_existing(job.run, overwrite)
    _clear(job.run)
    write_json(job.run.recipe, job.definition.to_json())
    write_json(job.run.data, job.data.to_json())
    write_json(job.run.training, {**job.plan.to_json(), **_circumstances(asked, job.learner.device)})


def resume(run: Run, device: torch.device, module: str | None = None) -> Job:
    """A run as it was stopped: at its newest whole checkpoint, or at its start where it has none yet.

    `module` allows the import of a recipe of one's own: a folder from elsewhere must not choose what code is run.
    """
    definition, made = Definition.from_json(run.stored("recipe")), Plan.from_json(run.stored("training"))
    stored = run.stored("data")
    data = reopen(stored)
    if data.dataset.fingerprint != stored["fingerprint"]:
        raise Mistake(
            f"`{data.dataset.source}` is not what `{run.path}` was trained on: bring the old data back, or train anew"
        )
    job = _job(run, made, definition, data, device, {}, module)
    found = checkpoint.read_newest(run.checkpoints)
    if found is None:
        return job
    job.learner.restore(dict(found.tensors), found.state["guard"])
    job.state.update(found.state)
    return job


def refuse_existing(run: Run, overwrite: bool) -> None:
    """Raises `Mistake` where something lies at --out that would be lost."""
    if run.path.exists() and not run.path.is_dir():
        raise Mistake(f"`{run.path}` is a file: --out names a folder")
    nothing = {".lock", *(p.name for p in run.path.glob(f".{run.recipe.name}.*.partial"))}  # of a run killed at its first file
    if not run.path.exists() or not any(p.name not in nothing for p in run.path.iterdir()):
        return
    if not run.recipe.is_file():
        raise Mistake(f"`{run.path}` holds files that are no run of Legato's: choose another --out")
    if not overwrite:
        raise Mistake(
            f"`{run.path}` holds a run already: go on with --resume, replace it with --overwrite, or choose another --out"
        )


def warn_of(definition: Definition, data: Prepared) -> str | None:
    """One line where the data are not scored as they are."""
    if data.preparation.binarise and data.dataset.likelihood != "bernoulli":
        return "bernoulli on 8-bit values: each pixel is drawn from Bernoulli(value/255), so the model is of binary images"
    return None


def _job(
    run: Run, made: Plan, definition: Definition, data: Prepared, device: torch.device, state: dict[str, Any],
    module: str | None,
) -> Job:  # fmt: skip
    return Job(run, made, definition, data, _learner(made, definition, data, device, module), state)


def _learner(made: Plan, definition: Definition, data: Prepared, device: torch.device, module: str | None) -> Learner:
    with drawing(device, made.seed):
        return Learner(definition.build(data.spec, module), made, device)


def _total(options: TrainingOptions, definition: Definition, data: Prepared, run: Run, size: int, device: torch.device) -> int:
    if options.steps is not None:
        return options.steps
    if options.minutes is None:
        epochs = 20.0 if options.epochs is None else options.epochs
        return max(round(epochs * (len(data.split("train")) // size)), 1)
    # So long that no schedule outlives it; the true plan is checked later.
    guess = plan(options, 10**9, size, auto_precision(device))
    trial = _job(run, guess, definition, data, device, {}, module_of(definition.name))
    batches = trial.batches()

    def step(i: int) -> None:
        trial.learner.step(torch.from_numpy(batches.at(i)).to(device), i)

    return steps_for(options.minutes, step, trial.validate, len(guess.validations()))


def _clear(run: Run) -> None:
    """Drops what a replaced run left; the lock stays, for it is held. recipe.json goes last: until then it is a run."""
    for path in sorted(run.path.iterdir(), key=lambda path: path == run.recipe):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


def _circumstances(options: TrainingOptions, device: torch.device) -> dict[str, Any]:
    """What explains a difference between two machines."""
    from legato import __version__

    asked = {field.name: getattr(options, field.name) for field in fields(options)}
    return {
        "asked": asked,
        "legato": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "machine": platform.machine(),
    }


def path_of(out: str | Path | None, recipe: str | Sentence) -> Path:
    """--out, or the first free `runs/RECIPE-n`."""
    if out is not None:
        return Path(out)
    name = (recipe if isinstance(recipe, str) else recipe.__name__).replace(":", "-")
    n = 1
    while Path("runs", f"{name}-{n}").exists():
        n += 1
    return Path("runs", f"{name}-{n}")
