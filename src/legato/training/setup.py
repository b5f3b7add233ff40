"""The set-up of a job: data opened, recipe built, minutes probed, the RUN's JSON written.

Covered: a new run and a resumed one. Not covered: the loop itself.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, fields, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from legato import checkpoint
from legato.data import DataOptions
from legato.data.dataset import Dataset
from legato.data.prepared import Prepared, place_of, reopen
from legato.data.roles import some
from legato.data.sources import open_source
from legato.definition import Definition, module_of
from legato.devices import suited_precision
from legato.errors import Mistake
from legato.files import damaged, disk_errors, write_json
from legato.ranks import now
from legato.recipe import Sentence
from legato.run import REPLACED, Run
from legato.schema import fault
from legato.sentence import sentence_of
from legato.stored import StoredState
from legato.training.compiled import Lowered
from legato.training.engine import chosen as chosen_engine
from legato.training.engine import steady
from legato.training.learner import Learner
from legato.training.length import Length, Rehearsal, found
from legato.training.options import Plan, TrainingOptions, check, plan, suited
from legato.training.replayed import may_replay
from legato.training.start import Start, again, placed, start_of
from legato.training.task import Task, defined, learner_of
from legato.training.threads import Step


@dataclass(frozen=True)
class Job(Task):
    """A task that writes into a RUN; `state` is a checkpoint's, or empty at the start."""

    run: Run = field(kw_only=True)
    state: dict[str, Any] = field(kw_only=True)
    length: Length | None = None  # None for a resumed run, whose plan was made once and stands


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
    ranks = now()
    check(options)
    if options.shard and ranks.world == 1:
        raise Mistake("--shard splits a model over several processes, and this is one: start it by torchrun (docs/scale.md)")
    if ranks.first:
        refuse_taken(run, overwrite)  # before the data, whose opening may take minutes, and the choice of an engine
    with ranks.in_turn():
        dataset = open_source(source, data_options, labels)
    refuse_others(dataset)
    definition, data = defined(recipe, dataset, chosen)
    options = suited(options, definition.words.net)
    size = min(options.batch_size or 1, len(data.split("train")))  # a batch is never larger than the split
    module = module_of(definition.name)
    # Not compiled of itself where the recipe is one's own: what its Python decides would stay as it was when it was captured.
    options = replace(options, engine=steady(device)) if module and options.engine == "auto" else options
    if options.engine == "auto" and ranks.world > 1:
        options = replace(options, engine="eager")
    engine = chosen_engine(options.engine, device)
    precision = suited_precision(options.precision, device)
    start = start_of(options.start)

    def rehearse() -> Rehearsal:
        # So long that no schedule outlives it; the true plan is checked later.
        trial = plan(options, 10**9, size, precision, engine=engine)
        replays = may_replay(engine, bool(module), device, None, options.minutes or 0.0)
        return _rehearsal(lambda: _job(run, trial, definition, data, device, {}, module, start), replays)

    length = found(options, len(data.split("train")), size, device, rehearse)
    made = plan(options, length.total, size, precision, length.threads, "compiled" if length.gear.lowered else engine)
    made = ranks.said(made if start is None else replace(made, start=placed(start.path), start_digest=start.digest))
    job = replace(_job(run, made, definition, data, device, {}, module, start), length=length)
    steps = None if options.minutes is not None else length.total
    return _geared(job, length.gear.lowered, may_replay(made.engine, bool(module), device, steps, options.minutes))


def record(job: Job, asked: TrainingOptions, overwrite: bool, imported: str | None = None) -> None:
    """Writes what the run is: its sentence, its data, its plan, whose model it was. The caller holds the run's lock."""
    if not now().first:
        return
    # Asked once more, now under the lock: another process may have begun here since the first time.
    refuse_existing(job.run, overwrite)
    with job.run.replacing():  # whatever ends the process, one whole run lies here: the old one or the new
        write_json(job.run.recipe, job.definition.to_json())
        write_json(job.run.data, job.data.to_json())
        told = job.length.to_json() if job.length else {} if imported is None else {"imported": imported}
        # last: by this file a new run counts as whole
        write_json(job.run.training, {**job.plan.to_json(), **told, **_circumstances(asked, job.learner.device)})


def resume(
    run: Run,
    device: torch.device,
    module: str | None = None,
    moved: str | None = None,
    threads: int | None = None,
    engine: str = "auto",
) -> Job:
    """A run as it was stopped: at its newest whole checkpoint, or at its start where it has none yet.

    `module` allows the import of a recipe of one's own: a folder from elsewhere must not choose what code is run.
    `moved`: where the run's data lie now, which the run then remembers. Raises `Mistake` where they are not what they were.
    `threads`: others than the run was begun with, which round sums otherwise; `engine`, another than the run's own (auto), may.
    """
    made, stored = Plan.from_json(run.stored("training")), run.stored("data")
    made = made if threads is None else replace(made, threads=threads)
    made = made if engine == "auto" else replace(made, engine=chosen_engine(engine, device))
    definition, _ = sentence_of(run, module)
    with now().in_turn():
        data = reopen(stored, moved)
    if data.dataset.fingerprint != stored["fingerprint"]:
        raise Mistake(
            f"`{data.dataset.source}` is not what `{run.path}` was trained on: bring the old data back, or train anew"
        )
    if moved is not None and now().first:
        # after the fingerprint was compared: a wrong place must not be remembered
        write_json(run.data, {**stored, "source": place_of(moved)})
    job = _job(run, made, definition, data, device, {}, module)
    job = _geared(job, job.compiled(), may_replay(made.engine, bool(module_of(definition.name)), device, made.total))
    found = checkpoint.read_newest(run.checkpoints, job.learner.tensors())
    if found is None:
        if made.start is not None:
            job.learner.begin(again(made.start, made.start_digest).of(job.learner.model))
        return job
    if why := fault(StoredState, dict(found.state)):
        raise damaged(f"state.json of the newest in `{run.checkpoints}`", why)
    others = len(found.state["guard"].get("others", ()))
    # Before anything is restored: a learner that holds half of another training would be of no use to anyone.
    if found.state["step"] > made.total or [len(found.state["sums"]), others] != _sizes(job.learner):
        raise Mistake(f"`{run.checkpoints}` is of another training than `{run.training}`: restore the run, or train it again")
    job.learner.restore(dict(found.tensors), found.state["guard"])
    job.state.update(found.state)
    return job


