"""The number of threads: one and all are timed once, before a run begins, and the quicker takes the whole of it.

On cores that other processes use, threads wait for one another in every small operation: a step took 300 ms with two threads
and 11 ms with one, on the same loaded machine. The choice is the run's (`training.json`), so that resuming rounds alike.
Covered: the timing. Not covered: where threads were said, or a GPU computes (setup.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from legato.devices import using_threads

ROUNDS, SLICE = 3, 0.06  # seconds: several time slices of the system, of which one may be another process's whole
LONG, CLEAR = 2.0, 3.0  # seconds, and a ratio, at which one round has told enough
GAIN = 0.9  # all threads must take less than this of one's time: one leaves the other cores to whoever comes next
Step = Callable[[int], object]


@dataclass(frozen=True)
class Pace:
    """Seconds that a step takes with one thread and with `most`."""

    most: int
    one: float
    all: float

    @property
    def best(self) -> int:
        """The number of threads to take."""
        return self.most if self.all < GAIN * self.one else 1

    @property
    def seconds(self) -> float:
        """A step's, with the threads to take."""
        return self.one if self.best == 1 else self.all

    def to_json(self) -> dict[str, float]:
        """The part of `training.json`: seconds by number of threads."""
        return {"1": float(f"{self.one:.3g}"), str(self.most): float(f"{self.all:.3g}")}

    def __str__(self) -> str:
        """A clause for people: `a step took 21 ms with 1 thread and 117 ms with all 2`."""
        return f"a step took {milliseconds(self.one)} with 1 thread and {milliseconds(self.all)} with all {self.most}"


def timed(step: Step, most: int) -> Pace:
    """Times `step(i)`, i counting up, with one thread and with `most`."""
    one, all_ = in_turns([(step, lambda: using_threads(1)), (step, lambda: using_threads(most))])
    return Pace(most, one, all_)


def in_turns(pair: Sequence[tuple[Step, Callable[[], AbstractContextManager[None]]]]) -> list[float]:
    """Seconds of a step of each, made in its block, in turns, so that what else runs disturbs all alike."""
    began = time.perf_counter()
    for step in dict.fromkeys(step for step, _ in pair):
        step(0)  # not counted: the first step allocates
    spent, steps, at = [0.0] * len(pair), [0] * len(pair), 1
    for _ in range(ROUNDS):
        for i, (step, block) in enumerate(pair):
            # In turns and in short slices: what else the machine does falls on all alike, and only their ratio is used.
            with block():
                took, done = _slice(step, at)
            spent[i], steps[i], at = spent[i] + took, steps[i] + done, at + done + 1
        means = [seconds / count for seconds, count in zip(spent, steps, strict=True)]
        # A clear ratio needs no more rounds, and a step so long that a round takes seconds can afford none.
        if time.perf_counter() - began > LONG or max(means) > CLEAR * min(means):
            break
    return means


def _slice(step: Step, at: int) -> tuple[float, int]:
    """Seconds and number of steps in a slice of time; the first, which wakes the threads, counts where it fills the slice."""
    began = time.perf_counter()
    step(at)
    if (took := time.perf_counter() - began) > SLICE:
        return took, 1
    began, done = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < SLICE:
        done += 1
        step(at + done)
    return took, done


def counted(threads: int) -> str:
    """So many threads, in words."""
    return "1 thread" if threads == 1 else f"{threads} threads"


def milliseconds(seconds: float) -> str:
    """A duration in words of the length that suits it."""
    return f"{1e3 * seconds:,.0f} ms" if seconds >= 0.01 else f"{1e3 * seconds:.1f} ms"
