"""One run of a sweep: trained to its end or gone on with, in whichever process, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from legato.data import DataOptions, open_source
from legato.data.preparation import prepare
from legato.data.prepared import Prepared
from legato.definition import define
from legato.devices import choose
from legato.run import Run
from legato.setting import DataSpec
from legato.training import Job, TrainingOptions, begin, complete, refuse_unknown, take
from legato.training.engine import steady
from legato.training.options import check as check_options


@dataclass(frozen=True)
class Work:
    """The words of one run, for `legato.train`, and where it lies."""

    words: dict[str, Any]
    path: str
    device: str = "auto"


def check(work: Work) -> None:
    """Raises `Mistake` for words that cannot be, before anything is trained. Prepares the data, which workers then find."""
    words = dict(work.words)
    recipe, data = words.pop("recipe"), words.pop("data")
    refuse_unknown(recipe, words)
    check_options(take(TrainingOptions, words))
    define(recipe, _spec(data, take(DataOptions, words)), **words)


@cache
def _spec(data: str, options: DataOptions) -> DataSpec:
    dataset = open_source(data, options)
    preparation = prepare(dataset.kind, dataset.likelihood, dataset.rows, dataset.splits["train"].all())
    return Prepared(dataset, preparation).spec


def train(work: Work) -> dict[str, Any]:
    """Trains the run, goes on where it was stopped, or leaves it where it is finished. Its figures, nats per example."""
    run, device = Run(work.path), choose(work.device)
    words = {"engine": steady(device), **work.words}
    recipe, data = words.pop("recipe"), words.pop("data")
    options, data_options = take(TrainingOptions, words), take(DataOptions, words)
    half = not run.training.is_file()  # where anything lies: a worker was lost before it had said what the run is

    def anew() -> Job:
        return begin(run, recipe, data, data_options, options, words, device, overwrite=half)

    complete(run, options, anew, device, overwrite=half)
    return figures(run)


def figures(run: Run) -> dict[str, Any]:
    """What a finished run came to: the last validation, the step of the best one, and the seconds of training."""
    lines = run.read_metrics()
    last = next(line for line in reversed(lines) if "validation" in line)
    found = {name: last["validation"][name] for name in ("elbo", "distortion", "rate")}
    return {**found, "steps": last["step"], "seconds": lines[-1]["clock"]["seconds"]}
