"""The engine: how a run's steps are made, with one meaning whichever makes them.

Covered: the eager one, an operation after another, on any device; the choice. Not covered: the graphed one (graphed.py), which
only a card has; a compiled step (compiled.py), which only the CPU has; what a step does (learner.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from legato.batch import Batch
from legato.data.batches import Batches
from legato.devices import widest
from legato.errors import Mistake
from legato.ranks import now
from legato.training.learner import Learner

Make = Callable[[Batch, int], Tensor | None]


class Engine(Protocol):
    """Steps, and the sums of their figures since the last `clear`."""

    def step(self, step: int) -> None:
        """Makes a step, or begins to."""

    def look(self) -> tuple[list[float], int]:
        """The sums of the figures of the steps that were taken, and how many they were: all steps are then done.

        The learner's guard is then as after the last of them. Raises `Diverged` where too many were skipped.
        """

    def clear(self) -> None:
        """Sums begin anew."""

    def wait(self) -> None:
        """Returns when the device has done all that it was asked for: before a clock is read."""


class Eager:
    """The host waits for each step's norm. `make`: the step; the learner's own asks for every operation by itself."""

    def __init__(
        self, learner: Learner, batches: Batches, sums: Sequence[float] = (), counted: int = 0, make: Make | None = None
    ) -> None:
        self.learner, self.batches, self.counted, self.make = learner, batches, counted, make or learner.step
        self.ranks = now()
        # Double precision: a line of metrics may sum over thousands of steps. On the device, where adding waits for nothing.
        self.sums = torch.zeros(len(learner.figures), dtype=widest(learner.device), device=learner.device)
        if len(sums):
            self.sums += torch.tensor(sums, dtype=self.sums.dtype, device=learner.device)

    def step(self, step: int) -> None:
        """One step. Raises `Diverged` at once."""
        mine = self.batches.at(step, self.ranks.rank, self.ranks.world)
        parts = self.make(mine.to(self.learner.device), step)
        if parts is not None:  # a skipped step has no figures that mean anything
            self.sums += parts
            self.counted += 1

    def look(self) -> tuple[list[float], int]:
        """Sums and count."""
        return self.sums.tolist(), self.counted

    def clear(self) -> None:
        """Sums begin anew."""
        self.sums.zero_()
        self.counted = 0

    def wait(self) -> None:
        """Waits for nothing where the last step's norm was waited for."""


def chosen(asked: str, device: torch.device) -> str:
    """The engine for this device: graphed on a card, else eager. Raises `Mistake` where another was asked for than it has.

    Ranks that share a step make it eagerly: what they tell each other cannot be captured.
    """
    if now().world > 1:
        if asked not in ("auto", "eager"):
            raise Mistake(f"--engine {asked} is for one process, and {now().world} share this training: leave it out")
        return "eager"
    if asked == "graphed" and device.type != "cuda":
        raise Mistake(f"--engine graphed captures CUDA graphs, and the device is {device.type}: leave it out, or use eager")
    if asked == "compiled" and device.type != "cpu":
        raise Mistake(f"--engine compiled is the CPU's, and the device is {device.type}: leave it out, or use eager")
    return ("graphed" if device.type == "cuda" else "eager") if asked == "auto" else asked


def steady(device: torch.device) -> Literal["auto", "eager"]:
    """What to ask for where no clock is to choose: for figures that must come out alike, for runs that are compared."""
    return "eager" if device.type == "cpu" else "auto"
