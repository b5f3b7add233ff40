"""Models that Pythae saved, as Legato's: `legato.from_pythae` and `legato convert`. Pythae itself is not needed.

Covered: a model in memory, which needs no data; a RUN, by which every command works. Not covered: going on with a training.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from legato.arguments import checked
from legato.data import DataOptions
from legato.data.dataset import Dataset
from legato.data.preparation import Preparation
from legato.data.prepared import IN_MEMORY
from legato.data.sources import open_source
from legato.definition import define
from legato.devices import choose, drawing, generators_kept
from legato.errors import Mistake, unknown
from legato.files import told, whole_file
from legato.latent_space import LatentSpace
from legato.loading import load
from legato.pythae.saved import Saved, read
from legato.pythae.sentences import Reading, fill, sentence_of
from legato.run import Run
from legato.setting import DataSpec
from legato.tensors import write_tensors
from legato.training.codes import OF_ALL, enough, summarise
from legato.training.options import Plan, TrainingOptions, plan
from legato.training.setup import Job, claimed, record, refuse_taken
from legato.training.task import Task, defined, learner_of
from legato.unsaved import Unsaved

__all__ = ["Reading", "from_pythae"]


@told()
@checked
def from_pythae(
    folder: str | Path,
    data: Any = None,
    out: str | Path | None = None,
    *,
    likelihood: Reading = "auto",
    overwrite: bool = False,
    device: str = "auto",
    threads: int | None = None,
    labels: Any = None,
    **chosen: Any,
) -> LatentSpace:
    """A model of Pythae 0.1.2, from the folder that `model.save` wrote: AE, VAE, BetaVAE, VAMP or VQVAE with its own nets.

    Without `data` it lies in memory: it encodes, decodes, draws from its prior and scores. With `data`, a source or an array
    as of `legato.train`, it becomes the RUN `out`, by which every command works; `chosen` are options of data (size=64).
    `likelihood`: what a cross-entropy is of: `bernoulli`, of pixels that are drawn (auto), or `continuous-bernoulli`, a density
    of grey ones, whose mean is another picture than Pythae's. Outputs are Pythae's to rounding (docs/pythae.md).

    Raises `Mistake` for another class, nets of one's own, weights that do not fit, and data of another shape or kind.
    """
    saved, place = read(Path(folder)), choose(device, threads)
    name, said = sentence_of(saved, likelihood)
    if data is None:
        if out is not None or chosen or labels is not None:
            raise Mistake("a RUN says what data it is of, and options are of data: give `data` (--data SOURCE), too")
        return _in_memory(saved, name, said, place)
    options = _taken(chosen, labels)
    with generators_kept(), claimed(out, name) as run:
        refuse_taken(run, overwrite)
        dataset = open_source(data, options, None if isinstance(labels, str | Path) else labels)
        _refuse_unlike(dataset, saved)
        job = _job(run, saved, name, said, dataset, place)
        with run.writing():
            _write(job, saved, overwrite)
    space = load(run.path, device=device)
    space.given = None if isinstance(data, str | Path) else data  # an array cannot be opened again by its name
    return space


def _taken(chosen: dict[str, Any], labels: Any) -> DataOptions:
    named = {"labels": str(labels)} if isinstance(labels, str | Path) else {}
    if foreign := [name for name in chosen if name not in DataOptions.__dataclass_fields__]:
        raise unknown("option of data", foreign[0], DataOptions.__dataclass_fields__)
    return DataOptions(**{**chosen, **named})


def _refuse_unlike(dataset: Dataset, saved: Saved) -> None:
    if dataset.shape != saved.shape:
        raise Mistake(f"{saved} is of shape {saved.shape}, `{dataset.source}` has {dataset.shape}: give data of the same shape")
    if dataset.kind == "reals":
        raise Mistake(
            f"`{dataset.source}` holds real numbers, and Pythae's decoders give values from 0 to 1: give pictures, or whole "
            "numbers from 0 to 255 (--values bytes)"
        )


def _plan(size: int) -> Plan:
    """A plan of no step: Legato has trained nothing here."""
    return plan(TrainingOptions(), 0, size, threads=torch.get_num_threads())


def _in_memory(saved: Saved, name: str, said: dict[str, Any], place: torch.device) -> LatentSpace:
    """The model without any data: floats in [0, 1] are what it sees, whole numbers are bytes."""
    spec = DataSpec(saved.shape, "bytes", "bernoulli")
    definition = define(name, spec, **said)
    with drawing(place, 0):
        recipe = definition.build(spec)
    fill(recipe.model.to(place), saved, spec.kind)
    preparation = Preparation(spec.kind, binarise=definition.words.likelihood == "bernoulli")
    data = {
        "source": f"{IN_MEMORY}images that Pythae was given",
        "options": {},
        "fingerprint": "",
        "count": 0,
        "shape": list(saved.shape),
        "kind": spec.kind,
        "likelihood": definition.words.likelihood,
        "splits": {"train": 0, "validation": 0, "test": 0},
        "preparation": preparation.to_json(),
    }
    training = {**_plan(1).to_json(), "imported": str(saved)}
    kept = Unsaved({"recipe": definition.to_json(), "data": data, "training": training}, [], {})
    return LatentSpace(recipe, preparation, saved.shape, kept, definition)


def _job(run: Run, saved: Saved, name: str, said: dict[str, Any], dataset: Dataset, place: torch.device) -> Job:
    definition, data = defined(name, dataset, said)
    made = _plan(min(256, len(data.split("train"))))
    learner = learner_of(made, definition, data, place, None)
    for model in (learner.model, learner.average):
        fill(model, saved, data.spec.kind)
    return Job(made, definition, data, learner, run=run, state={})


def _write(job: Job, saved: Saved, overwrite: bool) -> None:
    """The RUN's files: its JSON, one line of metrics, weights; the codes last, by which it counts as finished."""
    record(job, TrainingOptions(), overwrite, imported=str(saved))
    with whole_file(job.run.metrics) as file:
        file.write(json.dumps({"step": 0, "validation": job.validate()}, allow_nan=False).encode() + b"\n")
    write_tensors(job.run.model, job.learner.state(job.learner.result))
    write_tensors(job.run.codes, _codes(job))


def _codes(task: Task) -> dict[str, torch.Tensor]:
    model = task.learner.result
    return summarise(model, task.some("train", enough(model, OF_ALL)))
