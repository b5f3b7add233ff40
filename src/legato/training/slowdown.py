"""Slowdowns: one line when steps on the CPU have become several times slower than they were, with what would help.

Durations of steps alone are compared, by medians over windows: a validation, a checkpoint, a process that was stopped or a
laptop that slept make no step slow, or one. Nothing of the run follows the clock; its numbers are the same with the line or
without. Not covered: other devices, where a step has been asked for, not made, when the host goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from types import TracebackType

from legato.errors import tell
from legato.training.threads import milliseconds

WINDOW, LEAST = 2.0, 5  # seconds and steps in a window, at least: several of the system's time slices, and a median of steps
# Times the quickest window's median. Turbo, heat and one neighbour on a core of several cost less than 2; threads that wait
# for one another on busy cores cost more (docs/speed.md), and then a run takes twice as long as it said, or longer.
SLOW = 2.0
LASTING, WINDOWS = 20.0, 3  # seconds of steps, and windows in a row: a browser that starts, or a backup's burst, is shorter
TAKEN = 0.9  # of the processor time that the run had: with less, others take it; with more, the chip itself is slower


class Slowdown:
    """A context for each step, `with slowdown: step()`; 0.3 µs of it, and a median of a window each two seconds.

    `threads`: the run's. `resumption`: the command that goes on with a run that was stopped. `clock` must be monotonic, in
    seconds; `spent` is the processor time of all threads, in seconds.
    """

    def __init__(
        self,
        threads: int,
        resumption: str,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time.process_time,
    ) -> None:
        self.threads, self.resumption, self.clock, self.spent = threads, resumption, clock, spent
        self.told = False
        # median seconds of a step, and cores in use, of the quickest window: its own early pace, unless it began on busy cores
        self.best = (float("inf"), 1.0)
        self.slow: list[tuple[float, float]] = []  # the same, of the slow windows since the last that was not
        self.lasted, self.began = 0.0, clock()
        self._open()

    def __enter__(self) -> None:
        self.began = self.clock()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        now = self.clock()
        self.steps.append(now - self.began)
        if now >= self.due and len(self.steps) >= LEAST:
            if not self.told:
                self._close(now)
            self._open()

    def _open(self) -> None:
        self.opened, self.before = self.clock(), self.spent()
        self.due, self.steps = self.opened + WINDOW, list[float]()

    def _close(self, now: float) -> None:
        step, cores = median(self.steps), (self.spent() - self.before) / (now - self.opened)
        self.best = min(self.best, (step, cores))
        # By medians: the time of day that passed would count hours in which the process was stopped.
        self.lasted += step * len(self.steps)
        self.slow.append((step, cores))
        if step < SLOW * self.best[0]:
            self.lasted, self.slow = 0.0, []
        elif self.lasted >= LASTING and len(self.slow) >= WINDOWS:
            self.told = True  # once: a second line would say nothing new
            tell(self._line())

    def _line(self) -> str:
        step, cores = (median(column) for column in zip(*self.slow, strict=True))
        quick, had = self.best
        times = f"steps take {step / quick:.1f} times as long as before ({milliseconds(quick)} → {milliseconds(step)})"
        if cores >= TAKEN * had:
            return f"{times} with as much processor time: the chip is slower (heat, battery, a machine's other guests)"
        if self.threads == 1:
            return f"{times}: other processes use these cores; the run ends later and gives the same"
        fewer = left(self.threads, cores / had)
        advice = f"Ctrl-C and `{self.resumption} --threads {fewer}` goes on with {fewer} thread{'s' * (fewer > 1)}"
        return f"{times}: other processes use these cores, and threads wait for one another; {advice}"


def left(threads: int, share: float) -> int:
    """The number of threads that others leave room for, where `threads` of a run get `share` of the time that they had.

    With b others on as many cores as the run has threads, each gets T/(T + b): b = T/share − T, and T − b cores are left.
    """
    return min(max(int(threads * (2 - 1 / max(share, 0.1))), 1), threads - 1)
