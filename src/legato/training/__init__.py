"""Training: `legato.train`, one loop for every recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from inspect import Parameter
from pathlib import Path
from typing import Any, Unpack, overload

import torch

from legato.arguments import check_fields, checked, signature_with
from legato.data import DataOptions
from legato.definition import find, module_of
from legato.devices import choose, generators_kept, using_threads
from legato.errors import Mistake, tell, unknown
from legato.files import told
from legato.latent_space import LatentSpace
from legato.loading import load
from legato.ranks import joined, now
from legato.recipe import Sentence, options_of
from legato.run import Run
from legato.setting import Words
from legato.training.chosen import Chosen, RecipeName
from legato.training.follower import Follower
from legato.training.loop import Loop
from legato.training.options import Plan, TrainingOptions
from legato.training.setup import Job, begin, claimed, record, resume, warn_of, writing

__all__ = [
    "Job",
    "Loop",
    "Plan",
    "TrainingOptions",
    "begin",
    "complete",
    "execute",
    "record",
    "refuse_unknown",
    "resume",
    "take",
    "train",
    "warn_of",
]


@overload
def train(
    recipe: RecipeName,
    data: Any = "mnist",
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    device: str = "auto",
    threads: int | None = None,
    labels: Any = None,
    **chosen: Unpack[Chosen],
) -> LatentSpace: ...
@overload
def train(
    recipe: str | Sentence,
    data: Any = "mnist",
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    device: str = "auto",
    threads: int | None = None,
    labels: Any = None,
    **chosen: Any,
) -> LatentSpace: ...
@told()
@checked
def train(
    recipe: Any,
    data: Any = "mnist",
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    device: str = "auto",
    threads: int | None = None,
    labels: Any = None,
    **chosen: Any,
) -> LatentSpace:
    """Trains a recipe, by name or a function of one's own, and gives back what people do with it.

    `data`: a source by name or path, or an array (N, C, H, W) or (N, D), a list, a tensor or a frame. `labels`: a file
    or column by name, or one class for each row, (N,), which a run does not keep. `out`: the RUN, `runs/RECIPE-n` if None.
    `chosen`: options of the recipe (latent_dim=16), the shared words (net="conv"), of training (minutes=5), of data (size=64).

    Raises `Mistake` for what cannot be: an unknown name (with the nearest), an option out of range, an `out` that is taken.
    """
    refuse_unknown(recipe, chosen)
    # A name is an option of the data, which the run keeps. Labels in memory cannot be written down there.
    if labels is None or isinstance(labels, str | Path):
        chosen, labels = {**chosen, **({} if labels is None else {"labels": str(labels)})}, None
    # Taken out of `chosen`: what stays are the recipe's options and the shared words.
    options, data_options = take(TrainingOptions, chosen), take(DataOptions, chosen)
    place = choose(device, threads)
    with joined(place), generators_kept(), claimed(out, recipe) as run:
        job = begin(run, recipe, data, data_options, options, chosen, place, overwrite, labels)
        with writing(run):
            record(job, options, overwrite)
            for line in job.length.warnings(len(job.data.split("train"))) if job.length else ():
                tell(line)
            execute(job, options.checkpoint_minutes)
    # From the disk: what is given back is what any later `legato.load` gives.
    space = load(run.path, device=device, module=recipe.__module__ if callable(recipe) else recipe.partition(":")[0])
    space.given = None if isinstance(data, str | Path) else data  # an array cannot be opened again by its name
    return space


train.__signature__ = signature_with(train, Chosen)  # type: ignore[attr-defined]  # what a notebook completes


def refuse_unknown(recipe: Any, chosen: dict[str, Any]) -> None:
    """Raises `Mistake` for a recipe that is none, and for an option that nothing takes, with the nearest that there is."""
    if not (isinstance(recipe, str) or callable(recipe)):
        raise Mistake(f"`recipe` must be a recipe's name, or a function (data, …) -> legato.Recipe; got {recipe!r}")
    own = options_of(recipe if callable(recipe) else find(recipe, module_of(recipe)))
    if any(one.kind is Parameter.VAR_KEYWORD for one in own.values()):
        return  # it takes any name, so that none can be foreign
    known = {*own, *(field.name for kind in (TrainingOptions, DataOptions, Words) for field in fields(kind))}
    if foreign := [name for name in chosen if name not in known]:
        raise unknown(f"option of `{recipe if isinstance(recipe, str) else recipe.__name__}`", foreign[0], known)


def execute(job: Job, checkpoint_minutes: float = 2.0) -> None:
    """Runs a job to its end, with its plan's threads. Raises `Stopped` on Ctrl-C and SIGTERM, when everything is on disk."""
    # Both: a run that was stopped between its last step and its codes has those still to write.
    if int(job.state.get("step", 0)) >= job.plan.total and job.run.codes.is_file():
        raise Mistake(f"`{job.run.path}` is finished: all {job.plan.total:,} steps are done; to train anew use --overwrite")
    with using_threads(job.plan.threads):  # the plan's, for sums that are cut otherwise are rounded otherwise
        (Loop if now().first else Follower)(job, checkpoint_minutes).run()
    now().said(None)  # all wait for what the first writes: they may read it next
    job.learner.leave()


def complete(
    run: Run, options: TrainingOptions, anew: Callable[[], Job], device: torch.device, overwrite: bool = False
) -> Plan:
    """Brings a run to its end, and returns its plan: a finished one is kept, a stopped one goes on, else `anew` begins it.

    For families of runs that are trained by one command, which may be stopped and given again.
    """
    with generators_kept():
        if run.training.is_file() and not overwrite:
            if run.codes.is_file():  # its codes are a run's last file
                return Plan.from_json(run.stored("training"))
            with run.writing():
                job = resume(run, device)
                execute(job)
            return job.plan
        job = anew()  # before the folder is made: what is refused must leave none
        with run.writing():
            record(job, options, overwrite)
            execute(job)
    return job.plan


def take(kind: Any, chosen: dict[str, Any]) -> Any:
    """The fields of one dataclass of options, taken out of `chosen`."""
    taken = kind(**{field.name: chosen.pop(field.name) for field in fields(kind) if field.name in chosen})
    check_fields(taken)
    return taken