def refuse_others(dataset: Dataset) -> None:
    """Raises `Mistake` where this rank has found other data than the first."""
    if now().said(dataset.fingerprint) != dataset.fingerprint:
        raise Mistake(f"`{dataset.source}` holds other data here than where the first process reads it: give all the same")


def _sizes(learner: Learner) -> list[int]:
    """The number of figures that a step gives, and of players beside the model: what a checkpoint of it says."""
    return [len(learner.figures), len(learner.others)]


def refuse_existing(run: Run, overwrite: bool) -> None:
    """Raises `Mistake` where something lies at --out that would be lost."""
    if run.path.exists() and not run.path.is_dir():
        raise Mistake(f"`{run.path}` is a file: --out names a folder")
    nothing = {".lock", *(p.name for p in run.path.glob(f".{run.recipe.name}.*.partial"))}  # of a run killed at its first file
    if not run.path.exists() or not any(p.name not in nothing for p in run.path.iterdir()):
        return
    # a replacing that was cut short has it there
    if not run.recipe.is_file() and not (run.path / REPLACED / run.recipe.name).is_file():
        raise Mistake(f"`{run.path}` holds files that are no run of Legato's: choose another --out")
    if not overwrite:
        raise Mistake(
            f"`{run.path}` holds a run already: go on with --resume, replace it with --overwrite, or choose another --out"
        )


def refuse_taken(run: Run, overwrite: bool) -> None:
    """Raises `Mistake` where --out holds what would be lost, or what another process is writing."""
    refuse_existing(run, overwrite)
    run.refuse_in_use()


def warn_of(definition: Definition, data: Prepared) -> str | None:
    """One line where the data are not scored as they are."""
    if data.preparation.binarise and data.dataset.likelihood != "bernoulli":
        return "bernoulli on 8-bit values: each pixel is drawn from Bernoulli(value/255), so the model is of binary images"
    return None


def left_out(dataset: Dataset) -> list[str]:
    """Lines on columns and pictures that are not used, as training tells them."""
    lines = [f"{what}: {said}" for what, said in (dataset.roles.lines() if dataset.roles else {}).items()]
    problems = [f"{problem.id} ({problem.reason})" for problem in dataset.problems]
    return [*lines, f"{len(problems):,} unreadable items are left out: {some(problems, 3)}"] if problems else lines


def _job(
    run: Run, made: Plan, definition: Definition, data: Prepared, device: torch.device, state: dict[str, Any],
    module: str | None, start: Start | None = None,
) -> Job:  # fmt: skip
    return Job(made, definition, data, learner_of(made, definition, data, device, module, start), run=run, state=state)


def _geared(job: Job, compiled: Lowered | None, replays: bool) -> Job:
    """The job with its step as it was compiled, or replayed, or plain."""
    return replace(job, lowered=job.replayed() if compiled is None and replays else compiled)


def _rehearsal(job: Callable[[], Job], replays: bool) -> Rehearsal:
    """The work of jobs whose weights are thrown away."""
    trial = _geared(job(), None, replays)
    engine = trial.engine()

    def compiled() -> tuple[Lowered, Step]:
        other = job()  # so that the eager step stays as it is, and both can be timed
        lowered = other.compile()
        return lowered, replace(other, lowered=lowered).engine().step

    return Rehearsal(engine.step, trial.validate, len(trial.plan.validations()), engine.wait, compiled)


def _circumstances(options: TrainingOptions, device: torch.device) -> dict[str, Any]:
    """Circumstances that explain a difference between two machines."""
    from legato import __version__

    asked = {field.name: getattr(options, field.name) for field in fields(options)}
    return {
        "asked": asked,
        "legato": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": device.type,
        "machine": platform.machine(),
    }


def writing(run: Run) -> AbstractContextManager[None]:
    """The run held for its one writer, the first rank."""
    return run.writing() if now().first else nullcontext()


@contextmanager
def claimed(out: str | Path | None, recipe: str | Sentence) -> Iterator[Run]:
    """The RUN at --out, or at the first free `runs/RECIPE-n`, which is claimed; what is refused meanwhile leaves nothing."""
    ranks = now()
    if out is not None or not ranks.first:
        yield Run(ranks.said(Path(out or "")))  # of several ranks, all take the first one's
        return
    run = Run(_free((recipe if isinstance(recipe, str) else recipe.__name__).replace(":", "-")))
    try:
        yield Run(ranks.said(run.path))
    finally:
        with suppress(OSError):  # it is no longer empty, unless nothing was begun
            run.path.rmdir()
            run.path.parent.rmdir()


def _free(name: str) -> Path:
    """Made here and now: of processes that start together, `mkdir` lets one have the name, and the others count on."""
    for n in count(1):
        path = Path("runs", f"{name}-{n}")
        with disk_errors(path), suppress(FileExistsError):
            # Not `exist_ok`: that it is made here is what makes the name this process's own.
            path.mkdir(parents=True)
            return path
    raise AssertionError("there is always another number")
