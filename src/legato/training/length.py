"""The length of a run and its number of threads: found once, before it begins, and fixed from then on.

Covered: steps from epochs or minutes, the cap on passes over a small source, the choice of threads. Not covered: the timing
itself (probe.py, threads.py), and the schedules, which are fitted to the steps found here (options.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from legato.devices import threads_were_said, using_threads
from legato.ranks import now
from legato.training.compiled import Lowered
from legato.training.compiling import EAGER, Choice, choice, may_pay
from legato.training.options import TrainingOptions, most_steps
from legato.training.probe import steps_for
from legato.training.threads import Pace, Step, counted, in_turns, timed

EPOCHS = 20.0
FEW_STEPS, FEW_PASSES = 500, 10.0  # with fewer of both, pictures are hardly learnt (docs/numbers.md)


class Rehearsal(NamedTuple):
    """The real work on weights that are thrown away, the number of validations of a run, and how to compile the step."""

    step: Step
    validate: Callable[[], object]
    validations: int
    wait: Callable[[], object]
    compile: Callable[[], tuple[Lowered, Step]]  # the step compiled, and one of weights of its own that is made by it


@dataclass(frozen=True)
class Length:
    """A run's steps, of which `per_epoch` are a pass, and its threads. `pace`: None where nothing was to be chosen.
    `affordable`: the steps that the minutes had time for, None where nobody's minutes were cut short but by themselves.
    `minutes`: the ones that were said. `gear`: the step that was chosen on a CPU, compiled or eager.
    """

    total: int
    per_epoch: int
    threads: int
    pace: Pace | None = None
    affordable: int | None = None
    minutes: float | None = None
    gear: Choice = EAGER

    def remarks(self, rows: int) -> list[str]:
        """A line each of what was chosen for the person, and of how to choose otherwise."""
        count = counted(self.threads)
        of_threads = [f"{count}, chosen by timing: {self.pace}; --threads says otherwise"] if self.pace else []
        return [*of_threads, *self.warnings(rows)]

    def warnings(self, rows: int) -> list[str]:
        """The lines of a run that is shorter than its minutes, or than pictures need, or whose step is another."""
        return [*([self.gear.line] if self.gear.line else []), *self.cut_short(rows), *self.too_short()]

    def too_short(self) -> list[str]:
        """The line of minutes in which little can be learnt."""
        passes = self.total / self.per_epoch
        if self.minutes is None or self.total >= FEW_STEPS or passes >= FEW_PASSES:
            return []
        return [
            f"{self.total:,} steps in {self.minutes:g} minutes are few ({passes:.1f} passes), and what is decoded will be "
            "blurred: more --minutes help, or for pictures a smaller --size, or a smaller --width"
        ]

    def cut_short(self, rows: int) -> list[str]:
        """The line of a run that is shorter than its minutes, for the sake of so few rows."""
        if self.affordable is None:
            return []
        made, more = (round(steps / self.per_epoch) for steps in (self.total, self.affordable))
        return [
            f"{made:,} passes, though there is time for {more:,}: so few rows ({rows:,}) are soon learnt by heart; "
            f"--max-passes {more} says otherwise"
        ]

    def to_json(self) -> dict[str, Any]:
        """The part of `training.json` beside the plan: what a clock said, so two runs may differ in it and be the same run."""
        pace = {} if self.pace is None else {"pace": self.pace.to_json()}
        return pace | ({} if self.affordable is None else {"affordable": self.affordable})


def found(options: TrainingOptions, rows: int, size: int, device: torch.device, rehearse: Callable[[], Rehearsal]) -> Length:
    """The length of a run on so many training rows in batches of `size`. `rehearse` is called where anything is timed."""
    most, began = torch.get_num_threads(), time.perf_counter()  # from here on: timing comes off the minutes, too
    # A GPU computes elsewhere, a single thread leaves no choice, and a person's word stands.
    ranks = now()
    # Nor is there one where ranks share a machine: how many threads each has is their launcher's to say.
    free = device.type == "cpu" and most > 1 and not threads_were_said() and ranks.world == 1
    # the last, smaller batch of a pass is left out (data/batches.py)
    per_epoch = rows // size
    steps = None if options.minutes is not None else _counted(options, per_epoch)
    pays = device.type == "cpu" and may_pay(options.engine, options.minutes, steps)
    # Nothing is to be timed: the net of a rehearsal need not even be built.
    if steps is not None and not free and not pays:
        return Length(steps, per_epoch, most)
    stage = rehearse()
    pace = timed(stage.step, most) if free else None
    threads = pace.best if pace else most
    with using_threads(threads):
        gear = _gear(options, stage, steps, pace) if pays else EAGER
        if steps is not None:
            return Length(steps, per_epoch, threads, pace, gear=gear)
        assert options.minutes is not None
        # What the choices took, and a capture, is time of the person's too: it comes off the minutes.
        left = options.minutes - (time.perf_counter() - began) / 60
        affordable = steps_for(left, gear.step or stage.step, stage.validate, stage.validations, stage.wait, ranks.said)
    total = int(min(affordable, most_steps(rows, per_epoch, options.max_passes)))
    cut = total < affordable and options.max_passes is None  # a cap that was said surprises nobody
    return Length(total, per_epoch, threads, pace, affordable if cut else None, options.minutes, gear)


def _gear(options: TrainingOptions, stage: Rehearsal, steps: int | None, pace: Pace | None) -> Choice:
    """The step, compiled or eager, of a run of so many steps or of the minutes that were said."""
    if steps is None:
        return choice(options.engine, 60 * (options.minutes or 0.0), stage.step, stage.compile)
    seconds = pace.seconds if pace else in_turns([(stage.step, nullcontext)])[0]
    return choice(options.engine, steps * seconds, stage.step, stage.compile)


def _counted(options: TrainingOptions, per_epoch: int) -> int:
    """The steps that were said, or those of the epochs."""
    if options.steps is not None:
        return options.steps
    return max(round((EPOCHS if options.epochs is None else options.epochs) * per_epoch), 1)
