"""How long a run is and with how many threads it computes: found once, before it begins, and fixed from then on.

Covered: steps from epochs or minutes, the cap on passes over a small source, the choice of threads. Not covered: the timing
itself (probe.py, threads.py), and the schedules, which are fitted to the steps found here (options.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from legato.devices import threads_were_said, using_threads
from legato.training.options import TrainingOptions, most_passes
from legato.training.probe import steps_for
from legato.training.threads import Pace, timed

EPOCHS = 20.0


class Rehearsal(NamedTuple):
    """The real work on weights that are thrown away."""

    step: Callable[[int], object]
    validate: Callable[[], object]
    validations: int  # how many a run makes


@dataclass(frozen=True)
class Length:
    """What was found. `pace`: None where nothing was to be chosen. `affordable`: steps that the minutes had time for."""

    total: int
    per_epoch: int  # steps
    threads: int
    pace: Pace | None = None
    affordable: int | None = None

    @property
    def capped(self) -> bool:
        """Whether the run is shorter than its minutes, for the sake of a small source."""
        return self.affordable is not None and self.affordable > self.total

    def remarks(self, rows: int) -> list[str]:
        """A line each of what was chosen for the person, and of how to choose otherwise."""
        return [*self._of_threads(), *self._of_passes(rows)]

    def _of_threads(self) -> list[str]:
        count = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return [f"{count}, chosen by timing: {self.pace}; --threads says otherwise"] if self.pace else []

    def _of_passes(self, rows: int) -> list[str]:
        if self.affordable is None or not self.capped:
            return []
        made, more = (round(steps / self.per_epoch) for steps in (self.total, self.affordable))
        return [
            f"{made:,} passes, though there is time for {more:,}: with more, a model learns so few rows ({rows:,}) by heart; "
            f"--max-passes {more} says otherwise"
        ]

    def to_json(self) -> dict[str, Any]:
        """What `training.json` keeps beside the plan: what a clock said, so two runs may differ in it and be the same run."""
        pace = {} if self.pace is None else {"pace": self.pace.to_json()}
        return pace | ({"affordable": self.affordable} if self.capped else {})


def found(options: TrainingOptions, rows: int, size: int, device: torch.device, rehearse: Callable[[], Rehearsal]) -> Length:
    """The length of a run on so many training rows in batches of `size`. `rehearse` is called where anything is timed."""
    most, began = torch.get_num_threads(), time.perf_counter()
    free = device.type == "cpu" and most > 1 and not threads_were_said()
    per_epoch = rows // size
    if not free and options.minutes is None:
        return Length(_counted(options, per_epoch), per_epoch, most)
    stage = rehearse()
    pace = timed(stage.step, most) if free else None
    threads = pace.best if pace else most
    if options.minutes is None:
        return Length(_counted(options, per_epoch), per_epoch, threads, pace)
    left = options.minutes - (time.perf_counter() - began) / 60 if pace else options.minutes
    with using_threads(threads):
        affordable = steps_for(left, stage.step, stage.validate, stage.validations)
    return Length(min(affordable, _cap(options, rows, per_epoch)), per_epoch, threads, pace, affordable)


def _counted(options: TrainingOptions, per_epoch: int) -> int:
    """The steps that were said, or those of the epochs."""
    if options.steps is not None:
        return options.steps
    return max(round((EPOCHS if options.epochs is None else options.epochs) * per_epoch), 1)


def _cap(options: TrainingOptions, rows: int, per_epoch: int) -> int:
    """The most steps that minutes become; a million million where nothing caps them."""
    passes = most_passes(rows) if options.max_passes is None else options.max_passes
    return max(round(min(passes * per_epoch, 10**12)), 1)
